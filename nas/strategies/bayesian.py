"""Bayesian optimisation with Gaussian processes on one-hot decisions.

J. Mockus, "Bayesian approach to global optimization", Kluwer, 1989; M. Emmerich, K. Giannakoglou, B. Naujoks,
"Single- and multiobjective evolutionary optimization assisted by Gaussian random field metamodels", IEEE Transactions
on Evolutionary Computation 10(4), 2006 (expected hypervolume improvement); J. Knowles, "ParEGO", ibid. 10(1), 2006
(beyond three objectives).
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import ClassVar, Literal

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field
from threadpoolctl import ThreadpoolController

from nas.front import usable
from nas.strategies.acquisition import Boxes, at_nodes
from nas.strategies.base import StrategyOptions
from nas.strategies.first_points import first_points
from nas.strategies.gaussian import GaussianProcess
from nas.strategies.neighbourhood import neighbours
from nas.strategies.planning import PlanningStrategy
from nas.strategies.ranking import best
from nas.strategies.scalarisation import costs, random_weights
from nas.strategies.surrogate import Surrogate
from search_spaces.genotypes import Population

Array = NDArray[np.float64]

GROWTH = 1.4
TUNING = 120
STEPS = 15
FEWEST = 4
PARENTS = 32
MOST_OBJECTIVES = 3


class BayesianOptions(StrategyOptions):
    """The options of Bayesian optimisation."""

    name: Literal["bayesian"] = "bayesian"
    first: int = Field(default=20, ge=FEWEST, le=10_000, description="points before the first model")
    training: int = Field(
        default=300, ge=10, le=3000, description="results that a model is fitted to: half the best, half the newest"
    )
    boldness: float = Field(
        default=0.5, ge=0, le=10, description="share of the predictive deviation that the acquisition believes"
    )
    candidates: int = Field(default=400, ge=10, le=100_000, description="genotypes of which a batch is chosen")


class Bayesian(PlanningStrategy[BayesianOptions]):
    """Proposes what promises the largest expected hypervolume improvement.

    One Gaussian process for each loss, on a logarithmic scale of how far a loss lies above the best one, with a
    lengthscale for each decision; they are tuned by likelihood whenever the history has grown by two fifths. From
    the fourth objective on there is one process, for the augmented Chebyshev sum of ranks with weights drawn for
    each batch. Only half the predictive deviation is believed by default: all of it sends too many proposals to
    corners where gains are large and improbable. Bounds enter as the probability of feasibility, by another
    process. Candidates are neighbours and children of the best results and random genotypes. Within a batch, and
    for work outstanding, predictions are believed.
    """

    summary: ClassVar[str] = "Gaussian processes on one-hot decisions and expected hypervolume improvement"
    options_type = BayesianOptions

    grain = 100

    def _start(self) -> None:
        super()._start()
        self._groups = self.features.groups
        self._tuned: tuple[int, list[Surrogate]] = (0, [])
        self._threads = ThreadpoolController()

    @property
    def incumbents(self) -> NDArray[np.intp]:
        """The results that candidates are bred from, as indices into `history`, best first."""
        return self._leading(len(self.history), PARENTS)

    def _leading(self, end: int, most: int) -> NDArray[np.intp]:
        return best(self.history.losses[:end], self.history.violations[:end], most)

    def _propose(self, n: int, rng: np.random.Generator) -> Population:
        if self.proposed < self.options.first:
            return first_points(self.space, self.seeds, n, rng)
        with self._threads.limit(limits=1, user_api="blas"):  # the matrices are too small to share
            return self._modelled(n, rng)

    def _plan(
        self, n: int, end: int, waiting: Population, known: Sequence[AbstractSet[bytes]], rng: np.random.Generator
    ) -> Population:
        leading = self._leading(end, max(PARENTS, self.options.training // 2))
        data = self._data(end, leading, self.options.training)
        if len(data) < FEWEST:
            return self.space.sample(n, rng)
        candidates = self._candidates(n, leading[:PARENTS], known, rng)
        if not len(candidates):
            return candidates
        return self._chosen(n, end, data, waiting, candidates, rng)

    def _data(self, end: int, leading: NDArray[np.intp], most: int) -> NDArray[np.intp]:
        """Distinct successful results among the first `end`, at most so many: the leading ones and the newest."""
        newest = np.arange(max(0, end - 2 * most), end)[::-1]
        rows = np.concatenate([leading[: most // 2], np.setdiff1d(newest, leading[: most // 2])[::-1]])
        rows = rows[usable(self.history.losses[rows])]
        _, first = np.unique(self.space.keys(self.history.genotypes[rows]), return_index=True)
        return np.sort(rows[np.sort(first)[:most]])

    def _candidates(
        self, n: int, leading: NDArray[np.intp], known: Sequence[AbstractSet[bytes]], rng: np.random.Generator
    ) -> Population:
        """Return genotypes that may be proposed."""
        most = max(self.options.candidates, 2 * n)
        parents = self.history.genotypes[leading]
        near = np.concatenate([neighbours(self.space, row) for row in parents[: PARENTS // 2]])
        near = rng.permutation(near)[: most // 2]
        first, second = parents[rng.integers(0, len(parents), (2, most // 2))]
        children = self.space.mutate(self.space.crossover(first, second, rng), rng)
        rows = np.concatenate([near, children, self.space.sample(most // 4, rng)])
        return self._fresh(rows, known)[:most]

    def _chosen(
        self,
        n: int,
        end: int,
        data: NDArray[np.intp],
        waiting: Population,
        candidates: Population,
        rng: np.random.Generator,
    ) -> Population:
        """Return the n most promising candidates and those that would have come next, best first."""
        weights = random_weights(1, self.objectives, rng)
        losses, violations = self._targets(data, weights), self.history.violations[data]
        features = self._features(self.history.genotypes[data])
        models = [m.fit(features, y) for m, y in zip(self._models(end, weights), losses.T, strict=True)]
        x = self._features(candidates)
        means, samples = self._predicted(models, x)
        chance = self._feasibility(features, violations, x)
        good = violations <= 0
        if not good.any():
            return candidates[np.argsort(-chance, kind="stable")]
        reached = losses[good]
        reference = losses.max(axis=0)
        reference = reference + 1e-9 * (np.abs(reference) + 1)
        if len(waiting):
            reached = np.concatenate([reached, self._predicted(models, self._features(waiting))[0]])
        left = chance.copy()
        picks: list[int] = []
        for _ in range(min(n, len(candidates))):
            gain = Boxes(reached, reference).improvement(samples) * left
            picks.append(int(gain.argmax()))
            left[picks[-1]] = -1.0
            reached = np.concatenate([reached, means[picks[-1:]]])
        return candidates[picks]

    def _models(self, end: int, weights: Array) -> list[Surrogate]:
        """The surrogates with settings tuned to a prefix of the history whose length grows geometrically."""
        size = FEWEST
        while (larger := int(np.ceil(GROWTH * size))) <= end:
            size = larger
        if self._tuned[0] != size:
            most = min(TUNING, self.options.training)
            rows = self._data(size, self._leading(size, most // 2), most)
            if len(rows) < FEWEST:  # too many failed; what helps out now must not be kept for a longer history
                return self._tune(self._data(end, self._leading(end, most // 2), most), weights)
            self._tuned = (size, self._tune(rows, weights))
        return self._tuned[1]

    def _tune(self, rows: NDArray[np.intp], weights: Array) -> list[Surrogate]:
        x = self._features(self.history.genotypes[rows])
        losses = self._targets(rows, np.full_like(weights, 1 / self.objectives))
        return [Surrogate.tuned(self._groups, x, y, STEPS) for y in losses.T]

    def _targets(self, rows: NDArray[np.intp], weights: Array) -> Array:
        """What is modelled, (n, q): all losses, or one scalar for many of them."""
        losses = self.history.losses[rows]
        if self.objectives <= MOST_OBJECTIVES:
            return losses
        return costs(losses, np.zeros(len(rows)), weights).T

    def _predicted(self, models: list[Surrogate], x: Array) -> tuple[Array, Array]:
        """Return the median losses (n, q) and losses at the quadrature nodes (q, n, nodes)."""
        predicted = [model.predict(x) for model in models]
        pairs = list(zip(models, predicted, strict=True))
        means = np.stack([model.warping.inverse(mean) for model, (mean, _) in pairs], axis=1)
        bold = self.options.boldness
        return means, np.stack([m.warping.inverse(at_nodes(mean, bold * spread)) for m, (mean, spread) in pairs])

    def _feasibility(self, features: Array, violations: Array, x: Array) -> Array:
        """Return the (n,) probabilities that all bounds hold, by regression on the sign."""
        broken = violations > 0
        if not broken.any():
            return np.ones(len(x))
        target = np.log1p(np.maximum(violations, 0)) if broken.all() else np.where(broken, 1.0, -1.0)
        process = GaussianProcess(self._groups, GaussianProcess.default(self._groups)).fit(features, target)
        mean, deviation = process.predict(x)
        chance: Array = scipy.special.ndtr(-(mean - (mean.min() if broken.all() else 0)) / deviation)
        return chance

    def _features(self, population: Population) -> Array:
        return self.features(population)
