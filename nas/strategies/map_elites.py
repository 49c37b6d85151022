"""MAP-Elites: the best network of every kind.

J.-B. Mouret, J. Clune, "Illuminating search spaces by mapping elites", arXiv 1504.04909.
"""

from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nas.front import usable
from nas.strategies.base import Strategy, StrategyOptions
from nas.strategies.first_points import first_points
from nas.strategies.ranking import best
from search_spaces.genotypes import Population

GROWTH = 1.1
LEADING = 8
"""One result in so many decides where the cells lie: the least dominated."""
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


class MapElites(Strategy[MapElitesOptions]):
    """Keeps the best result of every cell of a grid of descriptors, and breeds from cells chosen evenly.

    Descriptors are objectives, for a strategy sees nothing else of a result. The cells hold equal shares of the
    least dominated eighth of the results so far along each descriptor, so that they are narrow where the front lies;
    they are drawn anew whenever the history has grown by a tenth. Within a
    cell the feasible come first, then the least violation; cells with a feasible elite come before others. With
    one objective there is one cell.

    Raises:
        ValueError: as `Strategy` says; an objective that does not exist, the same descriptor twice or the quality
            among the descriptors, more than a million cells.
    """

    summary: ClassVar[str] = "MAP-Elites: the best result of every cell of a grid of other objectives"
    options_type = MapElitesOptions

    def _start(self) -> None:
        quality, given = self.options.quality, self.options.descriptors
        others = tuple(index for index in range(self.objectives) if index != quality)
        descriptors = others if given is None else given
        if quality >= self.objectives:
            raise ValueError(f"quality must be an objective from 0 to {self.objectives - 1} (got {quality})")
        if not set(descriptors) <= set(others) or len(set(descriptors)) < len(descriptors):
            raise ValueError(f"descriptors must be distinct and among {list(others)} (got {list(descriptors)})")
        if self.options.bins ** len(descriptors) > MOST_CELLS:
            raise ValueError(
                f"{self.options.bins} bins for each of {len(descriptors)} descriptors are more than "
                f"{MOST_CELLS:,} cells; give fewer bins or descriptors"
            )
        self._descriptors = list(descriptors)
        self._edges = np.zeros((len(descriptors), self.options.bins - 1))
        self._elites: dict[int, int] = {}  # cell -> index into the history
        self._next_grid = 1
        self._seen = 0

    @property
    def incumbents(self) -> NDArray[np.intp]:
        """The elites, as indices into `history`: by violation, then by quality; those without a cell are left out."""
        elites = np.array(list(self._elites.values()), np.intp)
        violations = self.history.violations[elites]
        elites = elites[violations <= 0] if (violations <= 0).any() else elites
        order = np.lexsort((self.history.losses[elites, self.options.quality], self.history.violations[elites]))
        best: NDArray[np.intp] = elites[order]
        return best

    def _observe(self) -> None:
        while self._seen < len(self.history):
            end = min(len(self.history), self._next_grid)
            if end == self._next_grid:
                self._draw_grid(end)
                self._next_grid = int(end * GROWTH) + 1
            else:
                self._place(self._seen, end)
            self._seen = end

    def _draw_grid(self, end: int) -> None:
        losses = self.history.losses[:end]
        most = max(self.options.bins, end // LEADING)
        seen = losses[best(losses, self.history.violations[:end], most)]
        if len(seen):
            shares = np.arange(1, self.options.bins) / self.options.bins
            self._edges = np.quantile(seen[:, self._descriptors], shares, axis=0).T
        self._elites = {}
        self._place(0, end)

    def _place(self, start: int, end: int) -> None:
        """Let the results from start to end compete with the elites of their cells."""
        newer = np.arange(start, end)
        newer = newer[usable(self.history.losses[newer]) & ~np.isnan(self.history.violations[newer])]
        rivals = np.concatenate([np.array(list(self._elites.values()), np.intp), newer])
        losses = self.history.losses[rivals]
        cells = np.zeros(len(rivals), np.intp)
        for edges, descriptor in zip(self._edges, self._descriptors, strict=True):
            cells = cells * self.options.bins + np.searchsorted(edges, losses[:, descriptor])
        broken = np.maximum(self.history.violations[rivals], 0.0)
        order = np.lexsort((rivals, losses[:, self.options.quality], broken, cells))
        kept, places = np.unique(cells[order], return_index=True)
        self._elites = dict(zip(kept.tolist(), rivals[order[places]].tolist(), strict=True))

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
