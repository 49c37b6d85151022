"""Features of architectures for predictors, derived from the graphs of any space, for whole populations.

Counts of operators and their costs, lengths and numbers of paths, and the choices themselves. They are found from the
largest network and its one-decision neighbours (a graph for every option of every decision, once), and are look-ups
after that: exact for decisions whose options exchange operators on paths that they may cut, as in cell spaces, and
additive for all others, as in spaces of blocks in a row.
"""

from collections import Counter
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from search_spaces.costs.static import METRICS
from search_spaces.genotypes import Population
from search_spaces.probes import Kind, Network, Probe, probes
from search_spaces.routes import Gate, Routes, gates
from search_spaces.space import SearchSpace

Array = NDArray[np.float64]

COSTS = ("bytes_moved", "macs", "params")
_COLUMNS = tuple(METRICS.index(metric) for metric in COSTS)
SKIP = "skip"


class GraphFeatures:
    """(n, d) genotypes -> (n, f) features in groups that belong together.

    The groups are the counts and costs of what is built; where paths can be cut also the counts of what lies on an open
    path, and the features of paths; and the one-hot choices.

    Args:
        space: what the genotypes belong to. Making the features builds about as many graphs as the decisions have
            options together.

    Attributes:
        groups: sizes of the groups, which lie side by side.
        lengths: for each group the logarithm of the lengthscale that predictors should expect: what is built and
            the choices themselves should matter only where what lies on open paths explains too little.
        costs: columns that say how large a network is.
        names: (f,) what the features say.
        routes: the paths that decisions cut.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        found = probes(space)
        largest = space.largest()
        base = next(each.networks[each.chosen] for each in found if (each.row == largest).all())
        self.routes = Routes(base, gates(found, base))
        kinds = sorted(set().union(*(each.kinds.values() for probe in found for each in probe.networks)))
        gate_of = {gate.column: gate for gate in self.routes.gates}
        tables = [
            np.array([_adds(option, probe, gate_of.get(column), kinds) for option in range(len(probe.networks))])
            for column, probe in enumerate(found)
        ]
        kept = _distinct(np.concatenate(tables))
        self._tables = [table[:, kept] for table in tables]
        names = [*(_words(kind) for kind in kinds), SKIP, *COSTS]
        counts = [names[column] for column in kept]
        choices = [f"{d.name}={option}" for d in space.decisions for option in d.options]
        built = [f"built {name}" for name in counts] if gate_of else []
        paths = [f"path {index}" for index in range(self.routes.features)] if gate_of else []
        self.names = (*counts, *built, *paths, *choices)
        self.groups = tuple(len(group) for group in (counts, built, paths, choices) if group)
        self.lengths = (1.0, 2.0, 1.0, 2.0) if gate_of else (1.0, 1.0)
        self.costs = tuple(counts.index(cost) for cost in COSTS if cost in counts)

    def __call__(self, population: Population) -> Array:
        """Return the (n, f) features of an (n, d) canonical population."""
        choices = self._space.encode(population).astype(np.float64)
        if not self.routes.gates:
            return np.concatenate([choices @ np.concatenate(self._tables), choices], axis=1)
        active = self._space.active(population)
        paths, reached = self.routes(population)
        live = active.copy()
        live[:, [gate.column for gate in self.routes.gates]] &= reached
        counts, built = self._counts(population, live), self._counts(population, active)
        return np.concatenate([counts, built, paths, choices], axis=1)

    def _counts(self, population: Population, live: NDArray[np.bool_]) -> Array:
        total = np.zeros((len(population), self._tables[0].shape[1]))
        for column, table in enumerate(self._tables):
            total += table[population[:, column]] * live[:, column, None]
        return total


def _adds(option: int, probe: Probe, gate: Gate | None, kinds: list[Kind]) -> list[float]:
    """Operators and costs that an option adds: its own at a gate, else those beyond the largest network's."""
    network = probe.networks[option]
    if gate is not None:
        return _totals(network, gate.own[option], kinds, float(not gate.closed[option] and not gate.own[option]))
    reference = probe.networks[probe.chosen]
    more = _totals(network, network.nodes.keys(), kinds, 0.0)
    less = _totals(reference, reference.nodes.keys(), kinds, 0.0)
    return [first - second for first, second in zip(more, less, strict=True)]


def _totals(network: Network, nodes: Collection[str], kinds: list[Kind], skips: float) -> list[float]:
    """The number of nodes of each kind among some of a network, skips, and what the nodes cost together."""
    counts = Counter(network.kinds[name] for name in nodes)
    costs = [network.costs[name] for name in nodes if name in network.costs]
    sums = (float(sum(cost[column] for cost in costs)) for column in _COLUMNS)
    return [*(float(counts[kind]) for kind in kinds), skips, *sums]


def _words(kind: Kind) -> str:
    operator, area, grouped = kind
    return f"{operator}{f' {area}' if area > 1 else ''}{' grouped' if grouped else ''}"


def _distinct(columns: Array) -> NDArray[np.intp]:
    """Indices of columns that are not zero and not a multiple of another; costs, which come last, are preferred."""
    lengths = np.linalg.norm(columns, axis=0)
    kept: list[int] = []
    for index in reversed(range(columns.shape[1])):
        if lengths[index] > 0:
            aligned = np.abs(columns[:, kept].T @ columns[:, index]) / (lengths[kept] * lengths[index])
            if not (aligned > 1 - 1e-12).any():
                kept.append(index)
    return np.array(sorted(kept), np.intp)
