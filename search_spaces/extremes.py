"""The largest and the smallest network of a space."""

import numpy as np

from search_spaces.cost_discovery import Buildable, Rows
from search_spaces.costs import costs


def extreme(space: Buildable, *, largest: bool) -> Rows:
    """The (d,) canonical genotype of the largest or smallest network.

    Decisions whose options are all numbers take the largest or smallest of them. The others are chosen by MACs:
    first one and the same option everywhere, then one decision after the other until none improves.
    """
    row = np.zeros(len(space.decisions), np.int16)
    named = []
    for column, decision in enumerate(space.decisions):
        options = decision.options
        if all(isinstance(option, int | float) for option in options):
            indices = range(len(options))
            row[column] = max(indices, key=options.__getitem__) if largest else min(indices, key=options.__getitem__)
        else:
            named.append(column)

    def size(candidate: Rows) -> float:
        macs = costs(space.graph(space.canonical(candidate[None])[0]))["macs"]
        return macs if largest else -macs

    starts = []
    for name in dict.fromkeys(option for column in named for option in space.decisions[column].options):
        start = row.copy()
        for column in named:
            options = space.decisions[column].options
            start[column] = options.index(name) if name in options else 0
        starts.append(start)
    if starts:
        row = max(starts, key=size)
    best = size(row) if named else 0.0
    improved = bool(named)
    while improved:
        improved = False
        for column in named:
            for option in range(len(space.decisions[column].options)):
                candidate = row.copy()
                candidate[column] = option
                found = size(candidate)
                if found > best:
                    row, best, improved = candidate, found, True
    canonical: Rows = space.canonical(row[None])[0]
    return canonical
