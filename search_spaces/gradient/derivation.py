"""The networks that logits stand for."""

import heapq

import numpy as np

from search_spaces.gradient.budget import Budget, neighbours
from search_spaces.gradient.logits import Logits
from search_spaces.gradient.mixing import is_zero
from search_spaces.graph import Graph
from search_spaces.space import Genotype, Population, SearchSpace

LOOKED_AT = 2_000
NEARLY = 0.1
"""The least odds of a rival against the most probable network."""


class Derivation:
    """The most probable networks whose output depends on their input and that keep the budget, if there is one.

    The most probable option of every decision may cut each path from input to output, above all where a budget asks
    for cheap operations and a space has one that is zero; such a network is never derived.

    Args:
        space: what is searched.
        budget: of its genotypes.

    Raises:
        ValueError: as `likeliest`, where nothing is known of the decisions yet.
    """

    def __init__(self, space: SearchSpace, budget: Budget | None = None) -> None:
        self.space, self._budget = space, budget
        self._computes: dict[bytes, bool] = {}
        self.likeliest(Logits(space, 0), 1)

    def __call__(self, logits: Logits) -> Genotype:
        """The (d,) canonical genotype of the most probable network."""
        found: Genotype = self.likeliest(logits, 1)[0]
        return found

    def rivals(self, logits: Logits, n: int) -> Population:
        """Of up to n of the most probable genotypes those that are nearly as probable as the first, (n, d)."""
        rows = self.likeliest(logits, n)
        odds = logits.log_odds(rows)
        found: Population = rows[odds >= odds[0] + np.log(NEARLY)]
        return found

    def likeliest(self, logits: Logits, n: int) -> Population:
        """Up to n canonical genotypes, the most probable first, (n, d).

        Every one but the first is found by changing one decision of a more probable one.

        Raises:
            ValueError: no network depends on its input, as far as was looked.
        """
        best = np.array(logits.best(), np.int16)
        rows = best[None]
        if self._budget is not None:
            rows = self._completed(self._budget.best(logits.log_odds, best), best)[None]
        queue: list[tuple[float, bytes, bytes]] = []
        seen: set[bytes] = set()
        found: list[Genotype] = []
        looked = 0
        while looked < LOOKED_AT:
            for row, key, score in self._fresh(rows, logits, seen):
                heapq.heappush(queue, (-score, key, row.tobytes()))
            if not queue or len(found) == n:
                break
            _, key, raw = heapq.heappop(queue)
            looked += 1
            if self._alive(key):
                found.append(_read(key)[0])
            rows = neighbours(self.space, _read(raw)[0])
        if not found:
            limit = "" if self._budget is None else f" that keep the budget of {self._budget.limit:g}"
            raise ValueError(
                f"the output of none of {looked} networks of space {self.space.name!r}{limit} depends on the input: "
                "all paths are cut; allow more cost or take the operation that is zero out of the space"
            )
        return np.stack(found)

    def _fresh(self, rows: Population, logits: Logits, seen: set[bytes]) -> list[tuple[Genotype, bytes, float]]:
        """Of the rows those that are not seen yet and keep the budget, with their canonical keys and scores."""
        canonical = self.space.canonical(rows)
        places: dict[bytes, int] = {}
        for place, each in enumerate(canonical):
            places.setdefault(each.tobytes(), place)
        new = [place for key, place in places.items() if key not in seen]
        seen.update(places)
        if self._budget is not None and new:
            kept = self._budget.predict(canonical[new]) <= self._budget.limit
            new = [place for place, keeps in zip(new, kept, strict=True) if keeps]
        scores = logits.log_odds(canonical[new])
        return [
            (rows[place], canonical[place].tobytes(), float(score)) for place, score in zip(new, scores, strict=True)
        ]

    def _completed(self, genotype: Genotype, best: Genotype) -> Genotype:
        """With the best option of each decision that is inactive, which is what counts once it is active."""
        completed: Genotype = np.where(self.space.active(genotype[None])[0], genotype, best)
        return completed

    def _alive(self, key: bytes) -> bool:
        if key not in self._computes:
            self._computes[key] = depends_on_input(self.space.graph(_read(key)[0]))
        return self._computes[key]


def depends_on_input(graph: Graph) -> bool:
    """Whether there is a way from an input to an output that no factor of zero cuts."""
    reached = {value.name for value in graph.inputs}
    for node in graph.nodes:
        if reached.isdisjoint(node.inputs):
            continue
        if node.op != "Mul" or not any(is_zero(graph.values[name]) for name in node.inputs):
            reached.update(node.outputs)
    return any(value.name in reached for value in graph.outputs)


def _read(key: bytes) -> Population:
    return np.frombuffer(key, np.int16)[None]
