"""Static costs of whole populations by look-up.

A node's costs depend on few decisions (`cost_discovery` finds out on which), so they are tabulated over these, and a
network's costs are sums of look-ups, or their maximum for the activation peak.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces.cost_discovery import Buildable, Dependencies, Evidence, Rows, extend, keys, table_size
from search_spaces.cost_plan import TooMany, plan
from search_spaces.costs import ADDITIVE, METRICS, costs

VERIFIED = 256
"""Fresh random genotypes whose node costs must all be those of the tables before these are used."""


class _Table(NamedTuple):
    """What the choices of `columns` contribute to each compiled metric: (metrics, entries)."""

    columns: NDArray[np.intp]
    entries: NDArray[np.float64]


class CostTables:
    """The static costs of a space, compiled.

    The tables agree with every graph that was assembled to fill them, node by node, and with random ones that were
    drawn afterwards. A metric that does not compile within the limits of `cost_plan` (a node depends on too many
    decisions at once) is not approximated: its values come from assembling each graph.

    Args:
        space: what can be built.
        seed: of the random genotypes that are assembled.

    Attributes:
        compiled: the metrics that are looked up.
        uncompiled_nodes: for each other metric, nodes that depend on too many decisions.
        assembled: the number of graphs that were assembled for the tables.
    """

    def __init__(self, space: Buildable, seed: int = 0) -> None:
        self._space = space
        rng = np.random.default_rng(seed)
        evidence = Evidence(space)
        dependencies = Dependencies(space, evidence, rng)
        self.uncompiled_nodes: dict[str, tuple[str, ...]] = {}
        while True:
            dependencies.settle()
            if self._fill(dependencies, rng):
                continue
            before = dependencies.masks
            evidence.add(space.sample(VERIFIED, rng))
            dependencies.settle()
            if np.array_equal(before, dependencies.masks):
                break
        self.compiled = tuple(metric for metric in METRICS if metric not in self.uncompiled_nodes)
        self.assembled = len(evidence)
        self._tables = _merged(space, _tables(space, dependencies))

    def costs(self, population: Rows) -> dict[str, NDArray[np.float64]]:
        """Each of `costs.METRICS`, exact, for an (n, d) population: metric -> (n,)."""
        canonical = self._space.canonical(population)
        found = np.zeros((len(METRICS), len(canonical)))
        columns = np.ascontiguousarray(extend(self._space, canonical).T)
        for table in self._tables:
            places = keys(columns.T, table.columns, self._space)
            for row, entries, additive in zip(found, table.entries, ADDITIVE, strict=True):
                (np.add if additive else np.maximum)(row, entries.take(places), out=row)
        result = dict(zip(METRICS, found, strict=True))
        if self.uncompiled_nodes:
            rows, inverse = np.unique(canonical, axis=0, return_inverse=True)
            built = [costs(self._space.graph(row)) for row in rows]
            for metric in self.uncompiled_nodes:
                result[metric] = np.array([each[metric] for each in built]).reshape(-1)[inverse.reshape(-1)]
        return result

    def _fill(self, dependencies: Dependencies, rng: np.random.Generator) -> bool:
        """Assemble graphs for entries that none has shown yet; whether there were any."""
        while True:
            try:
                rows = plan(dependencies, rng)
            except TooMany as error:
                for metric, nodes in error.nodes.items():
                    self.uncompiled_nodes[METRICS[metric]] = nodes
                    dependencies.ignored.add(metric)
                continue
            dependencies.evidence.add(rows)
            return len(rows) > 0


def _tables(space: Buildable, dependencies: Dependencies) -> list[_Table]:
    """One table for every set of decisions that a cost depends on."""
    values, extended = dependencies.evidence.values(), dependencies.evidence.extended()
    tables = []
    for columns, members in dependencies.patterns():
        places, firsts = np.unique(keys(extended, columns, space), return_index=True)
        entries = np.zeros((len(METRICS), table_size(columns, space)))
        for metric, additive in enumerate(ADDITIVE):
            mine = values[np.ix_(firsts, members[members % len(METRICS) == metric])]
            entries[metric, places] = mine.sum(axis=1) if additive else mine.max(axis=1, initial=0)
        tables.append(_Table(columns, entries))
    return [table for table in tables if table.entries.any()]


def _merged(space: Buildable, tables: list[_Table]) -> list[_Table]:
    """The same with every table written into one over more decisions, where there is one."""
    merged: list[_Table] = []
    for table in sorted(tables, key=lambda table: -len(table.columns)):
        host = next((each for each in merged if np.isin(table.columns, each.columns).all()), None)
        if host is None:
            merged.append(table)
            continue
        sizes = space.cardinalities[host.columns].astype(np.int64) + 1
        extended = np.zeros((host.entries.shape[1], len(space.decisions)), np.int64)
        extended[:, host.columns] = np.indices(tuple(sizes.tolist())).reshape(len(sizes), -1).T
        share = table.entries[:, keys(extended, table.columns, space)]
        additive = np.array(ADDITIVE)[:, None]
        host.entries[:] = np.where(additive, host.entries + share, np.maximum(host.entries, share))
    return merged
