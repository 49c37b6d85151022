"""Paths through networks whose decisions open and close them, for whole populations.

In a cell space an option may cut the path that runs through it, so which operators matter, and how deep the network
is, depends on several decisions at once. A decision is a *gate* when one of its options cuts its path in the largest
network. Between two values that every path passes lies a segment; segments that are alike are evaluated once, by
dynamic programming over their values with the gates as edges.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces.genotypes import Population
from search_spaces.probes import Network, Probe, weight

Array = NDArray[np.float64]

KINDS = 4
"""Ways to measure a path, as `probes.weight` says."""
TILTS = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, -1, 0], [0, 0, 0, -2]], np.float64)
"""Rows of weights: log sum over paths of exp(weights * length)."""
QUANTITIES = 2 * KINDS + len(TILTS)
_DEAD = np.array([0.0] * KINDS + [-1.0] * KINDS + [-5.0] * len(TILTS))


class Gate(NamedTuple):
    """A decision that opens and closes paths.

    Attributes:
        column: of the decision.
        closed: (options,) whether the option cuts the path.
        longest: (options, KINDS) length of the longest way through the option's own nodes.
        shortest: the same for the shortest.
        places: nodes of the largest network that it owns.
        own: for each option the nodes that are there for it, by name.
    """

    column: int
    closed: NDArray[np.bool_]
    longest: Array
    shortest: Array
    places: frozenset[str]
    own: tuple[frozenset[str], ...]


class Edge(NamedTuple):
    """From one value of a segment to another, through a gate (its index) or none (-1), with fixed lengths added."""

    source: int
    gate: int
    fixed: tuple[float, ...]


Segment = tuple[tuple[Edge, ...], ...]
"""For each value after the first the edges that lead to it; the last value is the segment's end."""


def gates(probes: list[Probe], base: Network) -> list[Gate]:
    """The decisions that cut paths of the base network, in column order."""
    total = count_paths(base, frozenset())
    found = []
    for column, probe in enumerate(probes):
        chosen = probe.chosen
        if probe.networks[chosen] is not base or len(probe.networks) < 2:
            continue
        missing = [_only_in(base, other) for option, other in enumerate(probe.networks) if option != chosen]
        places = frozenset.intersection(*missing)
        if not places:
            continue
        without = count_paths(base, places)
        own = tuple(
            places if option == chosen else _only_in(other, base) for option, other in enumerate(probe.networks)
        )
        closed = np.array(
            [
                option != chosen and without < total and count_paths(other, frozenset()) <= without
                for option, other in enumerate(probe.networks)
            ]
        )
        if closed.any():
            lengths = [_through(each, nodes) for each, nodes in zip(probe.networks, own, strict=True)]
            longest, shortest = (np.array([pair[side] for pair in lengths]) for side in (0, 1))
            found.append(Gate(column, closed, longest, shortest, places, own))
    return found


def count_paths(network: Network, without: frozenset[str]) -> int:
    """The number of paths from the inputs to the outputs that avoid some nodes."""
    counts = _forward(network, without)
    return sum(counts.get(name, 1) for name in network.outputs)


def segments(base: Network, gates: list[Gate]) -> list[tuple[Segment, int]]:
    """Distinct segments of the base network that contain gates, each with the number of times it occurs."""
    owner = {name: index for index, gate in enumerate(gates) for name in gate.places}
    forward = _forward(base, frozenset())
    backward = _backward(base)
    total = sum(forward.get(name, 1) for name in base.outputs)
    found: dict[Segment, int] = {}
    start: str | None = None
    body: list[str] = []
    inputs = {name for sources in base.sources.values() for name in sources if name not in base.nodes}
    if len(inputs) == 1:
        (start,) = inputs
    for name in base.nodes:
        body.append(name)
        if forward[name] * backward[name] != total or name in owner:
            continue
        if start is not None and any(each in owner for each in body):
            segment = _segment(base, start, body, owner)
            found[segment] = found.get(segment, 0) + 1
        start, body = name, []
    return list(found.items())


