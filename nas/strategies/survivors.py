"""The best results of a history, kept as it grows."""

import numpy as np
from numpy.typing import NDArray

from nas.strategies.history import History
from nas.strategies.ranking import best


class Survivors:
    """The best `size` results by constrained rank and crowding, merged block by block.

    They are the survivors of all complete blocks of `size` results, and the results since, cut to `size`. So
    they depend on the order of the results alone and not on the batches in which they came, and cost a
    constant for each result.
    """

    def __init__(self, history: History, size: int) -> None:
        self._history = history
        self._size = size
        self._kept: NDArray[np.intp] = np.zeros(0, np.intp)  # best first, of the results merged so far
        self._merged = 0
        self._current = self._kept
        self._current_of = 0

    def merge(self) -> None:
        """Take in what was appended to the history."""
        while len(self._history) - self._merged >= self._size:
            block = self._merged + self._size
            self._kept = self._best(block)
            self._merged = block

    @property
    def indices(self) -> NDArray[np.intp]:
        """(k,) indices into the history, best first: rank, then least crowded; failed results are left out."""
        if self._current_of != len(self._history):
            self._current_of = len(self._history)
            newer = self._current_of > self._merged
            self._current = self._best(self._current_of) if newer else self._kept
        return self._current

    def _best(self, end: int) -> NDArray[np.intp]:
        candidates = np.concatenate([self._kept, np.arange(self._merged, end)])
        history = self._history
        order = best(history.losses[candidates], history.violations[candidates], self._size)
        return candidates[order]
