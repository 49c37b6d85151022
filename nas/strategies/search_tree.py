"""A tree over a space: every node is a region, split where the results in it differ most.

By decisions, a node's children are the options of the decision that explains most of the rewards in it; by a learned
partition they are the good and the bad side of a linear classifier, as in

L. Wang, R. Fonseca, Y. Tian, "Learning search space partition for black-box optimization using Monte Carlo tree
search", NeurIPS 2020, arXiv 2007.00708; Y. Zhao, L. Wang, K. Yang et al., "Multi-objective optimization by learning
space partitions", ICLR 2022, arXiv 2110.03173.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from search_spaces.genotypes import GenotypeSpace, Population

RIDGE = 1.0


@dataclass(slots=True, eq=False)
class Node:
    """A region of the space and the results in it.

    Attributes:
        rows: indices of the results in it.
        total: sum of their rewards.
        fixed: the decisions that are fixed in it: column -> option.
        decision: the column that its children differ in; None for a leaf and for a classifier.
        classifier: (o + 1,) weights of the one-hot features and the constant; None for a leaf and for a decision.
        children: by option, or 1 for the good side and 0 for the bad one.
        pending: proposals in it that were not told yet.
    """

    rows: list[int]
    total: float
    fixed: dict[int, int]
    decision: int | None = None
    classifier: NDArray[np.float64] | None = None
    children: dict[int, "Node"] = field(default_factory=dict)
    pending: int = 0

    @property
    def visits(self) -> int:
        """Results and proposals in it."""
        return len(self.rows) + self.pending

    @property
    def mean(self) -> float:
        """The mean reward, a proposal that was not told counting as 0."""
        return self.total / max(self.visits, 1)


class SearchTree:
    """A tree that is a function of the results in it, and not of their order in calls.

    Args:
        space: what is searched.
        learned: split by classifiers instead of decisions.
        leaf: a leaf with so many results is split, and if it cannot be, with twice as many, and so on.
    """

    def __init__(self, space: GenotypeSpace, *, learned: bool, leaf: int) -> None:
        self._space = space
        self._learned = learned
        self._leaf = leaf
        self._rows: list[NDArray[np.int16]] = []
        self._rewards: list[float] = []
        self.root = Node([], 0.0, {})

    def add(self, population: Population, rewards: NDArray[np.float64]) -> None:
        """Add n results: (n, d) genotypes with rewards (n,) in [0, 1], one after the other."""
        scores = self._features(population) if self._learned else None
        for place, (row, reward) in enumerate(zip(population, rewards.tolist(), strict=True)):
            index = len(self._rows)
            self._rows.append(row)
            self._rewards.append(reward)
            for node in self._path(row, None if scores is None else scores[place]):
                node.rows.append(index)
                node.total += reward
                last = node
            if not len(last.rows) % self._leaf and not last.children:
                self._split(last)

    def wait(self, population: Population, change: int) -> None:
        """Add `change` proposals at each of (n, d) genotypes to the nodes that they lie in."""
        scores = self._features(population) if self._learned else None
        for place, row in enumerate(population):
            for node in self._path(row, None if scores is None else scores[place]):
                node.pending += change

    def best(self, node: Node, most: int) -> Population:
        """Return the genotypes (k, d) with the largest rewards in a node, at most so many, best first."""
        order = sorted(node.rows, key=lambda index: -self._rewards[index])[:most]
        return np.stack([self._rows[index] for index in order])

    def inside(self, path: list[Node], population: Population) -> NDArray[np.bool_]:
        """Return (n,) whether genotypes lie in the last node of a path from the root."""
        features = self._features(population) if self._learned else None
        result = np.ones(len(population), np.bool_)
        for node, child in pairwise(path):
            if node.classifier is not None and features is not None:
                good = features @ node.classifier > 0
                result &= good == (node.children[1] is child)
        for column, option in path[-1].fixed.items():
            result &= population[:, column] == option
        return result

    def child(self, node: Node, option: int) -> Node:
        """Return the child for an option of the node's decision, made when it is not there."""
        if option not in node.children and node.decision is not None:
            node.children[option] = Node([], 0.0, {**node.fixed, node.decision: option})
        return node.children[option]

    def _path(self, row: NDArray[np.int16], features: NDArray[np.float64] | None) -> Iterator[Node]:
        node = self.root
        yield node
        while node.children:
            if node.classifier is not None and features is not None:
                node = node.children[int(features @ node.classifier > 0)]
            elif node.decision is not None:
                node = self.child(node, int(row[node.decision]))
            yield node

    def _split(self, node: Node) -> None:
        rows = np.stack([self._rows[index] for index in node.rows])
        rewards = np.array([self._rewards[index] for index in node.rows])
        branch = self._by_classifier(node, rows, rewards) if self._learned else self._by_decision(node, rows, rewards)
        if branch is None:
            return
        for option in np.unique(branch).tolist():
            members = np.flatnonzero(branch == option)
            fixed = node.fixed if node.decision is None else {**node.fixed, node.decision: option}
            inside = [node.rows[place] for place in members.tolist()]
            node.children[option] = Node(inside, float(rewards[members].sum()), fixed)

    def _by_decision(self, node: Node, rows: Population, rewards: NDArray[np.float64]) -> NDArray[np.intp] | None:
        """Split by the decision, active in all rows, whose options explain most of the variance of rewards."""
        usable = self._space.active(rows).all(axis=0) & (self._space.cardinalities > 1)
        usable[list(node.fixed)] = False
        columns = np.flatnonzero(usable)
        if not columns.size:
            return None
        chosen = self._space.encode(rows).astype(np.float64)
        counts = chosen.sum(axis=0)
        sums = (rewards - rewards.mean()) @ chosen
        explained = np.where(counts > 0, sums**2 / np.maximum(counts, 1), 0.0)
        sizes = self._space.cardinalities.astype(np.intp)
        by_decision = np.add.reduceat(explained, np.cumsum(sizes) - sizes)[columns]
        # More options explain more by chance: about one part of the variance for each.
        degrees = np.array([len(np.unique(rows[:, column])) for column in columns]) - 1
        by_decision = by_decision / np.maximum(degrees, 1) * (degrees > 0)
        node.decision = int(columns[by_decision.argmax()])
        return rows[:, node.decision].astype(np.intp)

    def _by_classifier(self, node: Node, rows: Population, rewards: NDArray[np.float64]) -> NDArray[np.intp] | None:
        """Split by a ridge classifier of the better half; None when it cannot tell the halves apart."""
        features = self._features(rows)
        target = np.where(rewards > np.median(rewards), 1.0, -1.0)
        gram = features @ features.T
        gram[np.diag_indices_from(gram)] += RIDGE
        weights = features.T @ np.linalg.solve(gram, target)
        good = features @ weights > 0
        if good.all() or not good.any():
            return None
        node.classifier = weights
        return good.astype(np.intp)

    def _features(self, population: Population) -> NDArray[np.float64]:
        encoded = self._space.encode(population)
        return np.concatenate([encoded, np.ones((len(encoded), 1))], axis=1, dtype=np.float64)
