"""Genotypes: architectures as rows of small integers, handled as whole populations."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces.conditions import Conditions
from search_spaces.decision import Decision, Option

Population = NDArray[np.int16]
"""An (n, d) array: one architecture a row, one decision a column, indices into the options."""

LARGEST_ENUMERATION = 1_000_000


class GenotypeSpace:
    """All architectures that a list of decisions describes.

    A genotype is a row of d option indices. It is *canonical* when every inactive decision holds index 0,
    so that two canonical genotypes are equal exactly when all active choices are.

    Attributes:
        decisions: the d decisions, in column order.
        names: (d,) names of the decisions.
        cardinalities: (d,) int16 numbers of options.

    Raises:
        ValueError: no decisions, a name given twice, a decision with more than 32,767 options, or
            conditions that are unknown, circular or can never hold.
    """

    def __init__(self, decisions: Sequence[Decision]) -> None:
        self.decisions = tuple(decisions)
        self.names = tuple(decision.name for decision in self.decisions)
        if not self.decisions:
            raise ValueError("a space needs at least one decision (got none)")
        for column, name in enumerate(self.names):
            if name in self.names[:column]:
                raise ValueError(f"decision {name!r} is given twice; names must be distinct")
            if len(self.decisions[column].options) > np.iinfo(np.int16).max:
                given = len(self.decisions[column].options)
                raise ValueError(f"decision {name!r} has {given} options; at most 32767 are allowed")
        self.cardinalities = np.array([len(decision.options) for decision in self.decisions], np.int16)
        self._columns = {name: column for column, name in enumerate(self.names)}
        self._conditions = Conditions(self.decisions)
        self._ends = np.cumsum(self.cardinalities, dtype=np.intp)
        self._size: int | None = None

    def sample(self, n: int, rng: np.random.Generator, *, held: NDArray[np.int16] | None = None) -> Population:
        """Draw n canonical genotypes (n, d); every decision is uniform over its options.

        With `held` (d,), decisions for which it has an option, and not -1, have that one wherever they are active.
        """
        rows = self._uniform(n, rng)
        return self.canonical(rows if held is None else np.where(held < 0, rows, held))

    def mutate(self, population: Population, rng: np.random.Generator, rate: float | None = None) -> Population:
        """Change active decisions to other options, at least one in every row that has a choice at all.

        Decisions that become active by the change are drawn uniformly.

        Args:
            population: (n, d) genotypes.
            rng: where the randomness comes from.
            rate: probability for every active decision to change; by default 1 / (number of active
                decisions of the row with at least two options), which is one change on average.

        Returns:
            (n, d) canonical genotypes, each different from its row unless the row has no choice.

        Raises:
            ValueError: `rate` is outside [0, 1].
        """
        if rate is not None and not 0 <= rate <= 1:
            raise ValueError(f"the mutation rate must be in [0, 1] (got {rate})")
        active = self.active(population)
        changeable = active & (self.cardinalities > 1)
        chances = rng.random(population.shape, np.float32)
        if rate is None:
            change = chances * changeable.sum(axis=1, dtype=np.float32, keepdims=True) < 1
        else:
            change = chances < rate
        change &= changeable
        idle = np.flatnonzero(~change.any(axis=1))
        if idle.size:  # of the decisions that stayed, the smallest chance is a uniform pick
            forced = np.where(changeable[idle], chances[idle], 2).argmin(axis=1)
            change[idle, forced] = changeable[idle, forced]

        # The chances of inactive decisions are unused, so they draw the options of those.
        rows = np.where(active, population, (chances * self.cardinalities).astype(np.int16))
        cells = np.flatnonzero(change)
        others = self.cardinalities.take(cells % len(self.decisions)) - 1
        options = (rng.random(len(cells), np.float32) * others).astype(np.int16)
        options += options >= population.take(cells)  # skips the present option
        rows.put(cells, options)
        return self.canonical(rows)

    def crossover(self, first: Population, second: Population, rng: np.random.Generator) -> Population:
        """Mix two (n, d) populations row by row, every decision from either parent (uniform crossover).

        A decision that is active in one parent only comes from that parent; one that is active in neither
        is drawn uniformly, should it become active.

        Returns:
            (n, d) canonical genotypes.

        Raises:
            ValueError: the populations differ in shape.
        """
        if first.shape != second.shape:
            raise ValueError(f"parents must have one shape (got {first.shape} and {second.shape})")
        chances = rng.random(first.shape, np.float32)
        from_first = chances < 0.5
        if not self._conditions.any():
            return np.where(from_first, first, second)
        in_first, in_second = np.split(self.active(np.concatenate([first, second])), 2)
        from_first &= in_first
        from_first |= ~in_second
        child = np.where(from_first, first, second)
        drawn = (chances * self.cardinalities).astype(np.int16)
        np.copyto(child, drawn, where=~(in_first | in_second))
        return self.canonical(child)

    def active(self, population: Population) -> NDArray[np.bool_]:
        """Return the (n, d) mask of the decisions that matter in each row."""
        return self._conditions.active(population)

    def canonical(self, population: Population) -> Population:
        """Return the (n, d) population with inactive decisions at index 0."""
        if not self._conditions.any():
            return population
        return population * self.active(population)

    def encode(self, population: Population) -> NDArray[np.float32]:
        """Return the one-hot encoding, (n, sum of cardinalities); inactive decisions are all zero."""
        encoded = np.zeros((len(population), int(self._ends[-1])), np.float32)
        starts = self._ends - self.cardinalities
        rows = np.arange(len(population), dtype=np.intp)[:, None] * encoded.shape[1]
        places = population + (rows + starts)
        np.put(encoded, places, self.active(population))
        return encoded

    def validate(self, population: object) -> None:
        """Check that an array is a population of this space (canonical or not).

        Raises:
            ValueError: it is not int16, not of shape (n, d), or holds an index outside the options.
        """
        if not isinstance(population, np.ndarray) or population.dtype != np.int16:
            given = getattr(population, "dtype", type(population).__name__)
            raise ValueError(f"genotypes must be an int16 array of option indices (got {given})")
        if population.ndim != 2 or population.shape[1] != len(self.decisions):
            raise ValueError(
                f"genotypes must have shape (n, {len(self.decisions)}), one column per decision "
                f"(got {population.shape})"
            )
        wrong = population.view(np.uint16) >= self.cardinalities.view(np.uint16)  # negative ones are large
        if wrong.any():
            row, column = (int(place) for place in np.argwhere(wrong)[0])
            decision = self.decisions[column]
            raise ValueError(
                f"row {row}, decision {decision.name!r}: option index {population[row, column]} is outside "
                f"0..{len(decision.options) - 1} (options: {list(decision.options)})"
            )

    def keys(self, population: Population) -> NDArray[np.void]:
        """Return (n,) byte keys, equal exactly for equal rows; `tolist()` gives hashable bytes."""
        rows = np.ascontiguousarray(population)
        return rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize)))[:, 0]

    def choices(self, genotype: NDArray[np.int16]) -> dict[str, Option]:
        """Return the active choices of one (d,) genotype as a JSON object: decision name -> option.

        Raises:
            ValueError: the row is not a genotype of this space.
        """
        self.validate(genotype[None])
        active = self.active(genotype[None])[0]
        return {
            decision.name: decision.options[int(index)]
            for decision, index, matters in zip(self.decisions, genotype, active, strict=True)
            if matters
        }

    def genotype(self, choices: Mapping[str, object]) -> NDArray[np.int16]:
        """Return the canonical (d,) genotype of an object as `choices` gives it.

        Raises:
            ValueError: an unknown decision or option, an active decision without a choice, or a choice
                for a decision that is not active.
        """
        for name in choices:
            if name not in self._columns:
                raise ValueError(f"unknown decision {name!r}; known: {', '.join(self.names)}")
        row = np.zeros(len(self.decisions), np.int16)
        active = np.zeros(len(self.decisions), np.bool_)
        for column in self._conditions.order:
            decision = self.decisions[column]
            clauses = self._conditions.clauses[column]
            active[column] = all(active[parent] and row[parent] in ok for parent, ok in clauses.items())
            if active[column]:
                row[column] = _option_index(decision, choices)
            elif decision.name in choices:
                raise ValueError(
                    f"decision {decision.name!r} is not active beside the other choices and must be "
                    f"left out (got {choices[decision.name]!r}); it needs {self._needs(column)}"
                )
        return row

    def size(self) -> int:
        """Return the exact number of distinct canonical genotypes."""
        if self._size is None:
            self._size = self._conditions.count()
        return self._size

    def enumerate(self, limit: int = LARGEST_ENUMERATION) -> Population:
        """Return all canonical genotypes, (size, d), in lexicographic order.

        Raises:
            ValueError: there are more than `limit`.
        """
        if self.size() > limit:
            raise ValueError(f"the space has {self.size()} genotypes; at most {limit} are enumerated")
        rows = np.zeros((1, len(self.decisions)), np.int16)
        for column in self._conditions.order:
            matters = self.active(rows)[:, column]
            copies = np.where(matters, self.cardinalities[column], 1).astype(np.intp)
            firsts = np.cumsum(copies) - copies
            rows = rows.repeat(copies, axis=0)
            rows[:, column] = np.arange(len(rows)) - firsts.repeat(copies)
        return rows[np.lexsort(rows.T[::-1])]

    def _uniform(self, n: int, rng: np.random.Generator) -> Population:
        drawn = rng.random((n, len(self.decisions)), np.float32)
        drawn *= self.cardinalities
        return drawn.astype(np.int16)

    def _needs(self, column: int) -> str:
        parts = []
        for parent, allowed in self._conditions.clauses[column].items():
            options = [self.decisions[parent].options[index] for index in sorted(allowed)]
            parts.append(f"{self.names[parent]} in {options}")
        return " and ".join(parts)


def _option_index(decision: Decision, choices: Mapping[str, object]) -> int:
    if decision.name not in choices:
        raise ValueError(f"decision {decision.name!r} has no choice; allowed: {list(decision.options)}")
    given = choices[decision.name]
    for index, option in enumerate(decision.options):
        # JSON writes 1.0 as 1 in some languages, but true is never a number.
        if option == given and isinstance(option, bool) == isinstance(given, bool):
            return index
    raise ValueError(f"decision {decision.name!r} has no option {given!r}; allowed: {list(decision.options)}")
