"""Distributions over genotypes in which every decision is drawn on its own, as flat arrays over all options."""

import numpy as np
from numpy.typing import NDArray

from search_spaces.genotypes import GenotypeSpace, Population

Table = NDArray[np.float64]
"""(k, o): k distributions, one column for each option of each decision, decision by decision."""


class Factorised:
    """What k factorised distributions over a space need; holds the layout of a table, not its content.

    Attributes:
        starts: (d,) column of the first option of each decision.
        sizes: (d,) numbers of options.
        width: o, the sum of the sizes.
    """

    def __init__(self, space: GenotypeSpace) -> None:
        self._space = space
        self.sizes = space.cardinalities.astype(np.intp)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.width = int(self.sizes.sum())

    def normalised(self, logits: Table) -> Table:
        """Return (k, o) probabilities: the softmax of each decision's logits."""
        top = np.maximum.reduceat(logits, self.starts, axis=1)
        raised = np.exp(logits - top.repeat(self.sizes, axis=1))
        totals = np.add.reduceat(raised, self.starts, axis=1)
        probabilities: Table = raised / totals.repeat(self.sizes, axis=1)
        return probabilities

    def draw(self, probabilities: Table, which: NDArray[np.intp], rng: np.random.Generator) -> Population:
        """Return (n, d) canonical genotypes, row i from distribution `which[i]`."""
        d = len(self.sizes)
        rows = np.empty((len(which), d), np.int16)
        chances = rng.random((len(which), d)) + np.arange(d)
        for k in np.unique(which):
            mine = which == k
            # Each decision adds 1 to the sum, so one sorted row holds the cumulative shares of all decisions.
            cells = np.searchsorted(np.cumsum(probabilities[k]), chances[mine], side="right")
            rows[mine] = np.clip(cells - self.starts, 0, self.sizes - 1)
        return self._space.canonical(rows)

    def chosen(self, population: Population) -> NDArray[np.float64]:
        """Return (n, o), 1 where an active decision has the option and 0 elsewhere."""
        return self._space.encode(population).astype(np.float64)

    def deciding(self, population: Population) -> NDArray[np.float64]:
        """Return (n, o), 1 for all options of active decisions and 0 elsewhere."""
        return self._space.active(population).astype(np.float64).repeat(self.sizes, axis=1)

    def shares(self, probabilities: Table, population: Population) -> NDArray[np.float64]:
        """Return (k, n): how much likelier a genotype is under each distribution than under their even mixture.

        These are the weights of the balance heuristic (E. Veach, L. Guibas, SIGGRAPH 1995): what was drawn from
        the mixture teaches every distribution, each in proportion to its part in it.
        """
        likelihood = np.log(np.maximum(probabilities, 1e-12)) @ self.chosen(population).T
        likelihood -= likelihood.max(axis=0)
        part = np.exp(likelihood)
        weights: NDArray[np.float64] = part / part.mean(axis=0)
        return weights
