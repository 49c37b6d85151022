"""The neighbours of a genotype: all that differ from it in one decision."""

import numpy as np
from numpy.typing import NDArray

from search_spaces.genotypes import GenotypeSpace, Population


def neighbours(space: GenotypeSpace, genotype: NDArray[np.int16]) -> Population:
    """Return the (k, d) canonical genotypes that differ from a canonical one (d,) in one active decision.

    Decisions that become active by the change take their first option. Rows come decision by decision and are
    distinct.
    """
    sizes = np.where(space.active(genotype[None])[0], space.cardinalities, 1).astype(np.intp)
    columns = np.arange(len(sizes)).repeat(sizes)
    options = np.arange(len(columns)) - (np.cumsum(sizes) - sizes).repeat(sizes)
    others = options != genotype[columns]
    columns, options = columns[others], options[others]
    rows = np.tile(genotype, (len(columns), 1))
    rows[np.arange(len(columns)), columns] = options
    return space.canonical(rows)
