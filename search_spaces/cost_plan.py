"""Choosing the graphs to assemble so that every entry of the cost tables is seen, many entries in each graph."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from search_spaces.cost_discovery import Buildable, Dependencies, Rows, extend, keys
from search_spaces.costs import METRICS

LARGEST_TABLE = 250_000
"""Combinations of options that are looked at for one table."""
MOST_GRAPHS = 4_000
"""Graphs that may be assembled to fill one table."""


class TooMany(Exception):
    """Some costs depend on too many decisions at once to be tabulated.

    Attributes:
        nodes: for each metric (its index) the nodes whose cost of this kind does.
    """

    def __init__(self, nodes: dict[int, tuple[str, ...]]) -> None:
        super().__init__(nodes)
        self.nodes = nodes


class _Wanted:
    """The combinations of a set of decisions that no graph of the evidence shows.

    Rows are (m, d) genotypes in which only `columns` matter: the set itself and the decisions above it, which say
    whether its members are active. Several rows may stand for one combination; one of them is enough.
    """

    def __init__(self, space: Buildable, columns: NDArray[np.intp], parents: Iterable[int]) -> None:
        self.columns = np.union1d(columns, np.array(sorted(parents), np.intp))
        sizes = [int(space.cardinalities[column]) for column in self.columns]
        self.feasible = float(np.prod(np.array(sizes, np.float64))) <= LARGEST_TABLE
        if not self.feasible:
            return
        grid = np.stack([axis.reshape(-1) for axis in np.indices(sizes, np.int16)], axis=1)
        rows = np.zeros((len(grid), len(space.decisions)), np.int16)
        rows[:, self.columns] = grid
        active = space.active(rows)
        reachable = ~((rows > 0) & ~active).any(axis=1)
        # Rows that leave more decisions active leave more room for the combinations of others.
        self.rows = rows[reachable][np.argsort(-active[reachable].sum(axis=1), kind="stable")]
        self.keys = keys(extend(space, self.rows), columns, space)
        self.open = np.ones(len(self.rows), np.bool_)

    def close(self, seen: NDArray[np.int64] | int) -> None:
        """Forget combinations."""
        self.open &= ~np.isin(self.keys, seen)

    def place(self, partial: Rows) -> None:
        """Write the first open combination that fits into a partly decided (d,) genotype (-1: undecided)."""
        given = partial[self.columns]
        fits = self.open & ((given < 0) | (given == self.rows[:, self.columns])).all(axis=1)
        first = int(fits.argmax())
        if fits[first]:
            partial[self.columns] = self.rows[first, self.columns]
            self.open &= self.keys != self.keys[first]


def plan(dependencies: Dependencies, rng: np.random.Generator) -> Rows:
    """Canonical genotypes, (n, d), that together show every combination that the evidence lacks.

    Raises:
        TooMany: there are more combinations of some decisions than the limits of this module allow.
    """
    space = dependencies.space
    extended = dependencies.evidence.extended()
    wanted: list[_Wanted] = []
    too_many: dict[int, tuple[str, ...]] = {}
    for columns, members in _largest(dependencies):
        each = _Wanted(space, columns, frozenset().union(*[dependencies.parents[column] for column in columns]))
        if each.feasible:
            each.close(keys(extended, columns, space))
        if not each.feasible or len(np.unique(each.keys[each.open])) > MOST_GRAPHS:
            nodes = dependencies.evidence.nodes
            for member in members:
                metric = int(member) % len(METRICS)
                too_many[metric] = (*too_many.get(metric, ()), nodes[int(member) // len(METRICS)])
        else:
            wanted.append(each)
    if too_many:
        raise TooMany(too_many)
    partials = []
    while any(each.open.any() for each in wanted):
        partial = np.full(len(space.decisions), -1, np.int16)
        for each in sorted(wanted, key=lambda each: -int(each.open.sum())):
            each.place(partial)
        partials.append(partial)
    rest = space.sample(len(partials), rng)
    decided = np.array(partials, np.int16).reshape(-1, len(space.decisions))
    return space.canonical(np.where(decided < 0, rest, decided))


def _largest(dependencies: Dependencies) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """The sets of decisions that are no part of another: whoever shows all of theirs shows all of all."""
    patterns = dependencies.patterns()
    sets = [frozenset(columns.tolist()) for columns, _ in patterns]
    return [pattern for pattern, own in zip(patterns, sets, strict=True) if not any(own < other for other in sets)]
