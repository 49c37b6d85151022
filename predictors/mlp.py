"""An ensemble of small neural networks; its disagreement is the deviation.

B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and scalable predictive uncertainty estimation using deep
ensembles", NeurIPS 2017.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.averaged_process import Guess
from predictors.predictor import Predictor, Source, State

Array = NDArray[np.float64]

MEMBERS = 5
HIDDEN = 32
STEPS = 300
BATCH = 256
RATE = 0.01
DECAY = 0.03
SMALLEST = 1e-12
NOISE = 0.02
"""Variance that is left when all members agree; calibration scales it to the data."""


class Mlp(Predictor):
    """Networks of two hidden layers, all trained at once by Adam (D. Kingma and J. Ba, 2015) from different starts."""

    name = "mlp"
    least_samples = 8

    def _fit(self, x: Array, y: Array, sources: Sequence[Source]) -> None:
        self.logarithmic = bool((y > 0).all())
        raw = np.log(y) if self.logarithmic else y
        self.centre, self.spread = float(raw.mean()), max(float(raw.std()), SMALLEST)
        self.layers = _trained(self._inputs(x), (raw - self.centre) / self.spread, self.seed)

    def _inputs(self, x: Array) -> Array:
        """Each group scaled to a mean square of about 1 together, so that large groups do not drown small ones."""
        sizes = np.concatenate([np.full(group.size, np.sqrt(group.size)) for group in self.features.groups])
        found: Array = np.clip(self.features.scaled(x), -10.0, 10.0) / sizes
        return found

    def _guess(self, x: Array) -> Guess:
        told = _forward(self.layers, self._inputs(x))[-1][..., 0]
        mean = self.centre + self.spread * told.mean(axis=0)
        std = self.spread * np.sqrt(told.var(axis=0) + NOISE)
        if not self.logarithmic:
            return Guess(mean, std)
        level = np.exp(np.clip(mean, -700, 700))
        return Guess(level, level * std)

    def _state(self) -> State:
        arrays = {f"{i}": array for i, array in enumerate(self.layers)}
        return State(arrays, {key: getattr(self, key) for key in ("logarithmic", "centre", "spread")})

    def _restore(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        self.logarithmic = bool(settings["logarithmic"])
        self.centre, self.spread = float(settings["centre"]), float(settings["spread"])
        self.layers = [arrays[f"{i}"] for i in range(len(arrays))]


def _trained(x: Array, z: Array, seed: int) -> list[Array]:
    """Weights and biases, each (members, ...), in the order of the layers."""
    rng = np.random.default_rng([seed, 7])
    sizes = (x.shape[1], HIDDEN, HIDDEN, 1)
    layers: list[Array] = []
    for before, after in pairwise(sizes):
        # Groups are scaled to 1 together and not column by column, so the first layer must not shrink them again.
        scale = np.sqrt(2.0 / before) if layers else 1.0
        layers += [rng.normal(0.0, scale, (MEMBERS, before, after)), np.zeros((MEMBERS, 1, after))]
    moments = [(np.zeros_like(layer), np.zeros_like(layer)) for layer in layers]
    for step in range(1, STEPS + 1):
        rows = rng.choice(len(z), BATCH, replace=False) if len(z) > BATCH else slice(None)
        values = _forward(layers, x[rows])
        slope = (values[-1] - z[rows][:, None]) * (2.0 / len(values[-1][0]))
        rate = RATE * 0.5 * (1 + np.cos(np.pi * step / STEPS))
        for place in (4, 2, 0):
            before = values[place // 2]
            gradients = before.swapaxes(-1, -2) @ slope, slope.sum(axis=1, keepdims=True)
            if place:
                slope = (slope @ layers[place].swapaxes(1, 2)) * (before > 0)
            for which, gradient in zip((place, place + 1), gradients, strict=True):
                first, second = moments[which]
                first += 0.1 * (gradient - first)
                second += 0.001 * (gradient**2 - second)
                change = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
                layers[which] = layers[which] - rate * (change + (DECAY * layers[which] if which % 2 == 0 else 0.0))
    return layers


def _forward(layers: Sequence[Array], x: Array) -> list[Array]:
    """The inputs of each layer and the output, (members, n, ...)."""
    values = [x[None]]
    for place in range(0, len(layers), 2):
        out = values[-1] @ layers[place] + layers[place + 1]
        values.append(np.maximum(out, 0.0) if place + 2 < len(layers) else out)
    return values
