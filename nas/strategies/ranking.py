"""Who is better: constrained dominance ranks and crowding, for whole sets of results.

K. Deb, A. Pratap, S. Agarwal, T. Meyarivan, "A fast and elitist multiobjective genetic algorithm:
NSGA-II", IEEE Transactions on Evolutionary Computation 6(2), 2002.
"""

import moocore
import numpy as np
from numpy.typing import NDArray

from nas.front import feasible, usable


def ranks(losses: NDArray[np.float64], violations: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return (n,) ranks, 0 is best, by constrained dominance.

    First the feasible results by non-dominated sorting, then the infeasible by violation, then the failed
    (a loss that is not finite or a violation that is NaN), which share one rank.

    Args:
        losses: (n, m), to be minimised.
        violations: (n,), 0 where all bounds hold.
    """
    result = np.zeros(len(losses), np.intp)
    good = feasible(losses, violations)
    if good.all():
        if len(losses):
            result[:] = moocore.pareto_rank(losses)
        return result
    if good.any():
        result[good] = moocore.pareto_rank(losses[good])
    broken = usable(losses) & (violations > 0)
    _, order = np.unique(violations[broken], return_inverse=True)
    result[broken] = order + len(losses)
    result[~(good | broken)] = failed_rank(len(losses))
    return result


def average_ranks(values: NDArray[np.float64], axis: int = 0) -> NDArray[np.float64]:
    """Return ranks along an axis, 1 is the least; equal values share the mean of theirs.

    It is `scipy.stats.rankdata`, whose import takes longer than all other imports of a strategy.
    """

    def of(row: NDArray[np.float64]) -> NDArray[np.float64]:
        ordered = np.sort(row)
        below, with_equals = np.searchsorted(ordered, row, "left"), np.searchsorted(ordered, row, "right")
        return (below + with_equals + 1) / 2

    found: NDArray[np.float64] = np.apply_along_axis(of, axis, values)
    return found


def failed_rank(n: int) -> int:
    """Return the rank of failed results among n: behind every other."""
    return 2 * n


def crowding(losses: NDArray[np.float64], rank: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return (n,) crowding distances within each rank; infinite at the ends of a front.

    Args:
        losses: (n, m) finite losses.
        rank: (n,) as `ranks` gives them.
    """
    n, m = losses.shape
    if n == 0:
        return np.zeros(0)
    orders = np.stack([np.lexsort((column, rank)) for column in losses.T], axis=1)
    values = losses[orders, np.arange(m)]
    front = rank[orders[:, 0]]  # the same in every column
    edge = np.ones(n + 1, np.bool_)
    np.not_equal(front[1:], front[:-1], out=edge[1:-1])
    cuts = np.flatnonzero(edge)
    spans = values[cuts[1:] - 1] - values[cuts[:-1]]
    spans[spans == 0] = 1.0
    gaps = np.full((n, m), np.inf)
    gaps[1:-1] = values[2:] - values[:-2]
    gaps /= spans.repeat(np.diff(cuts), axis=0)
    gaps[edge[1:] | edge[:-1]] = np.inf
    distances = np.empty((n, m))
    distances[orders, np.arange(m)] = gaps
    total: NDArray[np.float64] = distances.sum(axis=1)
    return total


def best(losses: NDArray[np.float64], violations: NDArray[np.float64], k: int) -> NDArray[np.intp]:
    """Return the indices of the k best results, best first: by rank, then least crowded.

    Failed results are never among them, so there may be fewer than k.
    """
    rank = ranks(losses, violations)
    alive = np.flatnonzero(rank < failed_rank(len(losses)))
    if len(alive) < len(losses):
        losses, rank = losses[alive], rank[alive]
    return alive[np.lexsort((-crowding(losses, rank), rank))[:k]]
