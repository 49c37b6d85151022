"""Static costs of whole populations by look-up.

A node's cost depends on few columns of an extended genotype (`discovery` finds out on which), so it is tabulated
over these, and the cost of a network is a sum of look-ups, or their maximum for the activation peak. Only what an
assembled graph has shown is in the tables; a genotype that holds anything else has no value here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces.costs.discovery import Dependencies
from search_spaces.costs.evidence import Columns, Extended, keys
from search_spaces.costs.plan import Lack
from search_spaces.costs.static import ADDITIVE

CHUNK = 4_096
"""Rows that are looked up together."""
MANY = 8
"""Graphs with a value of a fact after which it is believed to do nothing if no cost changed with it."""


class _Table(NamedTuple):
    """What the choices of some columns contribute to a metric.

    Attributes:
        columns: (c,) of an extended genotype.
        entries: for each of `keys` the contribution; NaN where no graph has shown it.
        beside: (keys, values of all facts) whether a graph has shown the choices with that value of a fact.
    """

    columns: Columns
    entries: NDArray[np.float64]
    beside: NDArray[np.bool_]


class Tables:
    """One metric of a space, tabulated from settled dependencies.

    A fact stands for something rare, so what a table says is believed only beside values of facts with which a graph
    has shown it. Facts are left alone that no cost depends on and that many graphs have shown in all their values.
    """

    def __init__(self, dependencies: Dependencies) -> None:
        evidence = dependencies.evidence
        extended, values = evidence.extended, dependencies.values()
        self._sizes = evidence.sizes
        self._additive = ADDITIVE[dependencies.metric]
        self._starts = np.cumsum(evidence.sizes) - evidence.sizes
        self._counts = np.bincount((extended + self._starts).reshape(-1), minlength=int(evidence.sizes.sum()))
        facts = np.arange(len(evidence.space.decisions), len(evidence.sizes))
        few = np.minimum.reduceat(self._counts, self._starts) < MANY
        self._facts = facts[few[facts] | np.isin(facts, dependencies.columns())]
        tables = []
        for columns, groups in dependencies.patterns():
            shown, firsts = np.unique(keys(extended, columns, self._sizes), return_index=True)
            entries = np.full(int(np.prod(self._sizes[columns])), np.nan)
            mine = values[np.ix_(firsts, groups)]
            entries[shown] = mine.sum(axis=1) if self._additive else mine.max(axis=1)
            tables.append((columns, entries))
        self._tables = [
            _Table(columns, entries, self._beside(extended, columns, len(entries)))
            for columns, entries in self._merged(tables)
        ]
        # All places are found by one product: the keys of every table, each moved behind the entries before it.
        self._strides = np.zeros((len(self._sizes), len(self._tables)))
        for number, table in enumerate(self._tables):
            rest = np.append(self._sizes[table.columns][1:], 1)
            self._strides[table.columns, number] = np.cumprod(rest[::-1])[::-1]
        self._entries = np.concatenate([[], *[table.entries for table in self._tables]])
        self._offsets = np.cumsum([0, *[len(table.entries) for table in self._tables]])[:-1]
        self._seldom = np.flatnonzero(np.minimum.reduceat(self._counts, self._starts) == 0)

    def costs(self, extended: Extended) -> NDArray[np.float64]:
        """The metric of each row (n, d + f), (n,); NaN where no graph has shown a part of it."""
        found = np.zeros(len(extended))
        seldom = self._counts.take(extended[:, self._seldom] + self._starts[self._seldom])
        shown: NDArray[np.bool_] = np.all(seldom > 0, axis=1)
        for start in range(0, len(extended), CHUNK):
            part = slice(start, start + CHUNK)
            # Whole numbers below 2^53, for which BLAS is exact and integer products are slow.
            places = (extended[part].astype(np.float64) @ self._strides).astype(np.intp)
            shares = self._entries.take(places + self._offsets)
            found[part] = shares.sum(axis=1) if self._additive else shares.max(axis=1, initial=0.0)
            if len(self._facts):
                irrelevant = ~self._values_of_facts(extended[part])
                for table, place in zip(self._tables, places.T, strict=True):
                    shown[part] &= (table.beside.take(place, axis=0) | irrelevant).all(axis=1)
        found[~shown] = np.nan
        return found

    def lacks(self, extended: Extended) -> list[Lack]:
        """What the rows hold in each table, and whether no graph has shown it."""
        found = []
        for table in self._tables:
            mine = keys(extended, table.columns, self._sizes)
            found.append(Lack(table.columns, mine, np.isnan(table.entries.take(mine))))
        return found

    def novelties(self, extended: Extended) -> list[tuple[NDArray[np.intp], NDArray[np.int64]]]:
        """Everything that no graph has shown: pairs of rows and of numbers for what is new in them."""
        cells = extended + self._starts
        rows, columns = np.nonzero(self._counts[cells] == 0)
        found = [(rows, cells[rows, columns])]
        relevant = self._values_of_facts(extended)
        for table in self._tables:
            place = keys(extended, table.columns, self._sizes)
            rows = np.flatnonzero(np.isnan(table.entries.take(place)))
            found.append((rows, place[rows]))
            if len(self._facts):
                rows, values = np.nonzero(relevant & ~table.beside.take(place, axis=0))
                found.append((rows, place[rows] * relevant.shape[1] + values))
        return found

    def _values_of_facts(self, extended: Extended) -> NDArray[np.bool_]:
        """Which value of each fact that is looked at each row holds, one-hot, (n, values of all facts)."""
        total = int(self._sizes[self._facts].sum())
        found = np.zeros((len(extended), total), np.bool_)
        if total:
            starts = np.cumsum(self._sizes[self._facts]) - self._sizes[self._facts]
            np.put_along_axis(found, extended[:, self._facts] + starts, values=True, axis=1)
        return found

    def _beside(self, extended: Extended, columns: Columns, size: int) -> NDArray[np.bool_]:
        values = self._values_of_facts(extended)
        beside = np.zeros((size, values.shape[1]), np.bool_)
        if len(self._facts):
            np.logical_or.at(beside, keys(extended, columns, self._sizes), values)
        return beside

    def _merged(
        self, tables: Sequence[tuple[Columns, NDArray[np.float64]]]
    ) -> list[tuple[Columns, NDArray[np.float64]]]:
        """The same with every table written into one over more columns, where there is one."""
        merged: list[tuple[frozenset[int], Columns, NDArray[np.float64]]] = []
        for columns, entries in sorted(tables, key=lambda table: -len(table[0])):
            mine = frozenset(columns.tolist())
            host = next((each for each in merged if mine <= each[0]), None)
            if host is None:
                merged.append((mine, columns, entries))
                continue
            shape = self._sizes[host[1]].tolist()
            places = np.zeros(shape, np.int64)
            for column, axis in zip(host[1].tolist(), np.indices(shape, sparse=True), strict=True):
                if column in mine:
                    places *= self._sizes[column]
                    places += axis
            share = entries.take(places.reshape(-1))
            (np.add if self._additive else np.maximum)(host[2], share, out=host[2])
        return [(columns, entries) for _, columns, entries in merged]
