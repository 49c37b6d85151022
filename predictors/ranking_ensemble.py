"""Small neural networks that learn which of two networks is better, as well as by how much.

C. Burges et al., "Learning to rank using gradient descent" (RankNet), ICML 2005; for accuracies of networks Y. Xu et
al., "ReNAS: relativistic evaluation of neural architecture search", CVPR 2021.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from predictors.folded import FoldedEnsemble, Mask
from predictors.predictor import State
from predictors.small_networks import first_layers, forward, scaled_by_group, train
from predictors.warping import Warp

Array = NDArray[np.float64]

HIDDEN = 48
STEPS = 300
BATCH = 96
RATE = 0.005
DECAY = 0.02
RANKING = 0.5
"""Weight of the loss of pairs; that of squared errors has the rest, so that scores keep their scale."""
STEEPNESS = 4.0
"""Of the chance that one network is better, by the difference of scores."""

FARTHEST = 6.0
"""Of features, in usual sizes."""

PARTNERS = (1, 2, 4, 8, 16)
"""Places in a batch from a network to those that it is compared with; batches are in random order."""


class RankingEnsemble(FoldedEnsemble):
    """Networks of two hidden layers, all trained at once by Adam (D. Kingma and J. Ba, 2015) from different starts."""

    name = "ranking_ensemble"

    def _trained(self, x: Array, scores: Array, kept: Mask) -> None:
        self.layers = first_layers((x.shape[1], HIDDEN, HIDDEN, 1), len(kept), np.random.default_rng([self.seed, 15]))
        inputs = self._inputs(x)
        rng = np.random.default_rng([self.seed, 16])
        pools = [np.flatnonzero(rows) for rows in kept]

        def batch() -> tuple[Array, Array]:
            rows = np.array([rng.choice(pool, min(BATCH, len(pools[0])), replace=len(pool) < BATCH) for pool in pools])
            return inputs[rows], scores[rows]

        train(self.layers, batch, _slopes, STEPS, RATE, DECAY)

    def _inputs(self, x: Array) -> Array:
        return scaled_by_group(self.features, x, FARTHEST)

    def _told(self, x: Array) -> Array:
        found: Array = forward(self.layers, self._inputs(x)[None])[-1][..., 0]
        return found

    def _state(self) -> State:
        arrays = {f"layer.{place}": layer for place, layer in enumerate(self.layers)}
        return State({**arrays, **self._warp.state()}, {"noise": self.noise})

    def _restore(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        self._warp, self.noise = Warp.restored(arrays), float(settings["noise"])
        self.layers = [arrays[f"layer.{place}"] for place in range(sum(key.startswith("layer.") for key in arrays))]


def _slopes(output: Array, scores: Array) -> Array:
    """Of squared errors and of the cross-entropy of which of two is better, over some pairs of a batch."""
    told, n = output[..., 0], scores.shape[1]
    ranked = np.zeros_like(told)
    for shift in PARTNERS:
        difference = STEEPNESS * (told - np.roll(told, shift, axis=1))
        better = np.sign(scores - np.roll(scores, shift, axis=1))
        wrong = np.where(better == 0, 0.0, expit(difference) - (better > 0))
        ranked += wrong - np.roll(wrong, -shift, axis=1)
    slopes: Array = (1 - RANKING) * 2 * (told - scores) / n + RANKING * STEEPNESS * ranked / (n * len(PARTNERS))
    return slopes[..., None]
