"""What `nas predictor fit` tells of a predictor: where it is kept and how good it is."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.cli.output import print_json, print_table
from predictors.errors import PredictorError
from predictors.predictor import Predictor
from predictors.scores import Scores

MOST = 100_000


class FittedPredictor(NamedTuple):
    """A predictor that was fitted and kept.

    Attributes:
        path: of its file.
        metric: that it predicts.
        device: that it was measured on, or of accuracy the data set.
        space: the search space that it is for.
        scores: how good it is, and others that came of it, a row each.
    """

    path: Path
    metric: str
    device: str
    space: str
    scores: list[dict[str, Any]]

    def show(self, *, as_json: bool) -> None:
        """Print it."""
        if as_json:
            told = {"file": str(self.path), "metric": self.metric, "device": self.device, "scores": self.scores}
            print_json(told)
        else:
            print_table(self.scores, title=f"{self.metric}@{self.device} of {self.space}")


def named(scores: Scores | None) -> dict[str, float]:
    """Scores by name.

    Raises:
        PredictorError: there are none.
    """
    if scores is None:
        raise PredictorError("this predictor has no scores")
    return scores._asdict()


def left_out(predictor: Predictor, measured: NDArray[np.float64]) -> dict[str, list[float]]:
    """The samples, and what was predicted of each without it."""
    held = predictor.held
    return {"measured": measured.tolist(), "predicted": held.mean.tolist(), "deviation": held.std.tolist()}


def check_draws(tests: int, seed: int) -> None:
    """Refuse what cannot be drawn.

    Raises:
        ValueError: with the option and what it may be.
    """
    if not 0 <= tests <= MOST:
        raise ValueError(f"--tests must be 0 to {MOST} (got {tests})")
    if seed < 0:
        raise ValueError(f"--seed must be at least 0 (got {seed})")
