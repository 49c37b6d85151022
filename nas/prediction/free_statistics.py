"""What is known of networks without labels: zero-cost scores, which a predictor of accuracy learns beside few labels.

X. Dai et al., "FBNetV3: joint architecture-recipe search using predictor pretraining", CVPR 2021.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces.graph import Graph
from search_spaces.zero_cost.network import Batch
from search_spaces.zero_cost.scoring import zero_cost_scores

Array = NDArray[np.float64]


def free_statistics(
    networks: Iterable[Graph], names: Sequence[str], batch: Batch | None, seed: int
) -> dict[str, Array]:
    """Return name -> (n,) scores; where one is not defined, nothing passes the network, and it has the least of all.

    Args:
        networks: n of them.
        names: of zero-cost scores.
        batch: samples for those that look at some.
        seed: of the weights.

    Raises:
        ValueError: a score that needs samples where there are none, or that no network has.
    """
    scored = [zero_cost_scores(network, names, batch, seed) for network in networks]
    found = {}
    for name in names:
        values = np.array([each[name].value for each in scored])
        known = np.isfinite(values)
        if not known.any():
            raise ValueError(f"the score {name!r} is not defined for any of {len(scored)} networks; leave it out")
        found[name] = np.where(known, values, values[known].min())
    return found
