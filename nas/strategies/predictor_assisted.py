"""Predictor-assisted search: predict every loss, search widely in the predictions, evaluate what may move the front.

The loop is that of D. Cummings et al., "A hardware-aware framework for accelerating neural architecture search across
modalities" (LINAS, arXiv 2205.10358) and J. Wu et al., "Stronger NAS with weaker predictors" (WeakNAS, arXiv
2102.10490), with Gaussian processes on features of live operators and paths as predictors and expected hypervolume
improvement as the choice.
"""

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from threadpoolctl import ThreadpoolController

from nas.front import front, usable
from nas.strategies.base import StrategyOptions
from nas.strategies.belief import LIKELY, Belief, bound_targets
from nas.strategies.candidate_pool import PARENTS, bred_pool
from nas.strategies.first_points import first_points
from nas.strategies.gaussian import GaussianProcess
from nas.strategies.neighbourhood import neighbours
from nas.strategies.planning import PlanningStrategy
from nas.strategies.ranking import best
from nas.strategies.spread import spread_out
from nas.strategies.surrogate import Surrogate
from search_spaces.genotypes import Population

Array = NDArray[np.float64]

FEWEST = 4
"""Results before the first model."""
GROWTH = 1.25
"""Settings are tuned again when there are this many times more results."""
TUNING = 250
"""Results that settings are tuned to."""
STEPS = 20
"""Of tuning."""
LEADING = 0.6
"""Of the results that a model is fitted to when there are too many: the share of the best."""
FINALISTS = 320
"""Of the pool, those whose deviation is computed."""
SETTLING = 50
"""Results after which boldness falls, with the root of their number."""
ROUNDS = 40
"""Choices that take the earlier ones of a batch into account; in larger batches several are taken at once."""


class PredictorAssistedOptions(StrategyOptions):
    """The options of predictor-assisted search."""

    name: Literal["predictor_assisted"] = "predictor_assisted"
    first: int = Field(default=20, ge=FEWEST, le=10_000, description="structured points that are evaluated first")
    training: int = Field(default=500, ge=10, le=3000, description="results that a model is fitted to")
    generations: int = Field(default=8, ge=1, le=1000, description="of the evolution inside the predictors")
    children: int = Field(default=200, ge=10, le=10_000, description="of each of these generations")
    boldness: float = Field(
        default=0.4,
        ge=0,
        le=10,
        description="share of the predictive deviation that is believed at first; it falls as results come in",
    )
    local: float = Field(
        default=0.2, ge=0, le=1, description="share of neighbours of the front once the predictors stop finding more"
    )
    patience: int = Field(
        default=40, ge=1, le=100_000, description="results without a better front after which that share begins"
    )


class _Models(NamedTuple):
    """Predictors tuned to the first `size` results; they are conditioned on newer ones too."""

    size: int
    surrogates: list[Surrogate]
    bounds: GaussianProcess


