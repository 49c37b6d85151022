"""Choosing the graphs to assemble so that everything a population lacks in the tables is shown, much in each graph."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces.costs.evidence import Buildable, Columns, Rows
from search_spaces.decision import Decision


class Lack:
    """What the rows of a pool lack in one table.

    Args:
        columns: of the table.
        keys: what each row holds there, (n,).
        lacking: whether no graph has shown that, (n,).
    """

    def __init__(self, columns: Columns, keys: NDArray[np.int64], lacking: NDArray[np.bool_]) -> None:
        self.columns = columns
        self.keys = keys
        self.lacking = lacking


def compose(space: Buildable, pool: Rows, lacks: Sequence[Lack], rng: np.random.Generator) -> Rows:
    """Canonical genotypes, (m, d), composed of parts of pool rows so that each shows something for most tables.

    Tables over facts are left out, for a part of a row does not say what facts the composed one has.
    """
    parents = ancestors(space.decisions)
    # Rows that leave more decisions active leave more room for the parts of others.
    active = space.active(pool)
    order = np.argsort(-active.sum(axis=1), kind="stable")
    wanted: list[tuple[Columns, Rows]] = []
    for own, lack in _largest([lack for lack in lacks if lack.lacking.any()], len(parents)).items():
        lacking = order[lack.lacking[order]]
        rows = pool[lacking[np.unique(lack.keys[lacking], return_index=True)[1]]]
        above = own.union(*[parents[column] for column in own])
        roomy = rows.copy()
        free = sorted(above - own)
        roomy[:, free] = pool[order[0], free]
        mine = np.array(sorted(own), np.intp)
        same = (space.active(roomy)[:, mine] == space.active(rows)[:, mine]).all(axis=1)
        parts = np.array(sorted(above), np.intp)
        wanted.append((parts, np.where(same[:, None], roomy, rows)[:, parts]))
    partials = []
    while any(len(rows) for _, rows in wanted):
        partial = np.full(pool.shape[1], -1, np.int16)
        wanted.sort(key=lambda each: -len(each[1]))
        for index, (columns, rows) in enumerate(wanted):
            given = partial[columns]
            fits = ((given < 0) | (given == rows)).all(axis=1)
            if fits.any():
                first = int(fits.argmax())
                partial[columns] = rows[first]
                wanted[index] = columns, np.delete(rows, first, axis=0)
        partials.append(partial)
    decided = np.array(partials, np.int16).reshape(-1, pool.shape[1])
    return space.canonical(np.where(decided < 0, space.sample(len(decided), rng), decided))


def _largest(lacks: Sequence[Lack], decisions: int) -> dict[frozenset[int], Lack]:
    """Tables over decisions only that are no part of another: what shows all of theirs shows most of the others."""
    found: dict[frozenset[int], Lack] = {}
    for lack in sorted(lacks, key=lambda lack: -len(lack.columns)):
        mine = frozenset(lack.columns.tolist())
        if max(mine, default=0) < decisions and not any(mine < other for other in found):
            known = found.get(mine)
            found[mine] = lack if known is None else Lack(lack.columns, lack.keys, lack.lacking | known.lacking)
    return found


def first_to_show(novelties: Sequence[tuple[NDArray[np.intp], NDArray[np.int64]]], most: int) -> NDArray[np.intp]:
    """Up to `most` rows that together show everything new, those with much of it first.

    Args:
        novelties: for each kind of novelty pairs of rows and of numbers for what is new in them.
        most: rows that are wanted.
    """
    if not any(len(rows) for rows, _ in novelties):
        return np.zeros(0, np.intp)
    counts = np.bincount(np.concatenate([rows for rows, _ in novelties]))
    rank = np.empty(len(counts), np.intp)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    chosen: set[int] = set()
    for rows, numbers in novelties:
        order = np.argsort(rank[rows], kind="stable")
        _, firsts = np.unique(numbers[order], return_index=True)
        chosen.update(rows[order[firsts]].tolist())
    return np.array(sorted(chosen, key=rank.__getitem__)[:most], np.intp)


def ancestors(decisions: Sequence[Decision]) -> list[frozenset[int]]:
    """For each decision the columns that its being active depends on."""
    columns = {decision.name: column for column, decision in enumerate(decisions)}

    def above(column: int) -> frozenset[int]:
        parents = [columns[condition.decision] for condition in decisions[column].active]
        return frozenset(parents).union(*[above(parent) for parent in parents])

    return [above(column) for column in range(len(decisions))]
