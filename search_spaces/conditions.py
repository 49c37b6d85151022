"""When decisions matter: the conditions of a space, compiled for whole populations."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_spaces.decision import Condition, Decision

Clauses = dict[int, frozenset[int]]
"""Column of a parent -> the option indices of the parent under which the child is active."""


@dataclass(frozen=True, slots=True)
class _Level:
    """All decisions whose parents are settled; equal conjunctions are evaluated once.

    Condition k reads column `parents[k]` and looks up `allowed[offsets[k] + option]`; the conjunction g
    is over the conditions from `starts[g]` on; column `targets[t]` is active when conjunction
    `conjunctions[t]` holds.
    """

    parents: NDArray[np.intp]
    offsets: NDArray[np.intp]
    allowed: NDArray[np.bool_]
    starts: NDArray[np.intp]
    targets: NDArray[np.intp]
    conjunctions: NDArray[np.intp]

    def holds(self, population: NDArray[np.int16], active: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """Return (n, conjunctions): which hold. `active` (n, d) says which parents are active; all by default."""
        met = self.allowed.take(population.take(self.parents, axis=1) + self.offsets)
        if active is not None:
            met &= active.take(self.parents, axis=1)
        if len(self.starts) == len(self.parents):
            return met
        return np.logical_and.reduceat(met, self.starts, axis=1)


class Conditions:
    """The `active` clauses of all decisions.

    Attributes:
        clauses: for each column, its parents and the options of theirs that keep it active. Clauses that
            always hold are left out.
        order: all columns, parents before children.

    Raises:
        ValueError: a condition names an unknown decision or option, conditions form a cycle, or a
            decision can never be active.
    """

    def __init__(self, decisions: Sequence[Decision]) -> None:
        self._names = tuple(decision.name for decision in decisions)
        self._sizes = tuple(len(decision.options) for decision in decisions)
        columns = {name: column for column, name in enumerate(self._names)}
        raw = [_clauses(decision, decisions, columns) for decision in decisions]
        self.order = _parents_first(raw, self._names)
        self.clauses = self._simplified(raw)
        self._refuse_unreachable()
        self._levels = tuple(self._compiled())

    def active(self, population: NDArray[np.int16]) -> NDArray[np.bool_]:
        """Return the (n, d) mask of the decisions that matter in an (n, d) population."""
        if not self._levels:
            return np.ones(population.shape, np.bool_)
        first, *deeper = self._levels
        active = first.holds(population).take(first.conjunctions, axis=1)
        for level in deeper:
            holds = level.holds(population, active)
            active[:, level.targets] = holds.take(level.conjunctions, axis=1)
        return active

    def any(self) -> bool:
        """Tell whether any decision can be inactive."""
        return bool(self._levels)

    def count(self) -> int:
        """Return the exact number of distinct canonical genotypes.

        Independent groups of decisions multiply; within a group the options of an unconditional
        decision add up, and what remains under them splits into groups again. Every group is counted
        once, so this is linear for a forest of conditions (each decision has at most one parent) and
        takes exponential time only in how much the parents of a decision are entangled.
        """
        children: list[set[int]] = [set() for _ in self._names]
        for column, clauses in enumerate(self.clauses):
            for parent in clauses:
                children[parent].add(column)
        below: list[frozenset[int]] = [frozenset()] * len(self._names)
        for column in reversed(self.order):
            below[column] = frozenset(children[column]).union(*(below[child] for child in children[column]))
        memory: dict[frozenset[int], int] = {}

        def ways(group: frozenset[int]) -> int:
            if group not in memory:
                roots = [column for column in group if group.isdisjoint(self.clauses[column])]
                root = max(roots, key=lambda column: (len(children[column] & group), -column))
                inside = children[root] & group
                lost = Counter(
                    frozenset(child for child in inside if option not in self.clauses[child][root])
                    for option in range(self._sizes[root])
                )
                memory[group] = sum(
                    times * product((group - {root} - gone).difference(*(below[child] for child in gone)))
                    for gone, times in lost.items()
                )
            return memory[group]

        def product(members: frozenset[int]) -> int:
            return math.prod([ways(group) for group in self._groups(members, children)])

        return product(frozenset(range(len(self._names))))

    def _groups(self, members: frozenset[int], children: list[set[int]]) -> Iterator[frozenset[int]]:
        """Split columns into groups that share no condition."""
        left = set(members)
        while left:
            frontier = {left.pop()}
            group: set[int] = set()
            while frontier:
                column = frontier.pop()
                group.add(column)
                found = (children[column] | self.clauses[column].keys()) & left
                left -= found
                frontier |= found
            yield frozenset(group)

    def _simplified(self, raw: list[Clauses]) -> tuple[Clauses, ...]:
        """Drop the clauses that always hold: any option of a parent that is always active."""
        simple: list[Clauses] = [{} for _ in raw]
        for column in self.order:
            simple[column] = {
                parent: allowed
                for parent, allowed in raw[column].items()
                if simple[parent] or len(allowed) < self._sizes[parent]
            }
        return tuple(simple)

    def _refuse_unreachable(self) -> None:
        """A decision needs all clauses of all its ancestors at once: they must leave every one an option."""
        needs: list[Clauses] = [{} for _ in self._names]
        for column in self.order:
            need = dict(self.clauses[column])
            for parent in self.clauses[column]:
                for ancestor, allowed in needs[parent].items():
                    need[ancestor] = need.get(ancestor, allowed) & allowed
            for ancestor, allowed in need.items():
                if not allowed:
                    raise ValueError(
                        f"decision {self._names[column]!r} can never be active: its conditions leave "
                        f"no option for decision {self._names[ancestor]!r}"
                    )
            needs[column] = need

    def _compiled(self) -> Iterator[_Level]:
        depth: dict[int, int] = {}
        for column in self.order:
            depth[column] = max((depth[parent] + 1 for parent in self.clauses[column]), default=0)
        deepest = max(depth.values())
        always: Clauses = {0: frozenset(range(self._sizes[0]))}
        if deepest:
            # The first level answers for every column; deeper ones overwrite their own.
            yield self._level(
                {column: self.clauses[column] if at == 1 else always for column, at in sorted(depth.items())}
            )
        for level in range(2, deepest + 1):
            yield self._level({column: self.clauses[column] for column, at in depth.items() if at == level})

    def _level(self, members: dict[int, Clauses]) -> _Level:
        conjunctions: dict[frozenset[tuple[int, frozenset[int]]], int] = {}
        parents: list[int] = []
        tables: list[NDArray[np.bool_]] = []
        starts: list[int] = []
        chosen: list[int] = []
        for clauses in members.values():
            conjunction = frozenset(clauses.items())
            if conjunction not in conjunctions:
                conjunctions[conjunction] = len(conjunctions)
                starts.append(len(parents))
                for parent, allowed in clauses.items():
                    parents.append(parent)
                    tables.append(np.isin(np.arange(self._sizes[parent]), list(allowed)))
            chosen.append(conjunctions[conjunction])
        sizes = [len(table) for table in tables]
        return _Level(
            parents=np.array(parents, np.intp),
            offsets=np.cumsum([0, *sizes[:-1]], dtype=np.intp),
            allowed=np.concatenate(tables),
            starts=np.array(starts, np.intp),
            targets=np.array(list(members), np.intp),
            conjunctions=np.array(chosen, np.intp),
        )


def _clauses(decision: Decision, decisions: Sequence[Decision], columns: dict[str, int]) -> Clauses:
    """Resolve the conditions of one decision to columns and option indices."""
    clauses: Clauses = {}
    for condition in decision.active:
        if condition.decision not in columns:
            raise ValueError(
                f"decision {decision.name!r} is conditional on an unknown decision "
                f"{condition.decision!r}; known: {', '.join(columns)}"
            )
        parent = columns[condition.decision]
        allowed = _allowed(decision, condition, decisions[parent])
        clauses[parent] = clauses.get(parent, allowed) & allowed
    return clauses


def _allowed(decision: Decision, condition: Condition, parent: Decision) -> frozenset[int]:
    unknown = [option for option in condition.options if option not in parent.options]
    if unknown or not condition.options:
        raise ValueError(
            f"decision {decision.name!r} is conditional on option "
            f"{unknown[0] if unknown else 'none'!r} of decision {parent.name!r}; "
            f"allowed: {list(parent.options)}"
        )
    return frozenset(parent.options.index(option) for option in condition.options)


def _parents_first(clauses: list[Clauses], names: tuple[str, ...]) -> tuple[int, ...]:
    """Sort columns topologically, keeping their order where the conditions leave it open."""
    order: list[int] = []
    settled: set[int] = set()
    left = list(range(len(clauses)))
    while left:
        ready = [column for column in left if clauses[column].keys() <= settled]
        if not ready:
            raise ValueError(f"the conditions form a cycle among {[names[column] for column in left]}")
        order += ready
        settled.update(ready)
        left = [column for column in left if column not in settled]
    return tuple(order)
