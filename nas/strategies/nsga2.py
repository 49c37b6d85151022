"""NSGA-II on whole populations, for any batch size and with work outstanding.

K. Deb, A. Pratap, S. Agarwal, T. Meyarivan, "A fast and elitist multiobjective genetic algorithm:
NSGA-II", IEEE Transactions on Evolutionary Computation 6(2), 2002.
"""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nas.strategies.base import Strategy, StrategyOptions
from nas.strategies.ranking import best
from search_spaces.genotypes import Population

SPARE = 1.2


class Nsga2Options(StrategyOptions):
    """The options of NSGA-II."""

    name: Literal["nsga2"] = "nsga2"
    population: int = Field(default=50, ge=2, le=100_000, description="parents kept, and first random points")
    tournament: int = Field(default=2, ge=1, le=100, description="parents compared in a tournament")
    crossover: float = Field(default=0.9, ge=0, le=1, description="probability that a child has two parents")
    mutation: float = Field(
        default=0.9, ge=0, le=1, description="probability that a child is mutated; a copy of one parent always is"
    )
    mutation_rate: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="probability for each active decision to change; by default one change on average",
    )


class Nsga2(Strategy[Nsga2Options]):
    """Breeds the least dominated, least crowded results told so far.

    The parents are the survivors of all complete blocks of `population` results told, and the results
    told since, cut to `population` by rank and crowding. So they depend on the order of the results alone
    and not on the batches in which they came, and a batch of any size breeds from the newest results.
    """

    summary: ClassVar[str] = "multi-objective evolution by non-dominated sorting and crowding (NSGA-II)"
    options_type = Nsga2Options

    def _start(self) -> None:
        self._survivors: NDArray[np.intp] = np.zeros(0, np.intp)  # best first, of the results merged so far
        self._merged = 0
        self._parents = self._survivors
        self._parents_of = 0

    @property
    def incumbents(self) -> NDArray[np.intp]:
        """The parents, as indices into `history`, best first."""
        if self._parents_of != len(self.history):
            self._parents_of = len(self.history)
            newer = self._parents_of > self._merged
            self._parents = self._best(self._parents_of) if newer else self._survivors
        return self._parents

    def _observe(self) -> None:
        while len(self.history) - self._merged >= self.options.population:
            block = self._merged + self.options.population
            self._survivors = self._best(block)
            self._merged = block

    def _propose(self, n: int, rng: np.random.Generator) -> Population:
        if self.proposed < self.options.population:
            return self._first(n, rng)
        parents = self.incumbents
        if len(parents) < 2:
            return self.space.sample(n, rng)
        return self._children(parents, int(SPARE * n) + 4, rng)

    def _best(self, end: int) -> NDArray[np.intp]:
        """Return the best survivors and newer results, best first, as indices into the history."""
        candidates = np.concatenate([self._survivors, np.arange(self._merged, end)])
        history = self.history
        order = best(history.losses[candidates], history.violations[candidates], self.options.population)
        return candidates[order]

    def _first(self, n: int, rng: np.random.Generator) -> Population:
        """Return the seeds, and points that use every option of a decision equally often.

        Between seeds every second point is a blend of two, in which the share of either is spread evenly:
        uniform sampling alone would leave all points in the middle of every additive cost.
        """
        sizes = self.space.cardinalities
        levels = np.arange(n)[:, None] + rng.integers(0, sizes)
        rows = rng.permuted(levels % sizes, axis=0).astype(np.int16)
        if len(self.seeds) > 1:
            blend = np.arange(int(rng.integers(2)), n, 2)
            pairs = rng.permuted(np.tile(np.arange(len(self.seeds)), (len(blend), 1)), axis=1)
            share = (rng.permutation(len(blend)) + rng.random(len(blend))) / max(len(blend), 1)
            from_first = rng.random((len(blend), len(sizes))) < share[:, None]
            rows[blend] = np.where(from_first, self.seeds[pairs[:, 0]], self.seeds[pairs[:, 1]])
        return np.concatenate([self.seeds, self.space.canonical(rows)])

    def _children(self, parents: NDArray[np.intp], n: int, rng: np.random.Generator) -> Population:
        options = self.options
        # Parents are sorted best first, so the least index wins a tournament.
        winners = rng.integers(0, len(parents), (options.tournament, 2 * n)).min(axis=0)
        genotypes = self.history.genotypes[parents[winners]]
        first, second = genotypes[:n], genotypes[n:]
        crossed = rng.random(n) < options.crossover
        mutated = (rng.random(n) < options.mutation) | ~crossed
        children = np.where(crossed[:, None], self.space.crossover(first, second, rng), first)
        mutants = self.space.mutate(children, rng, options.mutation_rate)
        return np.where(mutated[:, None], mutants, children)
