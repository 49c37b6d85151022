"""A metric of networks that is learned from its values as they come in."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.features.accuracy_features import AccuracyFeatures, beside
from nas.features.network_features import SpaceFeatures
from predictors.errors import PredictorError
from predictors.predictor import Predictor

Array = NDArray[np.float64]

FIRST = 16
"""Values that are needed before anything is predicted."""
REFIT = 1.15
"""A predictor learns anew when there are so many times the values it has seen."""


class Guess(NamedTuple):
    """What is expected of one network: the value, its deviation, and the ends of its 90 % interval."""

    mean: float
    std: float
    low: float
    high: float


class LearnedMetric:
    """Learns one metric of the networks of a space.

    Args:
        made: features of genotypes.
        kind: of the predictor.
        hints: names of metrics that are known of networks before, such as zero-cost scores, and are features, too. A
            network that lacks one counts as one with the least that was seen: nothing passes it.
        seed: of the predictor.
    """

    def __init__(
        self,
        made: SpaceFeatures | AccuracyFeatures,
        kind: type[Predictor],
        hints: Sequence[str] = (),
        *,
        seed: int = 0,
    ) -> None:
        self._made, self._kind, self.hints, self._seed = made, kind, tuple(hints), seed
        self._rows: list[Array] = []
        self._told: list[list[float]] = []
        self._values: list[float] = []
        self._least = np.zeros(len(self.hints))
        self._predictor: Predictor | None = None

    @property
    def ready(self) -> bool:
        """Whether anything can be predicted."""
        return self._predictor is not None

    def learn(self, genotype: NDArray[np.int16], metrics: Mapping[str, float], value: float) -> None:
        """Take in the value of a genotype (d,), of which other metrics are known."""
        self._rows.append(self._made(genotype[None])[0])
        self._told.append([metrics.get(name, np.nan) for name in self.hints])
        self._values.append(value)
        samples = 0 if self._predictor is None else self._predictor.samples
        if len(self._values) < max(FIRST, REFIT * samples):
            return
        told = np.array(self._told).reshape(len(self._told), -1)
        self._least = np.min(told, axis=0, initial=np.inf, where=np.isfinite(told))
        self._least[~np.isfinite(self._least)] = 0.0  # no network had it
        features, x = beside(self._made.features, np.array(self._rows), self.hints, self._whole(told))
        try:
            self._predictor = self._kind(features, seed=self._seed).fit(x, np.array(self._values))
        except PredictorError:
            return  # all are alike so far

    def guess(self, genotype: NDArray[np.int16], metrics: Mapping[str, float]) -> Guess:
        """What is expected of a genotype (d,); `ready` must hold."""
        assert self._predictor is not None, "nothing was learned"
        told = self._whole(np.array([[metrics.get(name, np.nan) for name in self.hints]]))
        _, row = beside(self._made.features, self._made(genotype[None]), self.hints, told)
        mean, std = (float(part[0]) for part in self._predictor.predict(row))
        low, high = (float(end[0]) for end in self._predictor.interval(row))
        return Guess(mean, std, low, high)

    def _whole(self, told: Array) -> Array:
        """(n, k) values with the least that was seen where there is none."""
        return np.where(np.isfinite(told), told, self._least)
