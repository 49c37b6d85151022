"""What a result is worth: its share of the hypervolume, or how far it stays behind the front."""

import moocore
import numpy as np
from numpy.typing import NDArray

from nas.front import feasible, front, usable

CORNER = 1.1
LARGEST_FRONT = 200
CHUNK = 4096


class Contribution:
    """A frozen view of a history, by which results are valued.

    Losses are scaled to the shares of the frozen results that are at least as good. A result that the frozen front
    does not dominate is worth the hypervolume that only it adds; another costs what it stays behind (the additive
    epsilon indicator), an infeasible one more than that, by its violation, and a failed one most. Rewards are the
    shares of frozen results with a lesser worth.

    Args:
        losses: (n, m), n at least 1, NaN where failed.
        violations: (n,), 0 where all bounds hold.
    """

    def __init__(self, losses: NDArray[np.float64], violations: NDArray[np.float64]) -> None:
        good = feasible(losses, violations)
        seen = losses[good]
        self._columns = np.sort(seen, axis=0)
        best = front(seen) if len(seen) else np.zeros(0, np.intp)
        if len(best) > LARGEST_FRONT:
            best = best[np.linspace(0, len(best) - 1, LARGEST_FRONT).astype(np.intp)]
        self._front = np.unique(self._scaled(seen[best]), axis=0)
        self._reference = np.full(losses.shape[1], CORNER)
        self._volume = self._hypervolume(self._front)
        self._own = self._contributions()
        self._worths = np.sort(self.worth(losses, violations))

    def worth(self, losses: NDArray[np.float64], violations: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (n,) worths of results, frozen ones or others."""
        result = np.full(len(losses), -np.inf)
        broken = usable(losses) & (violations > 0)
        result[broken] = -2 - violations[broken]
        good = np.flatnonzero(feasible(losses, violations))
        if good.size:
            for part in np.array_split(good, len(good) // CHUNK + 1):
                result[part] = self._feasible_worth(self._scaled(losses[part]))
        return result

    def rewards(self, losses: NDArray[np.float64], violations: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n,) rewards in [0, 1]; 0 for what failed."""
        worth = self.worth(losses, violations)
        below = np.searchsorted(self._worths, worth, side="left") + np.searchsorted(self._worths, worth, side="right")
        return np.where(np.isfinite(worth), below / (2 * len(self._worths)), 0.0)

    def _feasible_worth(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        if not len(self._front):
            return np.zeros(len(points))
        behind = (points[:, None, :] - self._front[None]).min(axis=2)
        worth: NDArray[np.float64] = -np.maximum(behind.max(axis=1), 0.0)
        nearest = behind.argmax(axis=1)
        same = (points == self._front[nearest]).all(axis=1)
        worth[same] = self._own[nearest[same]]
        for index in np.flatnonzero((behind.max(axis=1) < 0) & ~same):
            worth[index] = self._hypervolume(np.vstack([self._front, points[index]])) - self._volume
        return worth

    def _scaled(self, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        n = max(len(self._columns), 1)
        return np.stack(
            [
                np.searchsorted(column, loss, side="right") / n
                for column, loss in zip(self._columns.T, losses.T, strict=True)
            ],
            axis=1,
        )

    def _contributions(self) -> NDArray[np.float64]:
        if self._front.shape[1] == 1 or not len(self._front):  # moocore wants two columns
            gap: NDArray[np.float64] = self._reference[0] - self._front[:, 0]
            return gap
        own: NDArray[np.float64] = moocore.hv_contributions(self._front, ref=self._reference)
        return own

    def _hypervolume(self, points: NDArray[np.float64]) -> float:
        return float(moocore.hypervolume(points, ref=self._reference)) if len(points) else 0.0
