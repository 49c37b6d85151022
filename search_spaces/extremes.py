"""The largest and the smallest network of a space."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from search_spaces.costs.evidence import Buildable, Rows


def extreme(
    space: Buildable, macs: Callable[[Rows], NDArray[np.float64]], *, largest: bool, held: Rows | None = None
) -> Rows:
    """The (d,) canonical genotype of the largest or smallest network.

    Decisions whose options are all numbers take the largest or smallest of them. The others are chosen by MACs:
    first one and the same option everywhere, then one decision after the other until none improves.

    Args:
        space: what can be built.
        macs: of canonical genotypes (n, d) -> (n,).
        largest: or smallest.
        held: (d,) options that are given, -1 for decisions that are free.
    """
    row = np.zeros(len(space.decisions), np.int16)
    named = []
    for column, decision in enumerate(space.decisions):
        options = decision.options
        if held is not None and held[column] >= 0:
            row[column] = held[column]
        elif all(isinstance(option, int | float) for option in options):
            indices = range(len(options))
            row[column] = max(indices, key=options.__getitem__) if largest else min(indices, key=options.__getitem__)
        else:
            named.append(column)

    def best_of(candidates: list[Rows]) -> tuple[Rows, float]:
        """The first of the best, and how good it is."""
        found = macs(space.canonical(np.array(candidates))) * (1 if largest else -1)
        best = int(found.argmax())
        return candidates[best], float(found[best])

    starts = []
    for name in dict.fromkeys(option for column in named for option in space.decisions[column].options):
        start = row.copy()
        for column in named:
            options = space.decisions[column].options
            start[column] = options.index(name) if name in options else 0
        starts.append(start)
    row, best = best_of(starts or [row])
    improved = bool(named)
    while improved:
        improved = False
        for column in named:
            candidates = np.repeat(row[None], len(space.decisions[column].options), axis=0)
            candidates[:, column] = np.arange(len(candidates))
            candidate, found = best_of(list(candidates))
            if found > best:
                row, best, improved = candidate, found, True
    canonical: Rows = space.canonical(row[None])[0]
    return canonical
