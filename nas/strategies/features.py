"""What predictors inside a strategy see of a genotype."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from search_spaces.genotypes import GenotypeSpace, Population


class Features(Protocol):
    """Turns genotypes into numbers; who makes a strategy may give one that knows the networks.

    Attributes:
        groups: sizes of groups of features that belong together; they lie side by side.
        lengths: for each group the logarithm of the lengthscale, in deviations, over which a loss is expected to
            change: large for groups that should matter only where the others explain too little.
        costs: columns that say how large a network is, if any do.
    """

    @property
    def groups(self) -> tuple[int, ...]:
        """Sizes of the groups."""

    @property
    def lengths(self) -> tuple[float, ...]:
        """Logarithms of expected lengthscales."""

    @property
    def costs(self) -> Sequence[int]:
        """Columns that say how large a network is."""

    def __call__(self, population: Population) -> NDArray[np.float64]:
        """Return (n, f) features of (n, d) canonical genotypes; finite, and a row depends on its genotype alone."""


class Choices:
    """The one-hot choices and nothing else: what there is when the networks are not known.

    Args:
        space: what the genotypes belong to.
    """

    lengths = (1.0,)
    costs: tuple[int, ...] = ()

    def __init__(self, space: GenotypeSpace) -> None:
        self._space = space
        self.groups = (int(space.cardinalities.sum()),)

    def __call__(self, population: Population) -> NDArray[np.float64]:
        """Return the (n, sum of cardinalities) encoding."""
        return self._space.encode(population).astype(np.float64)
