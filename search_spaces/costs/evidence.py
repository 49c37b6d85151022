"""Genotypes whose graphs were assembled, and what each node of these costs.

An *extended* genotype has a column for every decision and then one for every fact (`SearchSpace.facts`). Of a
decision it counts "inactive" as a choice: 0 for an inactive one, 1 + index for an active one.
"""

from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from search_spaces.costs.static import ADDITIVE, combine, node_costs
from search_spaces.decision import Decision
from search_spaces.graph import Graph

Rows = NDArray[np.int16]
Extended = NDArray[np.int64]
Columns = NDArray[np.intp]
PROBES = 1_000
"""Graphs that changes of single decisions take at most."""


class Buildable(Protocol):
    """What is asked of a space."""

    decisions: tuple[Decision, ...]
    cardinalities: NDArray[np.int16]
    fact_sizes: tuple[int, ...]
    tabulated: ClassVar[bool]

    def active(self, population: Rows) -> NDArray[np.bool_]:
        """Which decisions matter, (n, d)."""

    def canonical(self, population: Rows) -> Rows:
        """Inactive decisions at 0, (n, d)."""

    def facts(self, population: Rows) -> Rows:
        """What follows from several decisions at once, (n, f)."""

    def sample(self, n: int, rng: np.random.Generator) -> Rows:
        """Random canonical genotypes, (n, d)."""

    def graph(self, genotype: Rows) -> Graph:
        """The network of a (d,) row."""


def extend(space: Buildable, population: Rows) -> Extended:
    """Canonical genotypes, extended: (n, d + f)."""
    return np.concatenate([population + space.active(population), space.facts(population)], axis=1, dtype=np.int64)


def extended_sizes(space: Buildable) -> NDArray[np.int64]:
    """For each column of an extended genotype how many values it may take, (d + f,)."""
    return np.array([*(space.cardinalities + 1), *space.fact_sizes], np.int64)


def keys(extended: Extended, columns: Columns, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for what each row holds in the given columns, (n,), below the product of their sizes."""
    total = np.zeros(len(extended), np.int64)
    for column in columns:
        total *= sizes[column]
        total += extended[:, column]
    return total


class Group(NamedTuple):
    """Nodes whose costs are the same in all graphs, but for a factor.

    Attributes:
        nodes: their numbers, in the order of `Evidence.nodes`.
        rows: the graphs in which they cost something.
        costs: what they cost there together: their sum, or the largest where the metric is a maximum.
    """

    nodes: NDArray[np.intp]
    rows: NDArray[np.intp]
    costs: NDArray[np.int64]


class Evidence:
    """Graphs that were assembled, each genotype once.

    Attributes:
        nodes: the names of all nodes that were seen.
        steps: pairs of graphs (their places) between which little was changed.
    """

    def __init__(self, space: Buildable) -> None:
        self.space = space
        self.sizes = extended_sizes(space)
        self.nodes: list[str] = []
        self.steps: list[tuple[int, int]] = []
        self._probed: set[int] = set()
        self._numbers: dict[str, int] = {}
        self._places: dict[bytes, int] = {}
        self._found: list[tuple[NDArray[np.int32], NDArray[np.int64]]] = []
        self._totals: list[NDArray[np.int64]] = []
        self._rows = np.zeros((0, len(space.decisions)), np.int16)
        self._extended = np.zeros((0, len(self.sizes)), np.int64)

    def __len__(self) -> int:
        return len(self._found)

    @property
    def rows(self) -> Rows:
        """All g genotypes, (g, d)."""
        return self._rows

    @property
    def extended(self) -> Extended:
        """The same, extended."""
        return self._extended

    def place(self, row: Rows) -> int | None:
        """Where a canonical (d,) row stands, if it was assembled."""
        return self._places.get(row.tobytes())

    def total(self, place: int) -> NDArray[np.int64]:
        """The metrics of a graph, (4,)."""
        return self._totals[place]

    def add(self, population: Rows) -> list[int]:
        """Assemble what is not known yet; returns the place of each of the (n, d) canonical rows."""
        new: list[Rows] = []
        places = []
        for row in population:
            key = row.tobytes()
            place = self._places.get(key)
            if place is None:
                place = self._places[key] = len(self._found)
                new.append(row)
                names, costs = node_costs(self.space.graph(row))
                self._found.append((self._number(names), costs))
                self._totals.append(combine(costs))
            places.append(place)
        if new:
            self._rows = np.concatenate([self._rows, np.array(new, np.int16)])
            self._extended = np.concatenate([self._extended, extend(self.space, np.array(new, np.int16))])
        return places

    def cost(self, place: int, node: int, metric: int) -> int:
        """What one node costs in one graph; 0 where the graph does not have it."""
        nodes, costs = self._found[place]
        found = np.flatnonzero(nodes == node)
        return int(costs[found[0], metric]) if len(found) else 0

    def groups(self, metric: int) -> list[Group]:
        """All nodes that cost something in some graph."""
        nodes = np.concatenate([nodes for nodes, _ in self._found])
        rows = np.repeat(np.arange(len(self._found)), [len(nodes) for nodes, _ in self._found])
        values = np.concatenate([costs[:, metric] for _, costs in self._found])
        kept = np.flatnonzero(values)
        kept = kept[np.argsort(nodes[kept], kind="stable")]
        nodes, rows, values = nodes[kept], rows[kept], values[kept]
        starts = np.flatnonzero(np.diff(nodes, prepend=-1))
        ends = [*starts[1:].tolist(), len(nodes)]
        factors = np.gcd.reduceat(values, starts) if len(starts) else np.zeros(0, np.int64)
        plain = values // np.repeat(factors, np.diff([*starts, len(nodes)]))
        alike: dict[tuple[bytes, bytes], list[int]] = {}
        for index, (start, end) in enumerate(zip(starts.tolist(), ends, strict=True)):
            alike.setdefault((rows[start:end].tobytes(), plain[start:end].tobytes()), []).append(index)
        groups = []
        for members in alike.values():
            start, end = int(starts[members[0]]), ends[members[0]]
            factor = factors[members].sum() if ADDITIVE[metric] else factors[members].max()
            groups.append(Group(nodes[starts[members]].astype(np.intp), rows[start:end], plain[start:end] * factor))
        return groups

    def probe(self, rng: np.random.Generator) -> None:
        """Change one decision at a time, in graphs that together have every node that was seen."""
        space = self.space
        while len(self.steps) < PROBES:
            probed = np.zeros(len(self.nodes), np.bool_)
            probed[list(self._probed)] = True
            counts = [int((~probed[nodes]).sum()) for nodes, _ in self._found]
            base = int(np.argmax(counts))
            if not counts[base]:
                return
            self._probed.update(self._found[base][0].tolist())
            row = self._rows[base]
            columns = np.flatnonzero(space.active(row[None])[0] & (space.cardinalities > 1))
            changed = np.repeat(row[None], len(columns), axis=0)
            places = np.arange(len(columns)), columns
            changed[places] = (changed[places] + rng.integers(1, space.cardinalities[columns])) % space.cardinalities[
                columns
            ]
            self.steps += [(base, place) for place in self.add(space.canonical(changed)) if place != base]

    def _number(self, names: list[str]) -> NDArray[np.int32]:
        known = self._numbers
        for name in names:
            if name not in known:
                known[name] = len(known)
                self.nodes.append(name)
        return np.array([known[name] for name in names], np.int32)
