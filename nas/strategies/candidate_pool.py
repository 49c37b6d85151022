"""A large evolutionary search inside predictors: what might be worth evaluating, however large the space is."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nas.strategies.neighbourhood import neighbours
from nas.strategies.ranking import best
from search_spaces.genotypes import GenotypeSpace, Population

Array = NDArray[np.float64]

PARENTS = 64
NEIGHBOURS = 512
CROSSED = 0.7
MUTATED = 0.8


def bred_pool(
    space: GenotypeSpace,
    parents: Population,
    score: Callable[[Population], Array],
    new: Callable[[Population, set[bytes]], Population],
    generations: int,
    children: int,
    rng: np.random.Generator,
) -> Population:
    """Breed for low predicted losses and return everything new that came up.

    The pool starts with neighbours of the parents and random genotypes; every generation breeds from the least
    dominated of the parents and the pool.

    Args:
        space: what is searched.
        parents: (k, d) evaluated genotypes, best first.
        score: (n, d) genotypes -> (n, m) predicted losses.
        new: drops from (n, d) genotypes those that may not be proposed or whose keys are in the set.
        generations: how many.
        children: of each generation.
        rng: where the randomness comes from.

    Returns:
        (n, d) distinct genotypes.
    """
    close = np.concatenate([parents[:0], *(neighbours(space, row) for row in parents)])
    if len(close) > NEIGHBOURS:
        close = close[rng.permutation(len(close))[:NEIGHBOURS]]
    pool = new(np.concatenate([close, space.sample(children, rng)]), set())
    seen = set(space.keys(pool).tolist())
    everyone = np.concatenate([parents, pool])
    scores = score(everyone)
    for _ in range(generations):
        leading = best(scores, np.zeros(len(scores)), PARENTS)
        everyone_best = everyone[leading]
        if not len(everyone_best):
            break
        # They are sorted best first, so the least index wins a tournament of two.
        winners = rng.integers(0, len(leading), (2, 2 * children)).min(axis=0)
        first, second = np.split(everyone_best[winners], 2)
        crossed = rng.random(children) < CROSSED
        mixed = np.where(crossed[:, None], space.crossover(first, second, rng), first)
        mutated = (rng.random(children) < MUTATED) | ~crossed
        born = new(np.where(mutated[:, None], space.mutate(mixed, rng), mixed), seen)
        if len(born):
            seen.update(space.keys(born).tolist())
            everyone = np.concatenate([everyone, born])
            scores = np.concatenate([scores, score(born)])
    return everyone[len(parents) :]
