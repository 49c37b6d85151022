"""What a search wants: a metric, its direction and perhaps a bound that must hold."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field


class Objective(BaseModel):
    """One metric to minimise or maximise, with an optional hard bound.

    Attributes:
        metric: name of the metric, such as `accuracy` or `latency_ms@cpu`.
        direction: `min` or `max`.
        bound: the metric must be at most this when minimised, at least this when maximised.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str = Field(min_length=1)
    direction: Literal["min", "max"]
    bound: float | None = Field(default=None, allow_inf_nan=False)

    def losses(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return (n,) numbers to minimise for (n,) metric values; NaN, a failed evaluation, stays NaN."""
        given = np.asarray(values, np.float64)
        return given if self.direction == "min" else -given

    def values(self, losses: ArrayLike) -> NDArray[np.float64]:
        """Return (n,) metric values for (n,) losses: the inverse of `losses`."""
        return self.losses(losses)

    def violations(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return by how much (n,) metric values break the bound, relative to it; 0 where it holds.

        A bound of 0 has no relative amount, so there it is the absolute one. NaN stays NaN.
        """
        losses = self.losses(values)
        if self.bound is None:
            return np.where(np.isnan(losses), np.nan, 0.0)
        bound = float(self.losses(self.bound))
        return np.maximum(losses - bound, 0.0) / (abs(bound) or 1.0)


def deviation(metric: str) -> str:
    """The name under which an evaluation keeps the deviation of a predicted metric; 0 where it was measured."""
    return f"{metric} deviation"


def losses(objectives: Sequence[Objective], metrics: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the (n, m) losses of n evaluations for m objectives.

    Args:
        objectives: the m objectives.
        metrics: metric name -> (n,) values, NaN where the evaluation failed.

    Raises:
        ValueError: an objective's metric is not among `metrics`, or there are no objectives.
    """
    _require(objectives, metrics)
    return np.stack([objective.losses(metrics[objective.metric]) for objective in objectives], axis=1)


def violations(objectives: Sequence[Objective], metrics: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the (n,) sums of the relative violations of all bounds; 0 where all hold, NaN where failed.

    Args and errors are those of `losses`.
    """
    _require(objectives, metrics)
    each = np.stack([objective.violations(metrics[objective.metric]) for objective in objectives])
    total: NDArray[np.float64] = each.sum(axis=0)
    return total


def _require(objectives: Sequence[Objective], metrics: Mapping[str, NDArray[np.float64]]) -> None:
    if not objectives:
        raise ValueError("at least one objective is needed (got none)")
    for objective in objectives:
        if objective.metric not in metrics:
            raise ValueError(
                f"objective {objective.metric!r} is not a metric that was evaluated; known: {', '.join(metrics)}"
            )