class Routes:
    """Lengths and numbers of paths, and which gates lie on one.

    Args:
        base: the largest network.
        gates: as `gates` finds them.

    Attributes:
        gates: as given.
        features: how many features of paths there are.
        segments: distinct parts of the network that contain gates, each with the number of times it occurs.
    """

    def __init__(self, base: Network, gates: list[Gate]) -> None:
        self.gates = gates
        self.features = 1 + QUANTITIES
        self.segments = segments(base, gates)

    def __call__(self, population: Population) -> tuple[Array, NDArray[np.bool_]]:
        """Return (n, features) features of paths and the (n, gates) mask of those that lie on a path.

        The first feature says whether there is any path; the others are the longest and the shortest lengths of each
        kind and the logarithms of tilted sums over all paths (TILTS), added up over all segments.
        """
        n = len(population)
        total = np.zeros((n, QUANTITIES))
        alive = np.ones(n, np.bool_)
        live = np.zeros((n, len(self.gates)), np.bool_)
        for segment, times in self.segments:
            found, reached, used = self._through(segment, population)
            total += times * np.where(reached[:, None], found, _DEAD)
            alive &= reached
            live |= used
        return np.concatenate([alive[:, None], total], axis=1), live & alive[:, None]

    def _through(self, segment: Segment, population: Population) -> tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]:
        """(n, QUANTITIES), whether a path is open (n,), and the gates on open paths (n, gates)."""
        n = len(population)
        states = [np.zeros((n, QUANTITIES))]
        opened = [np.ones(n, np.bool_)]
        crossed: list[list[NDArray[np.bool_]]] = []
        for edges in segment:
            arrived, ways = [], []
            for edge in edges:
                way = opened[edge.source]
                state = states[edge.source] + _lengths(np.array(edge.fixed), np.array(edge.fixed))
                if edge.gate >= 0:
                    gate = self.gates[edge.gate]
                    chosen = population[:, gate.column]
                    way = way & ~gate.closed[chosen]
                    state = state + _lengths(gate.longest, gate.shortest)[chosen]
                arrived.append(state)
                ways.append(way)
            states.append(_joined(arrived, ways))
            opened.append(np.logical_or.reduce(ways))
            crossed.append(ways)
        needed = [np.zeros(n, np.bool_) for _ in states]
        needed[-1] = opened[-1].copy()
        live = np.zeros((n, len(self.gates)), np.bool_)
        for value in range(len(segment), 0, -1):
            for edge, way in zip(segment[value - 1], crossed[value - 1], strict=True):
                used = way & needed[value]
                needed[edge.source] |= used
                if edge.gate >= 0:
                    live[:, edge.gate] |= used
        return states[-1], opened[-1], live


def _lengths(longest: Array, shortest: Array) -> Array:
    """What (..., KINDS) lengths add to every quantity, (..., QUANTITIES)."""
    return np.concatenate([longest, shortest, (longest + shortest) / 2 @ TILTS.T], axis=-1)


def _joined(states: list[Array], ways: list[NDArray[np.bool_]]) -> Array:
    """The quantities where several ways meet, (n, QUANTITIES); rows without a way hold anything finite."""
    if len(states) == 1:
        return states[0]
    stacked, open_ = np.stack(states), np.stack(ways)[:, :, None]
    blocked = ~open_.any(axis=0)
    low = np.where(open_, stacked, -np.inf)
    longest = low[:, :, :KINDS].max(axis=0)
    shortest = np.where(open_, stacked, np.inf)[:, :, KINDS : 2 * KINDS].min(axis=0)
    sums = np.logaddexp.reduce(low[:, :, 2 * KINDS :], axis=0)
    joined: Array = np.where(blocked, 0.0, np.concatenate([longest, shortest, sums], axis=1))
    return joined


def _only_in(network: Network, other: Network) -> frozenset[str]:
    """The nodes of a network that the other has not, or has with another operator or other attributes."""
    return frozenset(name for name, what in network.signatures.items() if other.signatures.get(name) != what)


def _forward(network: Network, without: frozenset[str]) -> dict[str, int]:
    """The number of paths from the inputs to each node."""
    counts: dict[str, int] = {}
    for name, sources in network.sources.items():
        counts[name] = 0 if name in without else sum(counts.get(source, 1) for source in sources)
    return counts


def _backward(network: Network) -> dict[str, int]:
    """The number of paths from each node to the outputs."""
    counts = dict.fromkeys(network.nodes, 0)
    for name in network.outputs:
        counts[name] = counts.get(name, 0) + 1
    for name in reversed(network.nodes):
        for source in network.sources[name]:
            if source in counts:
                counts[source] += counts[name]
    return counts


def _through(network: Network, nodes: frozenset[str]) -> tuple[list[float], list[float]]:
    """The longest and shortest lengths through a set of nodes, the mean over its separate parts."""
    best: dict[str, tuple[Array, Array]] = {}
    inner: set[str] = set()
    for name in network.nodes:
        if name in nodes:
            before = [best[source] for source in network.sources[name] if source in best]
            inner.update(source for source in network.sources[name] if source in best)
            own = np.array(weight(network.nodes[name]))
            longest = np.max([pair[0] for pair in before], axis=0) if before else 0.0
            shortest = np.min([pair[1] for pair in before], axis=0) if before else 0.0
            best[name] = longest + own, shortest + own
    ends = [pair for name, pair in best.items() if name not in inner]
    if not ends:
        return [0.0] * KINDS, [0.0] * KINDS
    return np.mean([pair[0] for pair in ends], axis=0).tolist(), np.mean([pair[1] for pair in ends], axis=0).tolist()


def _segment(base: Network, start: str, body: list[str], owner: dict[str, int]) -> Segment:
    """The nodes between two cut values as edges; nodes that only pass a value on are left out."""
    zero = (0.0,) * KINDS
    places = {start: 0}
    values: list[tuple[Edge, ...]] = []
    for name in body:
        gate = owner.get(name, -1)
        own = zero if gate >= 0 else weight(base.nodes[name])
        edges = []
        for source in base.sources[name]:
            entered = gate if gate >= 0 and owner.get(source, -1) != gate else -1
            if source in places:
                edges.append(Edge(places[source], entered, own))
        if len(edges) == 1 and edges[0].gate < 0 and own == zero and name != body[-1]:
            places[name] = edges[0].source
            continue
        values.append(tuple(edges))
        places[name] = len(values)
    return tuple(values)
