"""NSGA-II on whole populations, for any batch size and with work outstanding.

K. Deb, A. Pratap, S. Agarwal, T. Meyarivan, "A fast and elitist multiobjective genetic algorithm:
NSGA-II", IEEE Transactions on Evolutionary Computation 6(2), 2002. Early exit of the first population:
C. Termritthikun, Y. Jamtsho, J. Ieamsaard, P. Muneesawang, I. Lee, "EEEA-Net: an early exit evolutionary neural
architecture search", Engineering Applications of Artificial Intelligence 104, 2021, arXiv 2108.06156.
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
    early_exit: bool = Field(
        default=False,
        description="first points are uniform samples, dropped before evaluation when they break a static bound, "
        "instead of a balanced design (EEEA-Net); needs a static bound",
    )


class Nsga2(Strategy[Nsga2Options]):
    """Breeds the least dominated, least crowded results told so far.

    The parents are the `population` best by rank and crowding, of everything told when the batch is asked for: a
    batch of any size breeds from the newest results.

    With `early_exit` the threshold of EEEA-Net is the job's own static bound, for a strategy sees no other measure of
    complexity; later proposals satisfy static bounds in any case.

    Raises:
        ValueError: as `Strategy` says, or early exit is asked for without a static bound.
    """

    summary: ClassVar[str] = "multi-objective evolution by non-dominated sorting and crowding (NSGA-II)"
    options_type = Nsga2Options

    def _start(self) -> None:
        if self.options.early_exit and self._static_violation is None:
            raise ValueError("early_exit needs a static bound, such as one on macs or params, to exit by (got none)")
        self._survivors = Survivors(self.history, self.options.population)

    @property
    def incumbents(self) -> NDArray[np.intp]:
        """The parents, as indices into `history`, best first."""
        return self._survivors.indices

    def _observe(self) -> None:
        self._survivors.merge()

    def _propose(self, n: int, rng: np.random.Generator) -> Population:
        if self.proposed < self.options.population:
            if self.options.early_exit:
                return self.space.sample(n, rng)
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
