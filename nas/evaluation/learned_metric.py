"""A metric of networks that is learned from its values as they come in."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.features.accuracy_features import AccuracyFeatures, beside
from nas.features.network_features import SpaceFeatures
from nas.features.operators import graph_features
from predictors.auto import evidence
from predictors.averaged_process import Guess as Spread
from predictors.errors import PredictorError
from predictors.graph import Graph
from predictors.predictor import NORMAL, Predictor, checked_values
from search_spaces.genotypes import Population
from search_spaces.space import SearchSpace

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

    Features of a space say where its networks differ, which takes many values to learn where there are many choices;
    prices of operators are few and know the whole network, but nothing of paths. Where a metric has such prices, which
    is believed follows from what each says of values that it had not seen.

    Args:
        made: features of genotypes.
        kind: of the predictor.
        hints: names of metrics that are known of networks before, such as zero-cost scores, and are features, too. A
            network that lacks one counts as one with the least that was seen: nothing passes it.
        priced: the space, for a metric that is nearly a sum over operators, such as a latency.
        seed: of the predictor.
    """

    def __init__(
        self,
        made: SpaceFeatures | AccuracyFeatures,
        kind: type[Predictor],
        hints: Sequence[str] = (),
        *,
        priced: SearchSpace | None = None,
        seed: int = 0,
    ) -> None:
        self._made, self._kind, self.hints, self._priced, self._seed = made, kind, tuple(hints), priced, seed
        self._rows: list[Array] = []
        self._nodes: list[Array] = []
        self._told: list[list[float]] = []
        self._values: list[float] = []
        self._least = np.zeros(len(self.hints))
        self._predictor: Predictor | None = None
        self._prices: Graph | None = None
        self._shares = {"features": 1.0, "prices": 0.0}

    @property
    def ready(self) -> bool:
        """Whether anything can be predicted."""
        return self._predictor is not None

    @property
    def known(self) -> int:
        """How many values were taken in."""
        return len(self._values)

    def learn(self, genotype: NDArray[np.int16], metrics: Mapping[str, float], value: float) -> None:
        """Take in the value of a genotype (d,), of which other metrics are known; fit anew when it is time."""
        self._take(genotype, metrics, value)
        if len(self._values) >= max(FIRST, REFIT * self._samples):
            self.fit()

    def recall(self, past: Sequence[tuple[NDArray[np.int16], Mapping[str, float], float]]) -> None:
        """Take in what `learn` took in one by one; fit once, on as many values as it fitted last."""
        for genotype, metrics, value in past:
            self._take(genotype, metrics, value)
        samples = 0
        for count in range(FIRST, len(self._values) + 1):
            if count >= REFIT * samples and _differ(self._values[:count]):
                samples = count
        self.fit(samples)

    def _take(self, genotype: NDArray[np.int16], metrics: Mapping[str, float], value: float) -> None:
        self._rows.append(self._made(genotype[None])[0])
        if self._priced is not None:
            self._nodes.append(graph_features([self._priced.graph(genotype)])[0])
        self._told.append([metrics.get(name, np.nan) for name in self.hints])
        self._values.append(value)

    def fit(self, samples: int | None = None) -> None:
        """Learn from so many values, or all, if there are new ones, enough of them, and not all are alike."""
        y = np.array(self._values[:samples])
        if len(y) < FIRST or len(y) == self._samples or not _differ(y):
            return
        told = np.array(self._told[:samples]).reshape(len(y), -1)
        self._least = np.min(told, axis=0, initial=np.inf, where=np.isfinite(told))
        self._least[~np.isfinite(self._least)] = 0.0  # no network had it
        features, x = beside(self._made.features, np.array(self._rows[:samples]), self.hints, self._whole(told))
        predictor = self._kind(features, seed=self._seed).fit(x, y)
        self._predictor, self._prices = predictor, None
        if self._priced is not None and (y > 0).all():
            self._prices = Graph(seed=self._seed, far=False).fit(np.array(self._nodes[:samples]), y)
            scale = (np.abs(y) + np.abs(y).mean()) / 2
            held = {"features": predictor.held.mean, "prices": self._prices.held.mean}
            errors = {name: (y - mean) / scale for name, mean in held.items()}
            self._shares = evidence(errors, dict.fromkeys(errors, 1.0), self._seed)

    def guess(self, genotype: NDArray[np.int16], metrics: Mapping[str, float]) -> Guess:
        """What is expected of a genotype (d,); `ready` must hold."""
        return Guess(*(float(part[0]) for part in self.guesses(genotype[None], [metrics])))

    def guesses(
        self, population: Population, metrics: Sequence[Mapping[str, float]]
    ) -> tuple[Array, Array, Array, Array]:
        """(n,) means, deviations, and ends of 90 % intervals of (n, d) genotypes; `ready` must hold."""
        assert self._predictor is not None, "nothing was learned"
        told = np.array([[each.get(name, np.nan) for name in self.hints] for each in metrics])
        told = self._whole(told.reshape(len(population), -1))
        _, rows = beside(self._made.features, self._made(population), self.hints, told)
        mean, std = self._predictor.predict(rows)
        if self._priced is None or self._prices is None:
            return mean, std, *self._predictor.interval(rows)
        priced = self._prices.predict(graph_features([self._priced.graph(row) for row in population]))
        both = [(self._shares["features"], Spread(mean, std)), (self._shares["prices"], Spread(*priced))]
        mean = sum((share * each.mean for share, each in both), np.zeros(1))
        variance = sum((share * (each.std**2 + (each.mean - mean) ** 2) for share, each in both), np.zeros(1))
        std = np.sqrt(variance)
        return mean, std, mean - NORMAL * std, mean + NORMAL * std

    @property
    def _samples(self) -> int:
        return 0 if self._predictor is None else self._predictor.samples

    def _whole(self, told: Array) -> Array:
        """(n, k) values with the least that was seen where there is none."""
        return np.where(np.isfinite(told), told, self._least)


def _differ(values: Sequence[float] | Array) -> bool:
    """Whether there is anything to learn from values."""
    try:
        checked_values(values, len(values), 1, "the job")
    except PredictorError:
        return False
    return True
