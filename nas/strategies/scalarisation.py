"""Several losses as one: weighted augmented Chebyshev on ranks, feasible results first.

J. Knowles, "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive multiobjective
optimization problems", IEEE Transactions on Evolutionary Computation 10(1), 2006.
"""

import numpy as np
from numpy.typing import NDArray

from nas.front import feasible, usable
from nas.strategies.ranking import average_ranks

AUGMENTATION = 0.05


def random_weights(n: int, m: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (n, m) weights, uniform on the simplex."""
    drawn = rng.exponential(size=(n, m))
    weights: NDArray[np.float64] = drawn / drawn.sum(axis=1, keepdims=True)
    return weights


def spread_weights(n: int, m: int) -> NDArray[np.float64]:
    """Return (n, m) weights, spread over the simplex; for two losses they are evenly spaced."""
    if m == 1:
        return np.ones((n, 1))
    if m == 2:
        first = (np.arange(n) + 0.5) / n
        return np.stack([first, 1 - first], axis=1)
    return random_weights(n, m, np.random.default_rng([n, m]))


def ranked(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n, m) finite losses as shares in (0, 1] of the results that are at least as good.

    So units, ranges and outliers have no say.
    """
    return average_ranks(losses) / max(len(losses), 1)


def chebyshev(losses: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (k, n): the largest weighted loss, and a little of their sum, for each of k weights.

    Args:
        losses: (n, m), not negative, on one scale.
        weights: (k, m), not negative.
    """
    weighted = weights[:, None, :] * losses[None]
    value: NDArray[np.float64] = weighted.max(axis=2) + AUGMENTATION * weighted.sum(axis=2)
    return value


def costs(
    losses: NDArray[np.float64], violations: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (k, n) numbers to minimise for k weights: the feasible in [0, 2), then by violation, failed infinite.

    Args:
        losses: (n, m), NaN where failed.
        violations: (n,), 0 where all bounds hold.
        weights: (k, m), each row with the sum 1.
    """
    result = np.full((len(weights), len(losses)), np.inf)
    good = feasible(losses, violations)
    if good.any():
        result[:, good] = chebyshev(ranked(losses[good]), weights)
    broken = usable(losses) & (violations > 0)
    result[:, broken] = 2 + violations[broken]
    return result
