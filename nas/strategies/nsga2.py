"""NSGA-II on whole populations, for any batch size and with work outstanding.

K. Deb, A. Pratap, S. Agarwal, T. Meyarivan, "A fast and elitist multiobjective genetic algorithm:
NSGA-II", IEEE Transactions on Evolutionary Computation 6(2), 2002.
"""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nas.strategies.base import Strategy, StrategyOptions
from nas.strategies.first_points import first_points
from nas.strategies.survivors import Survivors
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

    The parents are the `population` best by rank and crowding, of everything told when the batch is asked for: a
    batch of any size breeds from the newest results.
    """

    summary: ClassVar[str] = "multi-objective evolution by non-dominated sorting and crowding (NSGA-II)"
    options_type = Nsga2Options

    def _start(self) -> None:
        self._survivors = Survivors(self.history, self.options.population)

    @property
    def incumbents(self) -> NDArray[np.intp]:
        """The parents, as indices into `history`, best first."""
        return self._survivors.indices

    def _observe(self) -> None:
        self._survivors.merge()

    def _propose(self, n: int, rng: np.random.Generator) -> Population:
        if self.proposed < self.options.population:
            return first_points(self.space, self.seeds, n, rng)
        parents = self.incumbents
        if len(parents) < 2:
            return self.space.sample(n, rng)
        return self._children(parents, int(SPARE * n) + 4, rng)

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
