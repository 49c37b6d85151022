"""Expected hypervolume improvement, for any number of objectives and any monotone warping of them.

The region that the front does not dominate, up to the reference point, is cut into boxes. A candidate with
independent losses Y improves by the sum over boxes of the products of G(upper) - G(lower), one for each objective, with
G(u) = E[max(u - Y, 0)]; the expectation is a Gauss-Hermite sum. In one and two objectives this is the exact formula of
K. Yang, M. Emmerich, A. Deutz, T. Baeck, "Efficient computation of expected hypervolume improvement using box
decomposition algorithms", Journal of Global Optimization 75, 2019.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nas.front import front

Array = NDArray[np.float64]

LARGEST_FRONT = {1: 1, 2: 400, 3: 60, 4: 22}
"""Points of a front that are used, by the number of objectives; more are thinned out."""
FEWEST = 12
NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


class Boxes:
    """The region that no point of a front dominates, up to a reference point, as disjoint boxes.

    Args:
        losses: (k, m) points; dominated ones and those beyond the reference change nothing.
        reference: (m,).

    Attributes:
        levels: for each objective the sorted coordinates at which boxes end, the first minus infinity.
        lower: (boxes, m) indices into `levels`.
        upper: the same.
    """

    def __init__(self, losses: Array, reference: Array) -> None:
        m = len(reference)
        inside = losses[(losses < reference).all(axis=1)]
        inside = inside[front(inside)] if len(inside) else inside
        points = thinned(inside, LARGEST_FRONT.get(m, FEWEST))
        boxes = np.array(_boxes(points, reference), np.float64).reshape(-1, m, 2)
        self.levels = [np.unique(boxes[:, axis]) for axis in range(m)]
        places = [np.searchsorted(levels, boxes[:, axis]) for axis, levels in enumerate(self.levels)]
        self.lower = np.stack([place[:, 0] for place in places], axis=1)
        self.upper = np.stack([place[:, 1] for place in places], axis=1)

    def improvement(self, samples: Array) -> Array:
        """Return the (n,) expected improvements of candidates.

        Args:
            samples: (m, n, NODES) losses at the quadrature nodes, as `at_nodes` gives them.
        """
        total = np.ones((samples.shape[1], len(self.lower)))
        for axis, levels in enumerate(self.levels):
            gain = expected_below(samples[axis], levels)
            total *= gain[:, self.upper[:, axis]] - gain[:, self.lower[:, axis]]
        improvement: Array = total.sum(axis=1)
        return improvement


def expected_below(samples: Array, levels: Array) -> Array:
    """Return (n, levels) values of E[max(level - Y, 0)] for (n, NODES) samples of Y; 0 at minus infinity."""
    finite = np.where(np.isfinite(levels), levels, 0.0)
    below = np.zeros((len(samples), len(levels)))
    for node, weight in enumerate(WEIGHTS):
        below += weight * np.maximum(finite - samples[:, node, None], 0.0)
    finished: Array = below * np.isfinite(levels)
    return finished


def at_nodes(mean: Array, deviation: Array) -> Array:
    """Return (n, NODES) values of normal variables at the quadrature nodes."""
    values: Array = mean[:, None] + deviation[:, None] * NODES
    return values


def thinned(points: Array, most: int) -> Array:
    """Return at most `most` of (k, m) points: the best in each objective, then the farthest from those chosen."""
    if len(points) <= most:
        return points
    chosen = list(dict.fromkeys(points.argmin(axis=0).tolist()))[:most]
    distance = np.min([np.abs(points - points[index]).max(axis=1) for index in chosen], axis=0)
    while len(chosen) < most:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.abs(points - points[chosen[-1]]).max(axis=1))
    kept: Array = points[np.sort(chosen)]
    return kept


def _boxes(points: Array, reference: Array) -> list[list[tuple[float, float]]]:
    """The boxes, each as m pairs of bounds, by slabs along the last objective."""
    last = float(reference[-1])
    if len(reference) == 1:
        return [[(-np.inf, float(points[:, 0].min()) if len(points) else last)]]
    boxes = []
    levels = np.unique(points[:, -1])
    edges = [-np.inf, *levels.tolist(), last]
    for low, high in pairwise(edges):
        below = points[points[:, -1] <= low, :-1]
        if len(below) > 1 and below.shape[1] > 1:
            below = below[front(below)]
        boxes += [[*box, (low, high)] for box in _boxes(below, reference[:-1])]
    return boxes
