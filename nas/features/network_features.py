"""Features of the networks of a space as predictors take them."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from predictors.feature_set import FeatureSet, Group
from search_spaces.decision import Decision
from search_spaces.genotypes import GenotypeSpace, Population
from search_spaces.graph_features import COSTS, SKIP, GraphFeatures
from search_spaces.space import SearchSpace

Array = NDArray[np.float64]

EXAMPLES = 2000
"""Random networks that the usual size of each feature is taken from."""
COUNTED, BUILT, PATHS, TOTALS, NUMBERS, CHOICES = "counts", "built", "paths", "totals", "numbers", "choices"
EXPECTED = {
    COUNTED: Group(COUNTED, 0, slope=0.0, bend=-2.0, counts=True),
    BUILT: Group(BUILT, 0, slope=-2.5, bend=-4.0, counts=True),
    PATHS: Group(PATHS, 0, slope=-3.0, bend=-4.0),
    TOTALS: Group(TOTALS, 0, slope=-1.0, bend=None, counts=True),
    NUMBERS: Group(NUMBERS, 0, slope=-1.0, bend=-1.0, counts=True),
    CHOICES: Group(CHOICES, 0, slope=-3.0, bend=None),
}
"""How much each group is expected to explain, on any device: operators that run decide most."""


class SpaceFeatures:
    """(n, d) genotypes -> (n, f) features.

    Where the space builds networks: counts and costs of the operators that run, in spaces that cut paths also of those
    that are built, and the paths; in other spaces how often each option was taken; and the choices themselves. A space
    that is only a list of decisions has the last two.

    Args:
        space: what the genotypes belong to.
        subject: its name, if it has none itself.

    Attributes:
        features: what the columns are.
    """

    def __init__(self, space: GenotypeSpace, subject: str | None = None) -> None:
        self._space = space
        self._graph = GraphFeatures(space) if isinstance(space, SearchSpace) else None
        self._families = _families(space.decisions)
        self._adding = self._adds()
        self._numbers = self._numeric() if self._graph is None else {}
        examples = self(space.sample(EXAMPLES, np.random.default_rng(0)))
        name = subject if subject is not None else getattr(space, "name", "space")
        names, groups = self._columns()
        rising = np.array([_rises(column) for column in names[: groups[0].size]], np.bool_)
        rising = np.concatenate([rising, np.zeros(len(names) - len(rising), np.bool_)])
        self.features = FeatureSet.of(name, names, groups, examples, rising if self._graph is not None else None)

    def __call__(self, population: Population) -> Array:
        """Return the (n, f) features of an (n, d) canonical population."""
        if self._graph is None:
            choices = self._space.encode(population).astype(np.float64)
            numbers = [options[population[:, column]] for column, options in self._numbers.items()]
            return np.concatenate([choices @ self._adding, *(each[:, None] for each in numbers), choices], axis=1)
        found = self._graph(population)
        if len(self._graph.groups) > 2:
            return found
        first = self._graph.groups[0]
        choices = found[:, first:]
        return np.concatenate([found[:, :first], choices @ self._adding, choices], axis=1)

    def _columns(self) -> tuple[tuple[str, ...], tuple[Group, ...]]:
        totals = tuple(
            f"{family}={option} of all" for family, (options, _) in self._families.items() for option in options
        )
        if self._graph is None:
            choices = tuple(f"{d.name}={option}" for d in self._space.decisions for option in d.options)
            numbers = tuple(self._space.decisions[column].name for column in self._numbers)
            parts = {TOTALS: totals, NUMBERS: numbers, CHOICES: choices}
        elif len(self._graph.groups) > 2:
            ends = np.cumsum([0, *self._graph.groups]).tolist()
            pieces = [self._graph.names[first:last] for first, last in pairwise(ends)]
            parts = dict(zip((COUNTED, BUILT, PATHS, CHOICES), pieces, strict=True))
        else:
            first = self._graph.groups[0]
            parts = {COUNTED: self._graph.names[:first], TOTALS: totals, CHOICES: self._graph.names[first:]}
        groups = tuple(_sized(EXPECTED[key], len(names)) for key, names in parts.items() if names)
        return tuple(name for names in parts.values() for name in names), groups

    def _numeric(self) -> dict[int, Array]:
        """The options of decisions between numbers, by column."""
        found = {}
        for column, decision in enumerate(self._space.decisions):
            if len(decision.options) > 1 and all(type(option) in (int, float) for option in decision.options):
                found[column] = np.array(decision.options, np.float64)
        return found

    def _adds(self) -> Array:
        """(choices, totals): which one-hot choices are counted together, those of one option in one family."""
        ends = np.cumsum([0, *(len(decision.options) for decision in self._space.decisions)])
        columns = []
        for options, members in self._families.values():
            for option in range(len(options)):
                column = np.zeros(int(ends[-1]))
                column[[ends[member] + option for member in members]] = 1.0
                columns.append(column)
        return np.stack(columns, axis=1) if columns else np.zeros((int(ends[-1]), 0))


def _families(decisions: Sequence[Decision]) -> dict[str, tuple[tuple[object, ...], list[int]]]:
    """Decisions with the same options, of which there are several, by the name of the first."""
    found: dict[tuple[object, ...], list[int]] = {}
    for column, decision in enumerate(decisions):
        found.setdefault(tuple(decision.options), []).append(column)
    return {decisions[columns[0]].name: (options, columns) for options, columns in found.items() if len(columns) > 1}


def _rises(column: str) -> bool:
    """Whether more of a count must not lower a cost: of operators and of costs, not of skips."""
    return column in COSTS or column != SKIP


def _sized(group: Group, size: int) -> Group:
    return Group(group.name, size, group.slope, group.bend, group.counts)
