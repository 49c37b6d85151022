"""Repair: walk genotypes into static bounds that they break."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from search_spaces.genotypes import GenotypeSpace, Population

LONGEST_WALK = 512


def repaired(
    population: Population,
    space: GenotypeSpace,
    violation: Callable[[Population], NDArray[np.float64]],
    rng: np.random.Generator,
    patience: int = 24,
) -> Population:
    """Mutate the rows that break a bound, keeping every step that does not make it worse.

    All rows walk at once. The walk ends when every row satisfies the bounds, when `patience` steps in a row
    improved none of them, or after 512 steps.

    Args:
        population: (n, d) genotypes.
        space: what they belong to.
        violation: (k, d) -> (k,) amounts, 0 or less where the bounds hold.
        rng: where the randomness comes from.
        patience: steps without any improvement before giving up.

    Returns:
        (n, d) genotypes; some may still break a bound.
    """
    rows = population.copy()
    amounts = violation(rows)
    stale = 0
    for _ in range(LONGEST_WALK):
        broken = np.flatnonzero(amounts > 0)
        if not broken.size or stale > patience:
            break
        mutants = space.mutate(rows[broken], rng)
        new = violation(mutants)
        stale = 0 if (new < amounts[broken]).any() else stale + 1
        kept = new <= amounts[broken]
        rows[broken[kept]] = mutants[kept]
        amounts[broken[kept]] = new[kept]
    return rows
