"""Features of the networks of a space as predictors of accuracy take them."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nas.features.network_features import EXAMPLES, SpaceFeatures
from predictors.errors import FeatureMismatch
from predictors.feature_set import FeatureSet, Group
from search_spaces.genotypes import GenotypeSpace, Population
from search_spaces.graph_features import GraphFeatures
from search_spaces.path_encoding import PathEncoding
from search_spaces.space import SearchSpace

Array = NDArray[np.float64]

SIZES = ("macs", "params")


class AccuracyFeatures:
    """(n, d) genotypes -> (n, f) features.

    Where decisions cut paths, only what lies on an open path says something of accuracy: counts and costs of operators,
    lengths and numbers of paths, the choices there, the operations on each path (`search_spaces.path_encoding`), and
    the logarithms of MACs and parameters, with which accuracy rises more evenly than with these (E. Rosenfeld et al.,
    "A constructive prediction of the generalization error across scales", ICLR 2020). In other spaces the features are
    those of `SpaceFeatures`.

    Args:
        space: what the genotypes belong to.
        subject: its name, if it has none itself.

    Attributes:
        features: what the columns are.
    """

    def __init__(self, space: GenotypeSpace, subject: str | None = None) -> None:
        self._space = space
        self._graph = GraphFeatures(space) if isinstance(space, SearchSpace) else None
        self._plain: SpaceFeatures | None = None
        if self._graph is None or not self._graph.routes.gates:
            self._plain = SpaceFeatures(space, subject)
            self.features = self._plain.features
            return
        self._encoding = PathEncoding(self._graph.routes, space.decisions)
        counts, _, paths, choices = (
            self._graph.names[first:last] for first, last in pairwise(np.cumsum([0, *self._graph.groups]).tolist())
        )
        self._sizes = [counts.index(cost) for cost in SIZES if cost in counts]
        sizes = [f"log {counts[column]}" for column in self._sizes]
        groups = (
            Group("counts", len(counts), slope=-1.0, bend=0.0, counts=True),
            Group("paths", len(paths), slope=-1.0, bend=0.0),
            Group("choices", len(choices), slope=-3.0, bend=-3.0),
            *([Group("open", len(self._encoding.names), slope=-1.0, bend=0.0)] if self._encoding.names else []),
            *([Group("size", len(sizes), slope=-2.0)] if sizes else []),
        )
        names = (*counts, *paths, *choices, *self._encoding.names, *sizes)
        examples = self(space.sample(EXAMPLES, np.random.default_rng(0)))
        name = subject if subject is not None else getattr(space, "name", "space")
        self.features = FeatureSet.of(name, names, groups, examples)

    def __call__(self, population: Population) -> Array:
        """Return the (n, f) features of an (n, d) canonical population."""
        if self._plain is not None:
            return self._plain(population)
        assert self._graph is not None
        counts, built, paths, _ = self._graph.groups
        everything = self._graph(population)
        choices = everything[:, counts + built + paths :] * self._reached(population)
        routes = everything[:, counts + built : counts + built + paths]
        sizes = np.log1p(np.maximum(everything[:, self._sizes], 0.0))
        return np.concatenate([everything[:, :counts], routes, choices, self._encoding(population), sizes], axis=1)

    def _reached(self, population: Population) -> Array:
        """(n, choices): whether the decision of each choice is on an open path."""
        assert self._graph is not None
        on = np.ones((len(population), len(self._space.decisions)))
        on[:, [gate.column for gate in self._graph.routes.gates]] = self._graph.routes(population)[1]
        return np.repeat(on, [len(decision.options) for decision in self._space.decisions], axis=1)


def beside(features: FeatureSet, x: Array, names: Sequence[str], values: Array) -> tuple[FeatureSet, Array]:
    """Features with other numbers that are known of every network beside them, such as zero-cost scores.

    Args:
        features: what the columns of `x` are.
        x: (n, f).
        names: of k numbers.
        values: (n, k), which may span many orders of magnitude; their usual sizes are those of these rows.

    Returns:
        What the columns are, and (n, f + k) features; without names those that were given.

    Raises:
        FeatureMismatch: a value that is not defined; its name and row are told.
    """
    if not names:
        return features, x
    if not np.isfinite(values).all():
        row, column = (int(place) for place in np.argwhere(~np.isfinite(values))[0])
        raise FeatureMismatch(
            f"{names[column]!r} is {values[row, column]} in row {row} and not known of "
            f"{(~np.isfinite(values[:, column])).sum()} of {len(values)} networks; a feature must be known of all: "
            "leave it out, or give it as a source"
        )
    columns = np.sign(values) * np.log1p(np.abs(values))
    given = Group("given", len(names), slope=0.0, bend=-1.0)
    return features.beside(FeatureSet.of(features.subject, tuple(names), (given,), columns)), np.hstack([x, columns])
