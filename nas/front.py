"""The Pareto front: which results cannot be improved without giving something up.

All functions take losses (n, m), to be minimised, with NaN for a failed evaluation. Dominance and
hypervolume are computed by moocore.
"""

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

Losses = NDArray[np.float64]


def usable(losses: Losses) -> NDArray[np.bool_]:
    """Return the (n,) mask of evaluations that did not fail: all losses are finite."""
    good: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(_matrix(losses)), axis=1)
    return good


def feasible(losses: Losses, violations: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the (n,) mask of evaluations that succeeded and meet every bound."""
    given = np.asarray(violations, np.float64)
    if given.shape != (len(losses),):
        raise ValueError(f"violations must have shape ({len(losses)},) beside these losses (got {given.shape})")
    return usable(losses) & (given <= 0)


def front(losses: Losses, violations: NDArray[np.float64] | None = None) -> NDArray[np.intp]:
    """Return the indices (k,) of the feasible results that no feasible result dominates.

    Results with equal losses do not dominate each other, so all of them are in. The order is ascending
    in the first loss, then the second, and so on. Without a feasible result the front is empty; `nearest`
    then says what came closest.

    Raises:
        ValueError: the shapes do not fit.
    """
    given = _matrix(losses)
    candidates = np.flatnonzero(usable(given) if violations is None else feasible(given, violations))
    if not candidates.size:
        return candidates
    kept: NDArray[np.bool_] = moocore.is_nondominated(given[candidates], keep_weakly=True)
    best = candidates[kept]
    return best[np.lexsort(given[best].T[::-1])]


def nearest(losses: Losses, violations: NDArray[np.float64]) -> int | None:
    """Return the index of the successful result with the least violation; None when all failed.

    Raises:
        ValueError: the shapes do not fit.
    """
    given = _matrix(losses)
    amount = np.where(feasible(given, violations), 0.0, violations)
    amount = np.where(usable(given) & ~np.isnan(amount), amount, np.inf)
    if not np.isfinite(amount).any():
        return None
    return int(amount.argmin())


def hypervolume(losses: Losses, reference: ArrayLike) -> float:
    """Return the volume that (n, m) losses dominate, up to the reference point (m,).

    Failed results and results that are not better than the reference in every loss add nothing.

    Raises:
        ValueError: the reference is not m finite numbers.
    """
    given = _matrix(losses)
    corner = np.asarray(reference, np.float64)
    if corner.shape != (given.shape[1],) or not np.isfinite(corner).all():
        raise ValueError(f"the reference point must be {given.shape[1]} finite numbers (got {reference!r})")
    inside = given[usable(given) & (given < corner).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=corner)) if len(inside) else 0.0


def normalise(losses: Losses, lower: ArrayLike | None = None, upper: ArrayLike | None = None) -> NDArray[np.float64]:
    """Scale each loss so that `lower` (m,) becomes 0 and `upper` (m,) becomes 1; NaN rows stay.

    By default the bounds are the smallest and the largest losses among the results that did not fail. A
    loss whose bounds coincide becomes 0 at the bound.
    """
    given = _matrix(losses)
    good = given[usable(given)]
    if not len(good) and (lower is None or upper is None):
        return np.full_like(given, np.nan)
    low = np.asarray(good.min(axis=0) if lower is None else lower, np.float64)
    high = np.asarray(good.max(axis=0) if upper is None else upper, np.float64)
    return (given - low) / np.where(high > low, high - low, 1.0)


def knee(losses: Losses, violations: NDArray[np.float64] | None = None) -> int | None:
    """Return the index of the balanced choice on the front; None when the front is empty.

    It is the point nearest to the ideal point (the best of each loss) after the front is scaled to the
    unit cube (compromise programming: M. Zeleny, 1973). Of equal points it is the first.

    Raises:
        ValueError: the shapes do not fit.
    """
    best = front(losses, violations)
    if not best.size:
        return None
    distances = np.linalg.norm(normalise(_matrix(losses)[best]), axis=1)
    return int(best[np.isclose(distances, distances.min(), rtol=1e-12)].min())


def _matrix(losses: Losses) -> Losses:
    given = np.asarray(losses, np.float64)
    if given.ndim != 2 or not given.shape[1]:
        raise ValueError(f"losses must have shape (n, m), one column per objective (got {given.shape})")
    return given