class PredictorAssisted(PlanningStrategy[PredictorAssistedOptions]):
    """Fits predictors to what was told, breeds in them, and proposes by expected hypervolume improvement.

    The first points spread over the range of costs. After that each `ask` conditions a Gaussian process for each loss
    on what was told, breeds a pool of candidates from the front inside these, and takes those of the largest expected
    improvement one after the other, believing the predictions of the earlier ones and of what is outstanding. Bounds
    that need an evaluation, and failures, enter as a probability. When results stop moving the front, part of the
    proposals are neighbours of the front as in local search: near the end luck decides, which no predictor knows.
    """

    summary: ClassVar[str] = "predictors of every loss, evolution inside them, expected hypervolume improvement"
    options_type = PredictorAssistedOptions

    grain = 60

    def _start(self) -> None:
        super()._start()
        self._design: Population | None = None
        self._tuned: _Models | None = None
        self._threads = ThreadpoolController()

    @property
    def incumbents(self) -> NDArray[np.intp]:
        """The results that are bred from, as indices into `history`, best first."""
        return best(self.history.losses, self.history.violations, PARENTS)

    def _propose(self, n: int, rng: np.random.Generator) -> Population:
        with self._threads.limit(limits=1, user_api="blas"):  # matrices are small, and sums keep one order
            if self.proposed < self.options.first:
                return np.concatenate([self._first(), self.space.sample(n, rng)])
            return self._modelled(n, rng)

    def _first(self) -> Population:
        """The first points that were not proposed yet; they depend on the seed alone."""
        if self._design is None:
            rng = np.random.default_rng([self.seed, 0, 1])
            pool = [self.seeds, self.space.sample(1000, rng), first_points(self.space, self.seeds, 2000, rng)]
            rows = self._fresh(np.concatenate(pool), ())
            if not len(rows):
                return rows
            features = self.features(rows)
            costs = features[:, list(self.features.costs)]
            start = int((self.static_violations(self.seeds) <= 0).sum())
            self._design = rows[spread_out(features, costs, start, self.options.first)]
        return self._fresh(self._design, (self._proposed, self._told))

    def _plan(
        self, n: int, end: int, waiting: Population, known: Sequence[AbstractSet[bytes]], rng: np.random.Generator
    ) -> Population:
        history, options = self.history, self.options
        data = self._data(end, options.training)
        losses, violations = history.losses[data], history.violations[data]
        if usable(losses).sum() < FEWEST:
            return self.space.sample(n, rng)
        models = self._models(end)
        belief = Belief(models.surrogates, models.bounds, self.features(history.genotypes[data]), losses, violations)
        pool = bred_pool(
            self.space,
            history.genotypes[best(history.losses[:end], history.violations[:end], PARENTS)],
            lambda rows: belief.scores(self.features(rows)),
            lambda rows, seen: self._fresh(rows, (*known, seen)),
            options.generations,
            max(options.children, n),
            rng,
        )
        if not len(pool):
            return pool
        share = options.boldness * min(1.0, math.sqrt(SETTLING / len(data)))
        picks = pool[self._greedy(n, belief, waiting, self.features(pool), share)]
        return self._with_neighbours(picks, n, end, known, rng)

    def _greedy(self, n: int, belief: Belief, waiting: Population, features: Array, share: float) -> NDArray[np.intp]:
        """Take candidates of the largest expected gain one after the other; returns about n indices, best first."""
        chances = belief.chances(features)
        if not belief.good.any():
            return np.argsort(-chances, kind="stable")[:n]
        taken = self._believed(belief, waiting)
        rough = belief.gains(belief.rough_samples(features, share), chances, taken)
        final = np.argsort(-rough, kind="stable")[: max(FINALISTS, 2 * n)]
        means, samples, chances = belief.means(features[final]), belief.samples(features[final], share), chances[final]
        free = np.ones(len(final), np.bool_)
        picks: list[int] = []
        at_once = math.ceil(n / ROUNDS)
        while len(picks) < min(n, len(final)):
            gains = np.where(free, belief.gains(samples, chances, taken), -np.inf)
            found = np.argsort(-gains, kind="stable")[: min(at_once, int(free.sum()))]
            free[found] = False
            picks += found.tolist()
            taken = np.concatenate([taken, means[found[chances[found] > LIKELY]]])
        return final[picks]

    def _believed(self, belief: Belief, waiting: Population) -> Array:
        """Predicted losses (k, m) of what is outstanding and will probably succeed."""
        if not len(waiting):
            return np.zeros((0, self.objectives))
        features = self.features(waiting)
        return belief.means(features)[belief.chances(features) > LIKELY]

    def _with_neighbours(
        self, picks: Population, n: int, end: int, known: Sequence[AbstractSet[bytes]], rng: np.random.Generator
    ) -> Population:
        """Mix neighbours of the front into the picks, once results have stopped moving it."""
        count = int(rng.binomial(n, self.options.local))
        leading = front(self.history.losses[:end], self.history.violations[:end])
        if not count or not len(leading) or end - 1 - leading.max() < self.options.patience:
            return picks
        rows = np.concatenate([neighbours(self.space, self.history.genotypes[index]) for index in leading])
        rows = self._fresh(rng.permutation(rows), known)[:count]
        return np.concatenate([picks[: n - len(rows)], rows, picks[n - len(rows) :]])

    def _data(self, end: int, most: int) -> NDArray[np.intp]:
        """Distinct genotypes among the first `end` results; of too many, the best and a spread of the others."""
        history = self.history
        _, newest = np.unique(history.genotypes[:end][::-1], axis=0, return_index=True)
        rows = np.sort(end - 1 - newest)
        if len(rows) <= most:
            return rows
        order = best(history.losses[rows], history.violations[rows], len(rows))
        order = np.concatenate([order, np.setdiff1d(np.arange(len(rows)), order)])
        cut = int(LEADING * most)
        rest = order[cut:][np.linspace(0, len(order) - cut - 1, most - cut).astype(np.intp)]
        return np.sort(rows[np.concatenate([order[:cut], rest])])

    def _models(self, end: int) -> _Models:
        """Predictors with settings tuned to a prefix of the history whose length grows geometrically."""
        size = FEWEST
        while (larger := math.ceil(GROWTH * size)) <= end:
            size = larger
        if self._tuned is None or self._tuned.size != size:
            most = min(TUNING, self.options.training)
            rows = self._data(size, most)
            if usable(self.history.losses[rows]).sum() < FEWEST:
                # Too many failed; what helps out now must not be kept for a longer history.
                return self._tune(size, self._data(end, most))
            self._tuned = self._tune(size, rows)
        return self._tuned

    def _tune(self, size: int, rows: NDArray[np.intp]) -> _Models:
        losses, violations = self.history.losses[rows], self.history.violations[rows]
        features = self.features(self.history.genotypes[rows])
        groups, lengths = self.features.groups, self.features.lengths
        worked = usable(losses)
        surrogates = [Surrogate.tuned(groups, features[worked], y, STEPS, lengths) for y in losses[worked].T]
        bounds = GaussianProcess(groups, GaussianProcess.default(groups, lengths), lengths)
        if not (worked & (violations <= 0)).all():
            bounds = bounds.tuned(features, bound_targets(losses, violations), STEPS)
        return _Models(size, surrogates, bounds)
