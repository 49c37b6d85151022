"""Pareto local search: look at everything that is one decision away from the front.

C. White, S. Nolen, Y. Savani, "Exploring the loss landscape in neural architecture search", UAI 2021,
arXiv 2005.02960; L. Paquete, M. Chiarandini, T. Stützle, "Pareto local optimum sets in the biobjective
traveling salesman problem: an experimental study", 2004.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nas.strategies.base import Strategy, StrategyOptions
from nas.strategies.first_points import first_points
from nas.strategies.neighbourhood import neighbours
from nas.strategies.ranking import average_ranks, crowding, ranks
from nas.strategies.survivors import Survivors
from search_spaces.genotypes import Population

KICK = 3
WIDEST = 2.0


class LocalSearchOptions(StrategyOptions):
    """The options of local search."""

    name: Literal["local_search"] = "local_search"
    first: int = Field(default=20, ge=1, le=10_000, description="points before the first neighbours")
    memory: int = Field(default=100, ge=2, le=10_000, description="best results whose neighbours may be looked at")


class LocalSearch(Strategy[LocalSearchOptions]):
    """Proposes unseen neighbours of the best results: of the front until all of them were seen, then behind it.

    Each proposal changes one decision of a result on the front, drawn in proportion to how uncrowded and how new
    it is, and never to what was proposed before. When every neighbour of the whole front was seen, a local
    optimum, the second front follows, and so on through the best `memory` results; when these are done too, all
    proposals are kicks, changes of about three decisions at once, and what they find is searched around anew.
    """

    summary: ClassVar[str] = "Pareto local search: unseen one-decision neighbours of the front, least crowded first"
    options_type = LocalSearchOptions

    def _start(self) -> None:
        self._survivors = Survivors(self.history, self.options.memory)
        self._done: set[int] = set()  # indices into the history; what is done stays done

    @property
    def incumbents(self) -> NDArray[np.intp]:
        """The best results, as indices into `history`, best first."""
        return self._survivors.indices

    def _observe(self) -> None:
        self._survivors.merge()

    def _propose(self, n: int, rng: np.random.Generator) -> Population:
        if self.proposed < self.options.first:
            return first_points(self.space, self.seeds, n, rng)
        best = self.incumbents
        if not best.size:
            return self.space.sample(n, rng)
        found: list[Population] = []
        missing = n
        for index, most in self._chosen(n, rng):
            rows = self._unseen(index)
            found.append(rng.permutation(rows)[:most])
            missing -= len(found[-1])
            if missing <= 0:
                break
        if missing > 0:
            kicked = self.history.genotypes[best[rng.integers(0, len(best), n)]]
            found.append(self.space.mutate(kicked, rng, min(1.0, KICK / len(self.space.decisions))))
        return np.concatenate(found)

    def _chosen(self, n: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
        """Yield results to look around and how many neighbours to take: n in all by chance, then whatever is left."""
        best = np.array([index for index in self.incumbents.tolist() if index not in self._done], np.intp)
        if not best.size:
            return
        losses = self.history.losses[best]
        rank = ranks(losses, self.history.violations[best])
        first = rank == rank.min()
        wide = np.minimum(crowding(losses[first], rank[first]), WIDEST)
        newness = average_ranks(best[first]) / first.sum()
        weights = (wide + 1e-3) * newness
        counts = rng.multinomial(n, weights / weights.sum())
        yield from ((index, count) for index, count in zip(best[first].tolist(), counts.tolist(), strict=True) if count)
        yield from ((index, n) for index in best.tolist() if index not in self._done)

    def _unseen(self, index: int) -> Population:
        """Return the neighbours of a result that may be proposed; without any, it is done."""
        rows = neighbours(self.space, self.history.genotypes[index])
        keys = self.space.keys(rows).tolist()
        rows = rows[[key not in self._proposed and key not in self._told for key in keys]]
        if len(rows):
            rows = rows[self.static_violations(rows) <= 0]
        if not len(rows):
            self._done.add(index)
        return rows
