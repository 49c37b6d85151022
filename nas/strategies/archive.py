"""The archive of MAP-Elites: a grid of kinds of results, and the best of each kind.

J.-B. Mouret, J. Clune, "Illuminating search spaces by mapping elites", arXiv 1504.04909.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.front import usable
from nas.strategies.ranking import best

GROWTH = 1.1
LEADING = 8
"""One result in so many decides where the cells lie: the least dominated."""


class Archive:
    """Keeps the best result of every cell of a grid of descriptors, which are losses.

    The cells hold equal shares of the least dominated eighth of the results so far along each descriptor, so that they
    are narrow where the front lies; they are drawn anew whenever the history has grown by a tenth. Within a cell the
    feasible come first, then the least violation, then the least quality. How results are grouped into calls changes
    nothing.

    Args:
        quality: column of the losses that elites are best in.
        descriptors: columns of the losses that tell kinds apart; with none there is one cell.
        bins: cells along each descriptor.

    Attributes:
        edges: (descriptors, bins - 1) losses between the cells.
        elites: cell, counted with the last descriptor fastest -> index into the history.
    """

    def __init__(self, quality: int, descriptors: Sequence[int], bins: int) -> None:
        self.quality, self.descriptors, self.bins = quality, list(descriptors), bins
        self.edges = np.zeros((len(self.descriptors), bins - 1))
        self.elites: dict[int, int] = {}
        self._next_grid = 1
        self._seen = 0

    def observe(self, losses: NDArray[np.float64], violations: NDArray[np.float64]) -> None:
        """Take in a history that has grown: (n, m) losses, NaN where it failed, and (n,) violations."""
        drawn = 0
        while self._next_grid <= len(losses):
            drawn, self._next_grid = self._next_grid, int(self._next_grid * GROWTH) + 1
        if drawn:
            self._draw(losses[:drawn], violations[:drawn])
            self.elites, self._seen = {}, 0
        self._place(losses, violations)
        self._seen = len(losses)

    def cells(self, indices: Sequence[int]) -> NDArray[np.intp]:
        """The (n, descriptors) places in the grid of n cells."""
        given = np.array(indices, np.intp)
        powers = self.bins ** np.arange(len(self.descriptors))[::-1]
        return given[:, None] // powers % self.bins

    def _draw(self, losses: NDArray[np.float64], violations: NDArray[np.float64]) -> None:
        seen = losses[best(losses, violations, max(self.bins, len(losses) // LEADING))]
        if len(seen):
            shares = np.arange(1, self.bins) / self.bins
            self.edges = np.quantile(seen[:, self.descriptors], shares, axis=0).T

    def _place(self, history: NDArray[np.float64], violations: NDArray[np.float64]) -> None:
        """Let the results that were not seen yet compete with the elites of their cells."""
        newer = np.arange(self._seen, len(history))
        newer = newer[usable(history[newer]) & ~np.isnan(violations[newer])]
        rivals = np.concatenate([np.array(list(self.elites.values()), np.intp), newer])
        losses, cells = history[rivals], np.zeros(len(rivals), np.intp)
        for edges, descriptor in zip(self.edges, self.descriptors, strict=True):
            cells = cells * self.bins + np.searchsorted(edges, losses[:, descriptor])
        broken = np.maximum(violations[rivals], 0.0)
        order = np.lexsort((rivals, losses[:, self.quality], broken, cells))
        kept, places = np.unique(cells[order], return_index=True)
        self.elites = dict(zip(kept.tolist(), rivals[order[places]].tolist(), strict=True))
