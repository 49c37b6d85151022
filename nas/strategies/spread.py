"""First points for predictors: spread over cost from the least to the most, and far from each other."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def spread_out(features: Array, costs: Array, chosen: int, n: int) -> NDArray[np.intp]:
    """Choose rows that fill a range of costs and differ from each other.

    The range of the root of each cost is divided evenly; the levels of different costs take turns. Near each level the
    row is chosen that lies farthest from those chosen before.

    Args:
        features: (k, f) of the candidates.
        costs: (k, c) of the candidates; c may be 0, then only distance counts.
        chosen: the first rows are chosen already.
        n: rows to choose in all.

    Returns:
        (n,) distinct indices, or fewer if there are fewer candidates.
    """
    k = len(features)
    deviation = features.std(axis=0)
    x = features[:, deviation > 1e-9] / deviation[deviation > 1e-9]
    picked = list(range(min(chosen, n, k)))
    distance = np.full(k, np.inf)
    for index in picked:
        distance = np.minimum(distance, np.abs(x - x[index]).sum(axis=1))
    size = scaled(costs)
    rounds = max(n - len(picked), 1)
    levels = np.linspace(0.0, 1.0, rounds)
    for turn in range(min(n, k) - len(picked)):
        score = distance.copy()
        if size.shape[1]:
            off = np.abs(size[:, turn % size.shape[1]] - levels[turn])
            off[distance == 0] = np.inf
            near = off <= max(float(off.min()), 0.5 / rounds)
            score = np.where(near, distance, -1.0)
        score[picked] = -2.0
        index = int(score.argmax())
        picked.append(index)
        distance = np.minimum(distance, np.abs(x - x[index]).sum(axis=1))
    return np.array(picked, np.intp)


def scaled(costs: Array) -> Array:
    """The roots of (k, c) costs above the least, as fractions of the largest."""
    above = np.sqrt(costs - costs.min(axis=0, initial=np.inf))
    most = above.max(axis=0, initial=0.0)
    return np.asarray(above[:, most > 0] / most[most > 0])
