"""Finding out which decisions the cost of a node depends on, from the costs of assembled graphs.

An *extended* genotype counts "inactive" as a choice: 0 for an inactive decision, 1 + index for an active one. The
cost of a node (named as in the graph; 0 where the graph does not have it) is a function of some columns of it.
Which ones is guessed from one-at-a-time changes and then held against every graph that is ever assembled: two
graphs that agree in these columns and not in the cost show that a column is missing, and walking from one to the
other shows which.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from search_spaces.costs import METRICS, node_costs
from search_spaces.decision import Decision
from search_spaces.graph import Graph

Rows = NDArray[np.int16]
PROBED_AT_RANDOM = 2


class Buildable(Protocol):
    """What is asked of a space."""

    decisions: tuple[Decision, ...]
    cardinalities: NDArray[np.int16]

    def active(self, population: Rows) -> NDArray[np.bool_]:
        """Which decisions matter, (n, d)."""

    def canonical(self, population: Rows) -> Rows:
        """Inactive decisions at 0, (n, d)."""

    def sample(self, n: int, rng: np.random.Generator) -> Rows:
        """Random canonical genotypes, (n, d)."""

    def graph(self, genotype: Rows) -> Graph:
        """The network of a (d,) row."""


class Evidence:
    """Genotypes with the node costs of their graphs; every genotype is assembled once."""

    def __init__(self, space: Buildable) -> None:
        self._space = space
        self._places: dict[bytes, int] = {}
        self._found: list[tuple[list[int], NDArray[np.int64]]] = []
        self._rows: list[Rows] = []
        self._columns: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def nodes(self) -> list[str]:
        """Names of all V nodes that were seen."""
        return list(self._columns)

    def add(self, population: Rows) -> list[int]:
        """Assemble what is not known yet; returns the place of each of the (n, d) canonical rows."""
        places = []
        for row in population:
            key = row.tobytes()
            if key not in self._places:
                names, costs = node_costs(self._space.graph(row))
                columns = [self._columns.setdefault(name, len(self._columns)) for name in names]
                self._places[key] = len(self._rows)
                self._rows.append(row)
                self._found.append((columns, costs))
            places.append(self._places[key])
        return places

    def rows(self) -> Rows:
        """All g genotypes, (g, d)."""
        return np.array(self._rows, np.int16)

    def extended(self) -> NDArray[np.int64]:
        """All g genotypes with "inactive" as a choice, (g, d)."""
        return extend(self._space, self.rows())

    def values(self) -> NDArray[np.int64]:
        """All costs, (g, V * metrics): those of a node lie side by side."""
        dense = np.zeros((len(self), len(self._columns), len(METRICS)), np.int64)
        for place, (columns, costs) in enumerate(self._found):
            dense[place, columns] = costs
        return dense.reshape(len(self), -1)


def extend(space: Buildable, population: Rows) -> NDArray[np.int64]:
    """Canonical genotypes with "inactive" as a choice, (n, d)."""
    extended: NDArray[np.int64] = np.add(population, space.active(population), dtype=np.int64)
    return extended


def keys(extended: NDArray[np.int64], columns: NDArray[np.intp], space: Buildable) -> NDArray[np.int64]:
    """A number for what each row holds in the given columns, (n,), below `table_size`."""
    total = np.zeros(len(extended), np.int64)
    for column in columns:
        total *= int(space.cardinalities[column]) + 1
        total += extended[:, column]
    return total


def table_size(columns: NDArray[np.intp], space: Buildable) -> int:
    """One more than the largest of `keys`."""
    return int(np.prod(space.cardinalities[columns].astype(np.int64) + 1))


class Dependencies:
    """On which decisions each cost of each node depends, as far as the evidence goes.

    Attributes:
        masks: (V * metrics, d); a new array when it changes.
        ignored: metrics (their indices) that need not be explained any more.
    """

    def __init__(self, space: Buildable, evidence: Evidence, rng: np.random.Generator) -> None:
        self.space = space
        self.evidence = evidence
        self.parents = ancestors(space.decisions)
        self.masks = np.zeros((0, len(space.decisions)), np.bool_)
        self.ignored: set[int] = set()
        self._probe(rng)

    def settle(self) -> None:
        """Add decisions until no two graphs of the evidence contradict each other."""
        while True:
            self._grow()
            values, extended = self.evidence.values(), self.evidence.extended()
            pairs: dict[tuple[int, int], list[int]] = {}
            for member, first, second in self._conflicts(values, extended):
                pairs.setdefault((first, second), []).append(member)
            if not pairs:
                return
            for (first, second), members in pairs.items():
                self._walk(first, second, members)

    def patterns(self) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Distinct sets of columns, each with the rows of `masks` that hold just it; ignored metrics left out."""
        metrics = np.arange(len(self.masks)) % len(METRICS)
        which = np.flatnonzero(~np.isin(metrics, list(self.ignored)))
        sets, inverse = np.unique(self.masks[which], axis=0, return_inverse=True)
        inverse = inverse.reshape(-1)
        return [(np.flatnonzero(mask), which[inverse == index]) for index, mask in enumerate(sets)]

    def _grow(self) -> None:
        missing = len(self.evidence.nodes) * len(METRICS) - len(self.masks)
        self.masks = np.concatenate([self.masks, np.zeros((missing, self.masks.shape[1]), np.bool_)])

    def _probe(self, rng: np.random.Generator) -> None:
        """Change one decision at a time in a few genotypes: the first options, the last ones, and random ones.

        A decision that others are conditional on takes each of its options, any other one at random.
        """
        space = self.space
        sizes = space.cardinalities
        steer = frozenset().union(*self.parents)
        fixed = np.stack([np.zeros_like(sizes), sizes - 1])
        bases = np.concatenate([space.canonical(fixed), space.sample(PROBED_AT_RANDOM, rng)])
        probes: list[tuple[int, int, int]] = []
        for base in bases:
            (place,) = self.evidence.add(base[None])
            shifts = [
                (column, shift)
                for column, size in enumerate(sizes)
                for shift in (range(1, size) if column in steer else rng.integers(1, max(size, 2), 1))
            ]
            changed = np.repeat(base[None], len(shifts), axis=0)
            for row, (column, shift) in zip(changed, shifts, strict=True):
                row[column] = (base[column] + shift) % sizes[column]
            found = self.evidence.add(space.canonical(changed))
            probes += [(shift[0], place, other) for shift, other in zip(shifts, found, strict=True) if other != place]
        self._grow()
        values, extended = self.evidence.values(), self.evidence.extended()
        # First those that change nothing else; a change that also silences others may be explained by these.
        probes.sort(key=lambda probe: int((extended[probe[1]] != extended[probe[2]]).sum()))
        for column, first, second in probes:
            differs = extended[first] != extended[second]
            explained = (self.masks & differs).any(axis=1)
            self.masks[(values[first] != values[second]) & ~explained, column] = True

    def _conflicts(self, values: NDArray[np.int64], extended: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
        """Members with two places of the evidence that agree in their columns and not in their cost."""
        for columns, members in self.patterns():
            found = keys(extended, columns, self.space)
            _, firsts, inverse = np.unique(found, return_index=True, return_inverse=True)
            mine = values[:, members]
            wrong = mine != mine[firsts[inverse]]
            for position in np.flatnonzero(wrong.any(axis=0)):
                second = int(wrong[:, position].argmax())
                yield int(members[position]), int(firsts[inverse[second]]), second

    def _walk(self, first: int, second: int, members: list[int]) -> None:
        """Turn one genotype into the other decision by decision; see at which one each member's cost changes."""
        rows = self.evidence.rows()
        start, end = rows[first], rows[second]
        columns = sorted(np.flatnonzero(start != end), key=lambda column: len(self.parents[column]))
        path = np.repeat(start[None], len(columns) + 1, axis=0)
        for step, column in enumerate(columns):
            path[step + 1 :, column] = end[column]
        places = self.evidence.add(self.space.canonical(path))
        self._grow()
        values = self.evidence.values()[places]
        extended = self.evidence.extended()[places]
        for member in members:
            mask = self.masks[member]
            changes = values[1:, member] != values[:-1, member]
            changes &= (extended[1:, mask] == extended[:-1, mask]).all(axis=1)
            if changes.any():
                mask[columns[int(changes.argmax())]] = True
            else:  # every step changed columns that are known already: one of the others it must be
                mask[np.flatnonzero((extended[0] != extended[-1]) & ~mask)[0]] = True


def ancestors(decisions: Sequence[Decision]) -> list[frozenset[int]]:
    """For each decision the columns that its being active depends on."""
    columns = {decision.name: column for column, decision in enumerate(decisions)}

    def above(column: int) -> frozenset[int]:
        parents = [columns[condition.decision] for condition in decisions[column].active]
        return frozenset(parents).union(*[above(parent) for parent in parents])

    return [above(column) for column in range(len(decisions))]
