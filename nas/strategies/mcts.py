"""Monte Carlo tree search over the decisions of a space, or over a learned partition of it.

L. Kocsis, C. Szepesvári, "Bandit based Monte-Carlo planning", ECML 2006 (UCT); A. Couëtoux et al., "Continuous
upper confidence trees", LION 2011 (progressive widening); the learned partition is that of LaNAS and LaMOO: L. Wang,
S. Xie, T. Li, R. Fonseca, Y. Tian, "Sample-efficient neural architecture search by learning actions for Monte Carlo
tree search", arXiv 1906.06832, and Y. Zhao et al., arXiv 2110.03173.
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from nas.strategies.base import Strategy, StrategyOptions
from nas.strategies.contribution import Contribution
from nas.strategies.first_points import first_points
from nas.strategies.search_tree import Node, SearchTree
from search_spaces.genotypes import Population

GROWTH = 1.3
CANDIDATES = 32
ELITE = 8
EMPHASIS = 4
PATIENCE = 8
MOST_WAITING = 256


class MctsOptions(StrategyOptions):
    """The options of Monte Carlo tree search."""

    name: Literal["mcts"] = "mcts"
    partition: Literal["decisions", "learned"] = Field(
        default="decisions", description="what the tree is made of: decisions, or linear classifiers (LaNAS, LaMOO)"
    )
    first: int = Field(default=20, ge=1, le=100_000, description="points before the tree is used")
    leaf: int = Field(default=20, ge=2, le=10_000, description="a leaf with so many results is split")
    exploration: float = Field(default=0.1, ge=0, le=100, description="weight of the confidence term in UCT")
    widening: float = Field(
        default=0.5, gt=0, le=1, description="n visits allow the 4 + n^this options of a decision that are best so far"
    )
    rollout: Literal["uniform", "prior"] = Field(
        default="prior", description="what decides below the tree: chance, or a variation of the best results there"
    )


class Mcts(Strategy[MctsOptions]):
    """Walks down a tree of regions by upper confidence bounds and draws a genotype from the leaf.

    The reward that is backed up is what a result adds to the hypervolume, or else how far it stays behind the front,
    as the share of all results that it beats, to the fourth power. It is judged against a history that is frozen,
    and frozen anew, the tree with it, whenever the history has grown by three tenths. Proposals that were not told
    yet count as visits without reward. The order of decisions is learned: each node is split by the one that
    explains most there.
    """

    summary: ClassVar[str] = "Monte Carlo tree search (UCT) over decisions or a learned partition (LaNAS, LaMOO)"
    options_type = MctsOptions

    def _start(self) -> None:
        self._plant()
        self._grown = 0
        self._next_planting = self.options.first

    def _plant(self) -> None:
        learned = self.options.partition == "learned"
        self._tree = SearchTree(self.space, learned=learned, leaf=self.options.leaf)
        self._judge: Contribution | None = None

    def _observe(self) -> None:
        history = self.history
        while len(history) >= self._next_planting:
            end = self._next_planting
            self._plant()
            self._judge = Contribution(history.losses[:end], history.violations[:end])
            self._grow(0, end)
            self._next_planting = int(end * GROWTH) + 1
        if self._judge is not None:
            self._grow(self._grown, len(history))

    def _grow(self, start: int, end: int) -> None:
        assert self._judge is not None
        history = self.history
        rewards = self._judge.rewards(history.losses[start:end], history.violations[start:end]) ** EMPHASIS
        self._tree.add(history.genotypes[start:end], rewards)
        self._grown = end

    def _propose(self, n: int, rng: np.random.Generator) -> Population:
        if self.proposed < self.options.first or self._judge is None:
            return first_points(self.space, self.seeds, n, rng)
        waiting = self.outstanding[-MOST_WAITING:]
        self._tree.wait(waiting, 1)
        found: list[Population] = []
        visited: list[Node] = []
        misses = 0
        while len(found) < n and misses < PATIENCE:
            path = self._descend(rng)
            for node in path:
                node.pending += 1
            visited += path
            row, is_new = self._drawn(path, rng)
            found.append(row)
            misses += not is_new
        for node in visited:
            node.pending -= 1
        self._tree.wait(waiting, -1)
        rows = np.concatenate(found)
        return np.concatenate([rows, self.space.mutate(rows, rng)])

    def _descend(self, rng: np.random.Generator) -> list[Node]:
        """Return the path from the root to a leaf, by upper confidence bounds."""
        node = self._tree.root
        path = [node]
        while node.children:
            node = self._next(node, rng)
            path.append(node)
        return path

    def _next(self, node: Node, rng: np.random.Generator) -> Node:
        options = list(node.children)
        if node.decision is not None:
            size = int(self.space.cardinalities[node.decision])
            allowed = min(size, 4 + int(node.visits**self.options.widening))
            if len(options) < allowed:
                fresh = np.setdiff1d(np.arange(size), options)
                return self._tree.child(node, int(rng.choice(fresh)))
            options.sort(key=lambda option: (-node.children[option].mean, option))
            options = options[:allowed]
        visits = np.array([node.children[option].visits for option in options])
        means = np.array([node.children[option].mean for option in options])
        bounds = means + self.options.exploration * np.sqrt(2 * np.log(max(node.visits, 2)) / np.maximum(visits, 1))
        bounds[visits == 0] = np.inf
        return node.children[options[int(rng.choice(np.flatnonzero(bounds == bounds.max())))]]

    def _drawn(self, path: list[Node], rng: np.random.Generator) -> tuple[Population, bool]:
        """Return a genotype (1, d) of the region of a leaf, or near it, and whether it was never seen."""
        leaf = path[-1]
        home = next(node for node in reversed(path) if node.rows)
        best = self._tree.best(home, ELITE)
        if self.options.rollout == "uniform" and self.options.partition == "decisions":
            rows = self.space.sample(4, rng)
        else:
            first, second = best[rng.integers(0, len(best), (2, CANDIDATES))]
            rows = self.space.mutate(self.space.crossover(first, second, rng), rng)
            if self.options.rollout == "uniform":
                rows = np.concatenate([self.space.sample(CANDIDATES, rng), rows])
        for column, option in leaf.fixed.items():
            rows[:, column] = option
        rows = self.space.canonical(rows)
        keys = self.space.keys(rows).tolist()
        new = np.array([key not in self._proposed and key not in self._told for key in keys])
        good = new & self._tree.inside(path, rows)
        place = int((2 * good + new).argmax())
        return rows[[place]], bool(new[place])
