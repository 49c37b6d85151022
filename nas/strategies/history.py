"""What a strategy was told, in order."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


class History:
    """Results in the order in which they were told; grows cheaply."""

    def __init__(self, decisions: int, objectives: int) -> None:
        self._length = 0
        self._genotypes = np.empty((64, decisions), np.int16)
        self._losses = np.empty((64, objectives))
        self._violations = np.empty(64)

    def __len__(self) -> int:
        return self._length

    @property
    def genotypes(self) -> NDArray[np.int16]:
        """(n, d) canonical genotypes."""
        return self._genotypes[: self._length]

    @property
    def losses(self) -> NDArray[np.float64]:
        """(n, m) losses, NaN where the evaluation failed."""
        return self._losses[: self._length]

    @property
    def violations(self) -> NDArray[np.float64]:
        """(n,) violations, 0 where all bounds hold."""
        return self._violations[: self._length]

    def append(
        self, genotypes: NDArray[np.int16], losses: NDArray[np.float64], violations: NDArray[np.float64]
    ) -> None:
        """Add n results."""
        end = self._length + len(genotypes)
        if end > len(self._violations):
            room = max(end, 2 * len(self._violations)) - self._length
            self._genotypes = _widened(self.genotypes, room)
            self._losses = _widened(self.losses, room)
            self._violations = _widened(self.violations, room)
        self._genotypes[self._length : end] = genotypes
        self._losses[self._length : end] = losses
        self._violations[self._length : end] = violations
        self._length = end


def _widened(array: NDArray[Scalar], room: int) -> NDArray[Scalar]:
    return np.concatenate([array, np.empty((room, *array.shape[1:]), array.dtype)])
