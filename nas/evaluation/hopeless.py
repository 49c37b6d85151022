"""How accurate a network can still turn out to be when a part of the samples was looked at."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hope:
    """When an evaluation is given up.

    Attributes:
        least: the accuracy below which the network is of no use.
        confidence: with which it must be below, over all times that it is asked.
    """

    least: float
    confidence: float

    def gone(self, right: int, seen: int, total: int, looks: int) -> bool:
        """Whether the accuracy on all samples is below the least one.

        The samples that were seen are random ones, so the number of right answers among them is hypergeometric; the
        bound is that of Clopper and Pearson (1934) for it, and the chance to be wrong is shared among all looks.

        Args:
            right: right answers so far.
            seen: samples so far.
            total: samples in all.
            looks: how often it is asked during an evaluation.
        """
        needed = _needed(self.least, total)
        if right + total - seen < needed:
            return True
        if right >= needed:
            return False
        from scipy import stats  # here, because workers that look at all samples start much faster without

        # With as many right answers in all as are needed, so few among those that were seen would be a rare chance.
        chance = float(stats.hypergeom.cdf(right, total, needed, seen))
        return chance < (1 - self.confidence) / looks


def _needed(least: float, total: int) -> int:
    """The fewest right answers whose share is not below the least accuracy."""
    needed = int(least * total)
    while needed / total < least:
        needed += 1
    return min(needed, total)
