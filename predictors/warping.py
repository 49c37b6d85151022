"""Monotone scales on which accuracies are easier to predict than on their own."""

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from predictors.averaged_process import Guess

Array = NDArray[np.float64]

TAIL = 0.1
"""Share of the samples that say how the scale goes on beyond them."""
REACH = 12.0
"""How far it does."""
SHIFT = 0.3
"""Of the logarithm of errors, in units of the range of the values."""
KNOTS = 65


class Warp:
    """A piecewise linear, rising map between values and scores of mean 0 and deviation 1.

    Args:
        values: (k,) rising, of the knots.
        scores: (k,) rising.
    """

    def __init__(self, values: Array, scores: Array) -> None:
        self.values, self.scores = values, scores

    @classmethod
    def normal_scores(cls, y: Array) -> Self:
        """What (n,) values would be if they were normal, by their ranks (B. L. van der Waerden, 1952).

        Most networks of a space are within a percent of each other and a few fail: on this scale order counts, and
        those few do not outweigh all others.
        """
        unique, counts = np.unique(y, return_counts=True)
        return cls._extended(unique, ndtri((np.cumsum(counts) - counts / 2) / len(y)))

    @classmethod
    def log_error(cls, y: Array) -> Self:
        """-log of how far (n,) values are from the best one, plus a shift: nearly linear, finer towards the best."""
        best, span = float(y.max()), float(np.ptp(y))
        knots = best - span * np.linspace(1.0, 0.0, KNOTS)
        scores = -np.log((best - knots) / span + SHIFT)
        own = np.interp(y, knots, scores)
        return cls._extended(knots, (scores - own.mean()) / max(float(own.std()), 1e-12))

    @classmethod
    def _extended(cls, values: Array, scores: Array) -> Self:
        """With straight ends, as steep as the last few knots are on average."""
        few = min(max(1, round(TAIL * len(values))), len(values) - 1)
        low, high = (
            (values[end] - values[start]) / (scores[end] - scores[start]) for start, end in ((0, few), (-1 - few, -1))
        )
        return cls(
            np.concatenate([values[:1] - REACH * low, values, values[-1:] + REACH * high]),
            np.concatenate([scores[:1] - REACH, scores, scores[-1:] + REACH]),
        )

    def forward(self, values: Array) -> Array:
        """Scores of (n,) values."""
        return np.interp(values, self.values, self.scores)

    def inverse(self, scores: Array) -> Array:
        """Values of (n,) scores."""
        return np.interp(scores, self.scores, self.values)

    def guess(self, mean: Array, std: Array) -> Guess:
        """Means and deviations of values from those of scores."""
        spread = (self.inverse(mean + std) - self.inverse(mean - std)) / 2
        return Guess(self.inverse(mean), np.maximum(spread, 1e-9 * np.ptp(self.values)))

    def state(self) -> dict[str, Array]:
        """Arrays that make it again, with `restored`."""
        return {"warp.values": self.values, "warp.scores": self.scores}

    @classmethod
    def restored(cls, arrays: Mapping[str, Array]) -> Self:
        """What `state` describes."""
        return cls(arrays["warp.values"], arrays["warp.scores"])
