"""The most probable network that a budget allows."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search_spaces.space import Genotype, Population, SearchSpace

LISTED = 50_000
STARTS = 16

Values = Callable[[Population], NDArray[np.float64]]


class Budget:
    """Genotypes that cost no more than a limit.

    Spaces of up to `LISTED` genotypes are listed whole, so what is found there is the best there is. In larger ones
    decisions change one by one until none improves; a result keeps the limit in either case.

    Args:
        space: what can be built.
        predict: the cost of canonical genotypes.
        limit: the largest cost.

    Raises:
        ValueError: no genotype was found that costs so little; the message has the least cost.
    """

    def __init__(self, space: SearchSpace, predict: Values, limit: float) -> None:
        self.space, self.predict, self.limit = space, predict, limit
        least = self.cheapest
        cost = float(predict(least[None])[0])
        if not cost <= limit:
            raise ValueError(
                f"a budget of {limit:g} is out of reach in space {space.name!r}: the least that was found is {cost:g}, "
                f"with {space.choices(least)}"
            )

    @cached_property
    def cheapest(self) -> Genotype:
        """The (d,) canonical genotype of the least cost that was found."""
        space = self.space
        if self._all is not None:
            genotype: Genotype = self._all[0][self._all[1].argmin()]
            return genotype
        starts = [space.smallest(), space.largest(), *space.sample(STARTS, np.random.default_rng(0))]
        ends = np.stack([self._climb(start, lambda rows: -self.predict(rows)) for start in starts])
        best: Genotype = ends[self.predict(ends).argmin()]
        return best

    def best(self, score: Values, start: Genotype) -> Genotype:
        """The (d,) canonical genotype within the limit of the highest score that was found.

        Args:
            score: of canonical genotypes.
            start: (d,) the best of all decisions by themselves, inactive ones included.
        """
        if self._all is not None:
            population, costs = self._all
            allowed = population[costs <= self.limit]
            genotype: Genotype = allowed[score(allowed).argmax()]
            return genotype

        def within(rows: Population) -> NDArray[np.float64]:
            """Scores; beyond the limit, lower than any score and the lower the farther."""
            costs = self.predict(rows)
            return np.where(costs <= self.limit, score(rows), -1e9 * (1 + costs - self.limit))

        ends = np.stack([self._climb(self._reduce(start, score), within), self._climb(self.cheapest, within)])
        found: Genotype = ends[within(ends).argmax()]
        return found

    @cached_property
    def _all(self) -> tuple[Population, NDArray[np.float64]] | None:
        """Every genotype with its cost, in small spaces."""
        if self.space.size() > LISTED:
            return None
        population = self.space.enumerate()
        return population, self.predict(population)

    def _climb(self, row: Genotype, value: Values) -> Genotype:
        """Change the decision that improves most, until none does."""
        while True:
            rows = neighbours(self.space, row)
            best = int(value(self.space.canonical(rows)).argmax())
            if best == 0:
                genotype: Genotype = self.space.canonical(row[None])[0]
                return genotype
            row = rows[best]

    def _reduce(self, row: Genotype, score: Values) -> Genotype:
        """Change decisions, always the one that saves most for the score that it costs, until the limit is kept."""
        while True:
            rows = neighbours(self.space, row)
            canonical = self.space.canonical(rows)
            costs, scores = self.predict(canonical), score(canonical)
            saved, lost = costs[0] - costs, np.maximum(scores[0] - scores, 1e-6)
            if costs[0] <= self.limit or saved.max() <= 0:
                return row
            row = rows[int(np.where(saved > 0, saved / lost, 0).argmax())]


def neighbours(space: SearchSpace, row: Genotype) -> Population:
    """The (d,) row and all that differ from it in one decision, (1 + m, d), the row first."""
    rows = [row]
    for column, count in enumerate(space.cardinalities):
        for option in range(count):
            if option != row[column]:
                rows.append(row.copy())
                rows[-1][column] = option
    return np.stack(rows)
