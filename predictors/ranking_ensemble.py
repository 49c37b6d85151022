"""Small neural networks that learn which of two networks is better, as well as by how much.

C. Burges et al., "Learning to rank using gradient descent" (RankNet), ICML 2005; for accuracies of networks Y. Xu et
al., "ReNAS: relativistic evaluation of neural architecture search", CVPR 2021.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from predictors.folded import FoldedEnsemble, Mask
from predictors.predictor import State
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

PARTNERS = (1, 2, 4, 8, 16)
"""Places in a batch from a network to those that it is compared with; batches are in random order."""


class RankingEnsemble(FoldedEnsemble):
    """Networks of two hidden layers, all trained at once by Adam (D. Kingma and J. Ba, 2015) from different starts."""

    name = "ranking_ensemble"

    def _trained(self, x: Array, scores: Array, kept: Mask) -> None:
        self.layers = first_layers(x.shape[1], len(kept), self.seed)
        inputs = self._inputs(x)
        rng = np.random.default_rng([self.seed, 16])
        pools = [np.flatnonzero(rows) for rows in kept]

        def batch() -> tuple[Array, Array]:
            rows = np.array([rng.choice(pool, min(BATCH, len(pools[0])), replace=len(pool) < BATCH) for pool in pools])
            return inputs[rows], scores[rows]

        train(self.layers, batch, _slopes, STEPS)

    def _inputs(self, x: Array) -> Array:
        """Each group scaled to a mean square of about 1 together, so that large groups do not drown small ones."""
        sizes = np.concatenate([np.full(group.size, np.sqrt(group.size)) for group in self.features.groups])
        found: Array = np.clip(self.features.scaled(x), -6.0, 6.0) / sizes
        return found

    def _told(self, x: Array) -> Array:
        found: Array = forward(self.layers, self._inputs(x)[None])[-1][..., 0]
        return found

    def _state(self) -> State:
        arrays = {f"layer.{place}": layer for place, layer in enumerate(self.layers)}
        return State({**arrays, **self._warp.state()}, {"noise": self.noise})

    def _restore(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        self._warp, self.noise = Warp.restored(arrays), float(settings["noise"])
        self.layers = [arrays[f"layer.{place}"] for place in range(sum(key.startswith("layer.") for key in arrays))]


def first_layers(features: int, members: int, seed: int, outputs: int = 1) -> list[Array]:
    """Weights (members, before, after) and biases (members, 1, after) of each layer in turn."""
    rng = np.random.default_rng([seed, 15])
    layers: list[Array] = []
    for before, after in ((features, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, outputs)):
        # Groups are scaled to 1 together and not column by column, so the first layer must not shrink them again.
        scale = np.sqrt(2.0 / before) if layers else 1.0
        layers += [rng.normal(0.0, scale, (members, before, after)), np.zeros((members, 1, after))]
    return layers


def forward(layers: Sequence[Array], x: Array) -> list[Array]:
    """The inputs of each layer and the output, (members, n, ...), for (members or 1, n, f) inputs."""
    values = [x]
    for place in range(0, len(layers), 2):
        out = values[-1] @ layers[place] + layers[place + 1]
        values.append(np.maximum(out, 0.0) if place + 2 < len(layers) else out)
    return values


def train(layers: list[Array], batch: Any, slopes: Any, steps: int) -> None:
    """Change layers in place by Adam with a cosine schedule.

    Args:
        layers: as `first_layers` makes them.
        batch: gives (members, n, f) inputs and what is to be said of them.
        slopes: of the loss with respect to (members, n, outputs), from these and what is to be said.
        steps: how many batches are taken.
    """
    moments = [(np.zeros_like(layer), np.zeros_like(layer)) for layer in layers]
    for step in range(1, steps + 1):
        inputs, wanted = batch()
        values = forward(layers, inputs)
        slope = slopes(values[-1], wanted)
        rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
        for place in range(len(layers) - 2, -1, -2):
            before = values[place // 2]
            gradients = before.swapaxes(-1, -2) @ slope, slope.sum(axis=1, keepdims=True)
            if place:
                slope = (slope @ layers[place].swapaxes(1, 2)) * (before > 0)
            for which, gradient in zip((place, place + 1), gradients, strict=True):
                first, second = moments[which]
                first += 0.1 * (gradient - first)
                second += 0.001 * (gradient**2 - second)
                change = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
                layers[which] -= rate * (change + (DECAY * layers[which] if which % 2 == 0 else 0.0))


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
