"""Finding out which columns of an extended genotype the cost of a node depends on, from assembled graphs.

What changes between two graphs that differ in one column depends on it. The result is held against every graph that
was assembled: two that agree in the columns of a node and not in its cost show that a column is missing, and halving
the way from one to the other shows which.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from search_spaces.costs.evidence import Columns, Evidence, Group, extend, keys

LARGEST_TABLE = 250_000
"""Combinations of choices that one table may have room for."""
MOST_KEYS = 1_500
"""Combinations of these that may occur among `SAMPLED` random genotypes: each takes a graph that shows it."""
SAMPLED = 4_096
MOST_STEPS = 800
"""Graphs that may be assembled to settle contradictions."""


class TooMany(Exception):
    """Some nodes depend on too many decisions at once to be tabulated.

    Attributes:
        nodes: their names.
    """

    def __init__(self, nodes: tuple[str, ...]) -> None:
        super().__init__(nodes)
        self.nodes = nodes


class Dependencies:
    """On which columns one metric of each node depends, as far as the evidence goes.

    Args:
        evidence: what was assembled; contradictions add to it.
        metric: its index in `METRICS`.
    """

    def __init__(self, evidence: Evidence, metric: int) -> None:
        self.evidence = evidence
        self.metric = metric
        self.groups: list[Group] = []
        self._masks = np.zeros((0, len(evidence.sizes)), np.bool_)  # of each node
        self._extended = evidence.extended
        self._values = np.zeros((0, 0), np.int64)
        self._leaders = np.zeros(0, np.intp)
        self._patterns_known = self._masks  # those of groups that nothing contradicts
        self._pool = extend(evidence.space, evidence.space.sample(SAMPLED, np.random.default_rng(0)))
        self._large: dict[bytes, bool] = {}
        self._steps_taken = 0

    def __len__(self) -> int:
        """How many dependencies there are."""
        return int(self._masks.sum())

    def columns(self) -> Columns:
        """All columns that matter."""
        return np.flatnonzero(self._masks.any(axis=0))

    def settle(self) -> None:
        """Add columns until no two graphs contradict each other.

        Raises:
            TooMany: a node depends on too many, or too many graphs would have to be assembled.
        """
        while True:
            self._regroup()
            self._learn_steps()
            self._check_sizes()
            conflicts = list(self._conflicts())
            if not conflicts:
                return
            contradicted = np.zeros(len(self.groups), np.bool_)
            contradicted[[group for group, _, _ in conflicts]] = True
            self._patterns_known = np.unique(self._group_masks()[~contradicted], axis=0)
            for group, first, second in conflicts:
                self._resolve(group, first, second)

    def patterns(self) -> list[tuple[Columns, NDArray[np.intp]]]:
        """Distinct sets of columns, each with the (indices of the) groups that depend on just these."""
        masks = self._group_masks()
        sets, inverse = np.unique(masks, axis=0, return_inverse=True)
        return [(np.flatnonzero(mask), np.flatnonzero(inverse.reshape(-1) == i)) for i, mask in enumerate(sets)]

    def values(self) -> NDArray[np.int64]:
        """What each group costs in each graph, (g, groups)."""
        return self._values

    def _regroup(self) -> None:
        evidence = self.evidence
        self.groups = evidence.groups(self.metric)
        missing = len(evidence.nodes) - len(self._masks)
        self._masks = np.concatenate([self._masks, np.zeros((missing, len(evidence.sizes)), np.bool_)])
        self._leaders = np.array([group.nodes[0] for group in self.groups], np.intp)
        self._extended = evidence.extended
        self._values = np.zeros((len(evidence), len(self.groups)), np.int64)
        for index, group in enumerate(self.groups):
            self._values[group.rows, index] = group.costs

    def _group_masks(self) -> NDArray[np.bool_]:
        return self._masks[self._leaders]

    def _add(self, group: int, column: int) -> None:
        self._masks[self.groups[group].nodes, column] = True

    def _learn_steps(self) -> None:
        """A change in one column, or the likeliest of few, explains what changed with it."""
        extended, values = self._extended, self._values
        order = sorted(self.evidence.steps, key=lambda step: int((extended[step[0]] != extended[step[1]]).sum()))
        for first, second in order:
            changed = np.flatnonzero(values[first] != values[second])
            if not len(changed):
                continue
            differs = extended[first] != extended[second]
            masks = self._masks[self._leaders[changed]]
            for group in changed[~(masks & differs).any(axis=1)].tolist():
                self._add(group, self._likeliest(group, np.flatnonzero(differs)))

    def _likeliest(self, group: int, columns: Columns) -> int:
        """The column that leaves the fewest contradictions; of equals a fact, then the one with the fewest values."""
        if len(columns) == 1:
            return int(columns[0])
        mask = np.flatnonzero(self._masks[self.groups[group].nodes[0]])
        sizes, decisions = self.evidence.sizes, self.evidence.rows.shape[1]
        ranks = [(self._wrong(group, np.append(mask, each)), each < decisions, sizes[each], each) for each in columns]
        return int(min(ranks)[-1])

    def _wrong(self, group: int, columns: Columns) -> int:
        """How many graphs would contradict others if the group depended on these columns."""
        mine = self._values[:, group]
        found = keys(self._extended, columns, self.evidence.sizes)
        _, firsts, inverse = np.unique(found, return_index=True, return_inverse=True)
        return int((mine != mine[firsts[inverse]]).sum())

    def _conflicts(self) -> Iterator[tuple[int, int, int]]:
        """Groups with two places of the evidence that agree in their columns and not in their cost."""
        for columns, groups in self.patterns():
            found = keys(self._extended, columns, self.evidence.sizes)
            _, firsts, inverse = np.unique(found, return_index=True, return_inverse=True)
            mine = self._values[:, groups]
            wrong = mine != mine[firsts[inverse]]
            for position in np.flatnonzero(wrong.any(axis=0)):
                second = int(wrong[:, position].argmax())
                yield int(groups[position]), int(firsts[inverse[second]]), second

    def _resolve(self, group: int, first: int, second: int) -> None:
        """Find what is missing: the only column that explains all, a known pattern, or what a halved way shows."""
        extended, members = self.evidence.extended, self.groups[group]
        mask = self._masks[members.nodes[0]]
        if (mask & (extended[first] != extended[second])).any():
            return  # another group taught it
        columns = np.flatnonzero((extended[first] != extended[second]) & ~mask)
        known = np.flatnonzero(mask)
        explain = [column for column in columns.tolist() if not self._wrong(group, np.append(known, column))]
        facts = [column for column in explain if column >= self.evidence.rows.shape[1]]
        if facts or len(explain) == 1:
            self._add(group, self._likeliest(group, np.array(facts or explain)))
            return
        sizes = np.log(self.evidence.sizes)
        for pattern in sorted(self._patterns_known, key=lambda pattern: sizes[pattern].sum()):
            if pattern[columns].any() and not self._wrong(group, np.flatnonzero(mask | pattern)):
                self._masks[members.nodes] = mask | pattern
                return
        before, after = self._halve(int(members.nodes[0]), first, second)
        extended = self.evidence.extended
        differs = np.flatnonzero((extended[before] != extended[after]) & ~mask)
        if (mask & (extended[before] != extended[after])).any() or not len(differs):
            differs = columns
        facts = differs[differs >= self.evidence.rows.shape[1]]
        self._add(group, self._likeliest(group, facts if len(facts) else differs))

    def _halve(self, node: int, first: int, second: int) -> tuple[int, int]:
        """Turn one genotype into the other; the places of two neighbours on the way between which the cost changes."""
        evidence, metric = self.evidence, self.metric
        start, end = evidence.rows[first], evidence.rows[second]
        columns = np.flatnonzero(start != end)
        low, high, below = 0, len(columns), first
        above = second
        while high - low > 1:
            middle = (low + high) // 2
            row = start.copy()
            row[columns[:middle]] = end[columns[:middle]]
            count = len(evidence)
            (place,) = evidence.add(evidence.space.canonical(row[None]))
            self._steps_taken += len(evidence) - count
            if evidence.cost(place, node, metric) != evidence.cost(below, node, metric):
                high, above = middle, place
            else:
                low, below = middle, place
        if self._steps_taken > MOST_STEPS:
            raise TooMany((evidence.nodes[node],))
        return below, above

    def prune(self) -> None:
        """Drop columns without which no two graphs contradict each other either, those with most values first.

        Before that a group takes the columns of another one that need less room and explain it as well; nodes of one
        kind depend on the same, and some are rarer than others.
        """
        self._borrow()
        for columns, groups in self.patterns():
            self._prune(columns, groups)

    def _borrow(self) -> None:
        masks = self._group_masks()
        decisions = self.evidence.rows.shape[1]
        room = masks.astype(np.float64) @ np.log(self.evidence.sizes)
        for columns, members in sorted(self.patterns(), key=lambda pattern: room[pattern[1][0]]):
            mask = masks[members[0]]
            others = (room > room[members[0]]) & ~(mask[:decisions] & ~masks[:, :decisions]).any(axis=1)
            takers = np.flatnonzero(others)
            if not len(takers):
                continue
            found = keys(self._extended, columns, self.evidence.sizes)
            _, firsts, inverse = np.unique(found, return_index=True, return_inverse=True)
            mine = self._values[:, takers]
            for group in takers[(mine == mine[firsts[inverse]]).all(axis=0)].tolist():
                self._masks[self.groups[group].nodes] = mask
                masks[group], room[group] = mask, room[members[0]]

    def _prune(self, columns: Columns, groups: NDArray[np.intp]) -> None:
        for column in sorted(columns.tolist(), key=lambda column: -self.evidence.sizes[column]):
            rest = columns[columns != column]
            found = keys(self._extended, rest, self.evidence.sizes)
            _, firsts, inverse = np.unique(found, return_index=True, return_inverse=True)
            mine = self._values[:, groups]
            spare = (mine == mine[firsts[inverse]]).all(axis=0)
            if not spare.any():
                continue
            for group in groups[spare].tolist():
                self._masks[self.groups[group].nodes, column] = False
            self._prune(rest, groups[spare])
            groups = groups[~spare]

    def _check_sizes(self) -> None:
        for _ in range(2):
            large = [(columns, groups) for columns, groups in self.patterns() if self._is_large(columns)]
            if not large:
                return
            for columns, groups in large:
                self._prune(columns, groups)
        evidence = self.evidence
        raise TooMany(tuple([evidence.nodes[int(self.groups[i].nodes[0])] for _, groups in large for i in groups]))

    def _is_large(self, columns: Columns) -> bool:
        name = columns.tobytes()
        if name not in self._large:
            sizes = self.evidence.sizes
            room = float(np.prod(sizes[columns].astype(np.float64)))
            self._large[name] = room > LARGEST_TABLE or len(np.unique(keys(self._pool, columns, sizes))) > MOST_KEYS
        return self._large[name]
