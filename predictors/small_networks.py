"""Ensembles of small neural networks, all trained at once, as arrays."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from predictors.feature_set import FeatureSet

Array = NDArray[np.float64]


def scaled_by_group(features: FeatureSet, x: Array, farthest: float) -> Array:
    """Each group scaled to a mean square of about 1 together, so that large groups do not drown small ones."""
    sizes = np.concatenate([np.full(group.size, np.sqrt(group.size)) for group in features.groups])
    found: Array = np.clip(features.scaled(x), -farthest, farthest) / sizes
    return found


def first_layers(sizes: Sequence[int], members: int, rng: np.random.Generator) -> list[Array]:
    """Weights (members, before, after) and biases (members, 1, after) of each layer in turn."""
    layers: list[Array] = []
    for before, after in pairwise(sizes):
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


def train(
    layers: list[Array],
    batch: Callable[[], tuple[Array, Array]],
    slopes: Callable[[Array, Array], Array],
    steps: int,
    rate: float,
    decay: float,
) -> None:
    """Change layers in place by Adam (D. Kingma and J. Ba, 2015) with a cosine schedule.

    Args:
        layers: as `first_layers` makes them.
        batch: gives (members, n, f) inputs and what is to be said of them.
        slopes: of the loss with respect to (members, n, outputs), from these and what is to be said.
        steps: how many batches are taken.
        rate: of learning, its peak.
        decay: of weights, not of biases.
    """
    moments = [(np.zeros_like(layer), np.zeros_like(layer)) for layer in layers]
    for step in range(1, steps + 1):
        inputs, wanted = batch()
        values = forward(layers, inputs)
        slope = slopes(values[-1], wanted)
        now = rate * 0.5 * (1 + np.cos(np.pi * step / steps))
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
                layers[which] -= now * (change + (decay * layers[which] if which % 2 == 0 else 0.0))
