"""The static costs of whole populations: exact, and as cheap as how often they are asked for allows.

The first genotypes are assembled, each once. When enough were asked for to pay for it, every metric that is asked for
is compiled to tables, which grow with what they are asked for. A metric that does not compile within the limits of
`discovery` is not approximated: its values come from assembling each graph.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces.costs.discovery import Dependencies, TooMany
from search_spaces.costs.evidence import Buildable, Evidence, Extended, Rows, extend
from search_spaces.costs.plan import compose, first_to_show
from search_spaces.costs.static import METRICS, costs
from search_spaces.costs.tables import Tables

COMPILED_AFTER = 600
"""Graphs assembled before compiling begins: about as many as it takes itself."""
LEARNED = 50
"""Random genotypes whose nodes are the first to be looked at."""
VERIFIED = 100
"""Fresh random genotypes that must agree with the dependencies before tables are made of these."""
MOST_GRAPHS = 4_000
"""Graphs that tables are made from; what they do not cover then is assembled whenever it is asked for."""
REMEMBERED = 50_000
"""Genotypes whose costs are kept although no table is made from them."""
POOL = 2_048
"""Genotypes among which the next graphs to assemble are chosen."""
REFILLED_AFTER = 64
"""Graphs assembled one by one until the tables are made again."""
FEW = 16
"""Composed genotypes below which the population's own are assembled as well."""
AT_ONCE = 256
"""Of these, how many until the tables are made again."""


