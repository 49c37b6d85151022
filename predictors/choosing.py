"""Which networks to measure: few that tell most about all others."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from predictors.averaged_process import AveragedProcess
from predictors.errors import PredictorError
from predictors.kernels import Part

Array = NDArray[np.float64]

LARGEST_POOL = 800
NOISE = 0.05
"""Variance of a measurement's noise in units of the variance of what is measured."""
LEVEL = 5.0
"""Prior variance of the constant level, in the same units."""


def choose(
    parts: Sequence[Part], pool: Array, n: int, *, seed: int = 0, known: Array | None = None
) -> NDArray[np.intp]:
    """Return n rows of (p, f) candidates to measure, the most informative first.

    One after the other, each is the one that lowers the expected variance over the candidates most, by a Gaussian
    process that knows nothing yet but its prior (D. Cohn, "Neural network exploration using optimal experiment design",
    1996). Being far from what was chosen and near to what was not, they are diverse and typical at once.

    Args:
        parts: what the columns are made of.
        pool: scaled features of the candidates; of more than `LARGEST_POOL` so many are looked at, at random.
        n: how many.
        seed: of that.
        known: (k, f) features of networks that are measured already.

    Raises:
        PredictorError: more are asked for than there are.
    """
    if not 0 < n <= len(pool):
        raise PredictorError(f"1 to {len(pool)} of {len(pool)} candidates can be chosen (got {n})")
    rng = np.random.default_rng([seed, 6])
    size = max(LARGEST_POOL, n)
    rows = rng.choice(len(pool), size, replace=False) if len(pool) > size else np.arange(len(pool))
    x = pool[rows]
    everything = x if known is None else np.concatenate([x, known])
    covariance = AveragedProcess(parts).prior(everything, everything) + LEVEL
    for place in range(len(x), len(everything)):
        _observe(covariance, place)
    covariance = covariance[: len(x), : len(x)]
    free = np.ones(len(x), np.bool_)
    chosen = []
    for _ in range(n):
        gain = np.where(free, (covariance**2).sum(axis=0) / (np.diag(covariance) + NOISE), -1.0)
        place = int(gain.argmax())
        free[place] = False
        chosen.append(place)
        _observe(covariance, place)
    found: NDArray[np.intp] = rows[np.array(chosen)]
    return found


def _observe(covariance: Array, place: int) -> None:
    """Condition on a measurement, in place."""
    column = covariance[:, place].copy()
    covariance -= np.outer(column, column) / (column[place] + NOISE)
