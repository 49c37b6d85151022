"""MAP-Elites: the best network of every kind.

J.-B. Mouret, J. Clune, "Illuminating search spaces by mapping elites", arXiv 1504.04909.
"""

from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nas.strategies.archive import Archive
from nas.strategies.base import Strategy, StrategyOptions
from nas.strategies.first_points import first_points
from search_spaces.genotypes import Population

MOST_CELLS = 1_000_000
SPARE = 1.2

Index = Annotated[int, Field(ge=0)]


class MapElitesOptions(StrategyOptions):
    """The options of MAP-Elites."""

    name: Literal["map_elites"] = "map_elites"
    quality: int = Field(default=0, ge=0, description="the objective that elites are best in, counted from 0")
    descriptors: tuple[Index, ...] | None = Field(
        default=None, description="the objectives that tell kinds apart, counted from 0; by default all others"
    )
    bins: int = Field(default=20, ge=1, le=10_000, description="kinds along each descriptor")
    first: int = Field(default=20, ge=1, le=100_000, description="points before the first children")
    crossover: float = Field(default=0.5, ge=0, le=1, description="probability that a child has two parents")

    def descriptors_of(self, objectives: int) -> tuple[int, ...]:
        """The objectives, of so many, that tell kinds apart."""
        others = tuple(index for index in range(objectives) if index != self.quality)
        return others if self.descriptors is None else self.descriptors


class MapElites(Strategy[MapElitesOptions]):
    """Keeps the best result of every cell of a grid of descriptors, and breeds from cells chosen evenly.

    Descriptors are objectives, for a strategy sees nothing else of a result; see `Archive`. Cells with a feasible
    elite come before others. With one objective there is one cell.

    Raises:
        ValueError: as `Strategy` says; an objective that does not exist, the same descriptor twice or the quality
            among the descriptors, more than a million cells.
    """

    summary: ClassVar[str] = "MAP-Elites: the best result of every cell of a grid of other objectives"
    options_type = MapElitesOptions

    def _start(self) -> None:
        quality = self.options.quality
        others = tuple(index for index in range(self.objectives) if index != quality)
        descriptors = self.options.descriptors_of(self.objectives)
        if quality >= self.objectives:
            raise ValueError(f"quality must be an objective from 0 to {self.objectives - 1} (got {quality})")
        if not set(descriptors) <= set(others) or len(set(descriptors)) < len(descriptors):
            raise ValueError(f"descriptors must be distinct and among {list(others)} (got {list(descriptors)})")
        if self.options.bins ** len(descriptors) > MOST_CELLS:
            raise ValueError(
                f"{self.options.bins} bins for each of {len(descriptors)} descriptors are more than "
                f"{MOST_CELLS:,} cells; give fewer bins or descriptors"
            )
        self._archive = Archive(quality, descriptors, self.options.bins)

    @property
    def incumbents(self) -> NDArray[np.intp]:
        """The elites, as indices into `history`: by violation, then by quality; those without a cell are left out."""
        elites = np.array(list(self._archive.elites.values()), np.intp)
        violations = self.history.violations[elites]
        elites = elites[violations <= 0] if (violations <= 0).any() else elites
        order = np.lexsort((self.history.losses[elites, self.options.quality], self.history.violations[elites]))
        best: NDArray[np.intp] = elites[order]
        return best

    def _observe(self) -> None:
        self._archive.observe(self.history.losses, self.history.violations)

    def _propose(self, n: int, rng: np.random.Generator) -> Population:
        if self.proposed < self.options.first:
            return first_points(self.space, self.seeds, n, rng)
        elites = self.incumbents
        if not elites.size:
            return self.space.sample(n, rng)
        count = int(SPARE * n) + 4
        first, second = self.history.genotypes[elites[rng.integers(0, len(elites), (2, count))]]
        crossed = rng.random(count) < self.options.crossover
        children = np.where(crossed[:, None], self.space.crossover(first, second, rng), first)
        return self.space.mutate(children, rng)
