"""Whether a search goes on to find anything: the growth of its front's hypervolume."""

import numpy as np
from numpy.typing import NDArray

from nas.front import feasible, hypervolume

BEYOND = 0.1

Array = NDArray[np.float64]


class Stall:
    """Watches the hypervolume of the feasible evaluations that were told.

    Those of now and of `evaluations` ago are taken by one reference point, a tenth of each objective's range beyond the
    worst that was feasible so far, so that they can be compared although the reference moves. What is seen depends on
    nothing but what was told and in which order, so a search that is resumed ends where it would have ended.

    Args:
        evaluations: how many are looked back.
        growth: the least relative growth over these with which a search goes on.
    """

    def __init__(self, evaluations: int, growth: float) -> None:
        self._window, self._growth = evaluations, growth
        self._losses: list[Array] = []
        self._counts: list[int] = []

    def observe(self, losses: Array, violations: Array) -> None:
        """Take in a batch: (n, m) losses and (n,) violations, NaN where an evaluation failed."""
        self._losses.append(losses[feasible(losses, violations)])
        self._counts.append(len(losses))

    @property
    def reason(self) -> str:
        """What it means that a search is stalled, in words."""
        return f"its front has grown by no more than {self._growth:.2%} in the last {self._window} evaluations"

    @property
    def stalled(self) -> bool:
        """Whether the front has not grown over the last evaluations; never before there is one that is feasible."""
        past, told = len(self._counts), 0
        while past and told < self._window:
            past -= 1
            told += self._counts[past]
        if told < self._window or not past:
            return False
        before, everything = np.concatenate(self._losses[:past]), np.concatenate(self._losses)
        if not len(before):
            return False
        worst, span = everything.max(axis=0), np.ptp(everything, axis=0)
        reference = worst + np.where(span > 0, BEYOND * span, 1.0)
        now, then = hypervolume(everything, reference), hypervolume(before, reference)
        return bool(now - then <= self._growth * now)
