"""What each phase of a supernet's training draws its networks from (progressive shrinking, arXiv 1908.09791)."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from string import digits
from typing import Literal

import numpy as np

from search_spaces.covering import activate
from search_spaces.space import Genotype, Population, SearchSpace

Sampling = Literal["sandwich", "uniform", "fair"]


class PhaseNetworks:
    """The networks of one phase: decisions that are not elastic have the largest network's options.

    Args:
        space: what can be built.
        elastic: names of the decisions that are elastic, or patterns of names.

    Attributes:
        held: (d,) the option of every decision that is not elastic, -1 for the others.

    Raises:
        ValueError: a pattern matches no decision; the known ones are named.
    """

    def __init__(self, space: SearchSpace, elastic: Sequence[str]) -> None:
        for pattern in elastic:
            if not matching(space.names, pattern):
                raise ValueError(unmatched(space, pattern))
        free = {name for pattern in elastic for name in matching(space.names, pattern)}
        self.space = space
        self.held = np.full(len(space.names), -1, np.int16)
        if held := [column for column, name in enumerate(space.names) if name not in free]:
            self.held[held] = largest_options(space)[held]

    @cached_property
    def smallest(self) -> Genotype:
        """The (d,) smallest network of the phase."""
        if (self.held < 0).all():
            return self.space.smallest()
        return self.space.extreme(largest=False, held=self.held)

    def draw(self, sampling: Sampling, random: int, rng: np.random.Generator) -> Population:
        """The networks of a step, (n, d); only the largest if nothing is elastic.

        Args:
            sampling: `sandwich`: the largest, the smallest and random ones; `uniform`: random ones; `fair`: as many as
                the decision with most options has, so that each of its options is in one of them, and each option of
                the others in as many as its siblings or in one more.
            random: how many are random, unless it is fair.
            rng: where the randomness comes from.
        """
        largest = self.space.largest()[None]
        if (self.held >= 0).all():
            return largest
        if sampling == "fair":
            rounds = np.arange(int(self.space.cardinalities.max()))[:, None]
            levels = rounds + rng.integers(0, self.space.cardinalities)
            return self.restrict((rng.permuted(levels, axis=0) % self.space.cardinalities).astype(np.int16))
        drawn = self.space.sample(random, rng, held=self.held)
        return drawn if sampling == "uniform" else np.concatenate([largest, self.smallest[None], drawn])

    def restrict(self, population: Population) -> Population:
        """An (n, d) population with the decisions that are not elastic at the options they are held at."""
        return self.space.canonical(np.where(self.held < 0, population, self.held))


def matching(names: Sequence[str], pattern: str) -> list[str]:
    """The names that a pattern (`*`, `?`, `[...]`) or plain name stands for."""
    return [name for name in names if name == pattern or fnmatchcase(name, pattern)]


def unmatched(space: SearchSpace, pattern: str) -> str:
    """The message for a pattern that matches no decision."""
    return f"{pattern!r} matches no decision of space {space.name!r}; known: {', '.join(patterns(space.names))}"


def patterns(names: Sequence[str]) -> list[str]:
    """Patterns for names, one for all that differ by the number at their end: `kernel*`."""
    return list(dict.fromkeys(name.rstrip(digits) + "*" if name[-1:].isdigit() else name for name in names))


def largest_options(space: SearchSpace) -> Genotype:
    """The (d,) largest option of every decision, also of those that are inactive in the largest network."""
    row = space.largest()
    for column in np.flatnonzero(~space.active(row[None])[0]):
        active, held = space.largest(), np.full_like(row, -1)
        above = activate(space, active, int(column))
        held[above] = active[above]
        row[column] = space.extreme(largest=True, held=held)[column]
    return row
