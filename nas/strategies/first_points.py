"""What to evaluate before anything is known."""

import numpy as np

from search_spaces.genotypes import GenotypeSpace, Population


def first_points(space: GenotypeSpace, seeds: Population, n: int, rng: np.random.Generator) -> Population:
    """Return the seeds, and n points that use every option of a decision equally often.

    Between seeds every second point is a blend of two, in which the share of either is spread evenly: uniform
    sampling alone would leave all points in the middle of every additive cost.

    Args:
        space: what is searched.
        seeds: (k, d) canonical genotypes that come first.
        n: how many points besides.
        rng: where the randomness comes from.

    Returns:
        (k + n, d) canonical genotypes, not necessarily distinct.
    """
    sizes = space.cardinalities
    levels = np.arange(n)[:, None] + rng.integers(0, sizes)
    rows = rng.permuted(levels % sizes, axis=0).astype(np.int16)
    if len(seeds) > 1:
        blend = np.arange(int(rng.integers(2)), n, 2)
        pairs = rng.permuted(np.tile(np.arange(len(seeds)), (len(blend), 1)), axis=1)
        share = (rng.permutation(len(blend)) + rng.random(len(blend))) / max(len(blend), 1)
        from_first = rng.random((len(blend), len(sizes))) < share[:, None]
        rows[blend] = np.where(from_first, seeds[pairs[:, 0]], seeds[pairs[:, 1]])
    return np.concatenate([seeds, space.canonical(rows)])
