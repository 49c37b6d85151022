"""Groups of networks that are alike, to be left out together: what is asked about is often unlike all of them."""

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

Array = NDArray[np.float64]

GROUPS = 6
FEWEST = 4
"""Networks in a group, on average."""


def alike(places: Array, seed: int) -> NDArray[np.intp]:
    """Return the (n,) group, from 0 on, of each of n networks at (n, f) places; there are two groups at least."""
    groups = max(min(GROUPS, len(places) // FEWEST), 2)
    distinct = np.unique(places, axis=0, return_inverse=True)[1].reshape(-1)
    if distinct.max() < groups:  # all of each place are one group; and if there is one place alone, halves of it
        return distinct.astype(np.intp) if distinct.max() else np.arange(len(places)) % 2
    found: NDArray[np.intp] = KMeans(groups, n_init=4, random_state=seed).fit_predict(places).astype(np.intp)
    return found


def apart(places: Array, seed: int) -> NDArray[np.intp]:
    """Return the (n,) group of each of n networks at (n, f) places, as many as lie apart most clearly.

    That is the number with the best mean silhouette (P. Rousseeuw, Journal of Computational and Applied Mathematics 20,
    1987), so that networks of different spaces are in different groups.
    """
    distinct = len(np.unique(places, axis=0))
    most = min(GROUPS, distinct - 1, len(places) // FEWEST)
    if most < 2:
        return alike(places, seed)
    found = [KMeans(k, n_init=4, random_state=seed).fit_predict(places).astype(np.intp) for k in range(2, most + 1)]
    best: NDArray[np.intp] = max(found, key=lambda groups: float(silhouette_score(places, groups)))
    return best


def by_group(values: Array, groups: NDArray[np.intp]) -> float:
    """Return the mean over groups of the means of (n,) values, so that a large group counts as much as a small one."""
    sizes = np.bincount(groups)
    return float(np.mean(np.bincount(groups, values)[sizes > 0] / sizes[sizes > 0]))