class PopulationCosts:
    """The costs of a space's genotypes.

    Tables agree with every graph that was assembled for them, node by node, and with random ones that were drawn
    afterwards; what no graph has shown is not looked up but assembled. Values do not depend on what was asked before.

    Args:
        space: what can be built.
        seed: of the random genotypes that are assembled.

    Attributes:
        uncompiled: metrics that do not compile, each with the nodes that depend on too many decisions.
        assembled: the number of graphs that were assembled so far.
    """

    def __init__(self, space: Buildable, seed: int = 0) -> None:
        self.space = space
        self.uncompiled: dict[str, tuple[str, ...]] = {}
        self._rng = np.random.default_rng(seed)
        self._evidence = Evidence(space)
        self._dependencies: dict[str, Dependencies] = {}
        self._tables: dict[str, Tables] = {}
        self._tabulated = 0
        self._missed = 0
        self._one_by_one = 0
        self._remembered: dict[bytes, tuple[float, ...]] = {}

    @property
    def compiled(self) -> tuple[str, ...]:
        """The metrics that are looked up."""
        return tuple(self._tables)

    @property
    def assembled(self) -> int:
        """The number of graphs that were assembled so far."""
        return len(self._evidence) + self._one_by_one

    def costs(self, population: Rows, metrics: Sequence[str] = METRICS) -> dict[str, NDArray[np.float64]]:
        """Metrics of an (n, d) population: each -> (n,).

        Raises:
            ValueError: an unknown metric.
        """
        unknown = [metric for metric in metrics if metric not in METRICS]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no static cost; known: {', '.join(METRICS)}")
        canonical = self.space.canonical(population)
        if self.space.tabulated and not self._has(metrics) and self._pays(canonical):
            self.compile(metrics, canonical)
        if not self._has(metrics):
            return self.assemble(canonical, metrics)
        extended = extend(self.space, canonical)
        found = self._look_up(extended, metrics)
        lacking = np.flatnonzero(np.isnan(found).any(axis=0))
        if lacking.size:
            self._refill(np.unique(canonical[lacking], axis=0), metrics)
            if not self._has(metrics):
                return self.assemble(canonical, metrics)
            found[:, lacking] = self._look_up(extended[lacking], metrics)
            lacking = np.flatnonzero(np.isnan(found).any(axis=0))
            found[:, lacking] = self._each(canonical[lacking], metrics, learn=True)
            if len(self._evidence) - self._tabulated >= REFILLED_AFTER:
                self._tabulate()
        return dict(zip(metrics, found, strict=True))

    def assemble(self, canonical: Rows, metrics: Sequence[str] = METRICS) -> dict[str, NDArray[np.float64]]:
        """The same for canonical genotypes without tables: each distinct one is assembled, unless it is remembered."""
        return dict(zip(metrics, self._each(canonical, metrics, learn=False), strict=True))

    def compile(self, metrics: Sequence[str] = METRICS, population: Rows | None = None) -> None:
        """Make the tables of metrics that have none yet, if all of them compile.

        Args:
            metrics: which.
            population: canonical genotypes that the tables shall cover; random ones if it is not given.
        """
        new = [metric for metric in metrics if metric not in self._tables]
        if not new or not self.uncompiled.keys().isdisjoint(metrics):
            return
        rows = self.space.sample(POOL, self._rng) if population is None else population
        rows = np.unique(self._rng.permutation(rows)[:POOL], axis=0)
        if not len(self._evidence):
            self._evidence.add(self._fresh(LEARNED))
            self._evidence.probe(self._rng)
        for metric in new:
            self._dependencies[metric] = Dependencies(self._evidence, METRICS.index(metric))
        self._settle()
        if not self.uncompiled.keys().isdisjoint(metrics):  # every network will be assembled: tables are of no use
            for metric in new:
                self._dependencies.pop(metric, None)
            return
        self._tabulate()
        while True:
            self._refill(rows, [metric for metric in metrics if metric in self._tables])
            self._evidence.probe(self._rng)
            self._settle()
            for dependencies in self._dependencies.values():
                dependencies.prune()
            known = [len(each) for each in self._dependencies.values()]
            self._evidence.add(self._fresh(VERIFIED))
            self._tabulate()
            if known == [len(each) for each in self._dependencies.values()]:
                break

    def _fresh(self, n: int) -> Rows:
        """Random genotypes; half of them hold mostly first and last options, where special cases are."""
        rows = self.space.sample(n, self._rng)
        ends = np.where(self._rng.random(rows.shape) < 0.5, 0, self.space.cardinalities - 1)
        moved = self._rng.random(rows.shape) < 0.7
        moved[::2] = False
        return self.space.canonical(np.where(moved, ends, rows).astype(np.int16))

    def _has(self, metrics: Sequence[str]) -> bool:
        return self._tables.keys() >= set(metrics)

    def _pays(self, canonical: Rows) -> bool:
        """Whether more had to be assembled by now, were it not for tables, than compiling takes."""
        if len(canonical) <= COMPILED_AFTER:
            self._missed += len({row.tobytes() for row in canonical} - self._remembered.keys())
        else:
            self._missed += len(canonical)
        return self._missed > COMPILED_AFTER

    def _room(self) -> int:
        """How many graphs the tables may still be made from."""
        return MOST_GRAPHS - len(self._evidence)

    def _look_up(self, extended: Extended, metrics: Sequence[str]) -> NDArray[np.float64]:
        """(metrics, n); NaN where something was never seen."""
        return np.reshape([self._tables[metric].costs(extended) for metric in metrics], (len(metrics), -1))

    def _each(self, canonical: Rows, metrics: Sequence[str], *, learn: bool) -> NDArray[np.float64]:
        """(metrics, n) from assembled graphs; `learn` keeps these for tables."""
        if not len(canonical):
            return np.zeros((len(metrics), 0))
        rows, inverse = np.unique(canonical, axis=0, return_inverse=True)
        totals = np.array([self._total(row, learn=learn) for row in rows], np.float64)
        return totals[inverse.reshape(-1)].T[[METRICS.index(metric) for metric in metrics]]

    def _total(self, row: Rows, *, learn: bool) -> tuple[float, ...]:
        """All metrics of one canonical genotype."""
        place = self._evidence.place(row)
        if place is None and learn and self._room() > 0:
            (place,) = self._evidence.add(row[None])
        if place is not None:
            return tuple(self._evidence.total(place).tolist())
        key = row.tobytes()
        if key not in self._remembered:
            if len(self._remembered) >= REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[key] = tuple(costs(self.space.graph(row)).values())
            self._one_by_one += 1
        return self._remembered[key]

    def _refill(self, rows: Rows, metrics: Sequence[str]) -> None:
        """Assemble graphs that together show what the distinct rows lack, until few are left or there is no room."""
        if not metrics:
            return
        rows = self._lacking(np.random.default_rng(0).permutation(rows), metrics)
        while len(rows) > REFILLED_AFTER and self._room() > 0:
            pool = rows[:POOL]
            extended = extend(self.space, pool)
            lacks = [lack for metric in metrics for lack in self._tables[metric].lacks(extended)]
            chosen = compose(self.space, pool, lacks, self._rng)
            if len(chosen) < FEW:
                new = [pair for metric in metrics for pair in self._tables[metric].novelties(extended)]
                chosen = np.concatenate([chosen, pool[first_to_show(new, AT_ONCE)]])
            before = len(self._evidence)
            self._evidence.add(chosen[: self._room()])
            self._tabulate()
            if not self._has(metrics) or len(self._evidence) == before:
                return
            rows = self._lacking(rows, metrics)

    def _lacking(self, rows: Rows, metrics: Sequence[str]) -> Rows:
        found = self._look_up(extend(self.space, rows), metrics)
        return rows[np.isnan(found).any(axis=0)]

    def _settle(self) -> None:
        """Make the dependencies agree with all evidence; metrics that depend on too much are given up."""
        while True:
            before = len(self._evidence)
            for metric, dependencies in list(self._dependencies.items()):
                try:
                    dependencies.settle()
                except TooMany as error:
                    self.uncompiled[metric] = error.nodes
                    del self._dependencies[metric]
                    self._tables.pop(metric, None)
            if len(self._evidence) == before:
                return

    def _tabulate(self) -> None:
        """Make the tables from all evidence."""
        self._settle()
        self._tables = {metric: Tables(dependencies) for metric, dependencies in self._dependencies.items()}
        self._tabulated = len(self._evidence)
