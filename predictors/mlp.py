"""An ensemble of small neural networks; its disagreement is the deviation.

B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and scalable predictive uncertainty estimation using deep
ensembles", NeurIPS 2017.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.averaged_process import Guess
from predictors.predictor import Predictor, Source, State
from predictors.small_networks import first_layers, forward, scaled_by_group, train

Array = NDArray[np.float64]

MEMBERS = 5
HIDDEN = 32
STEPS = 300
BATCH = 256
RATE = 0.01
DECAY = 0.03
SMALLEST = 1e-12
FARTHEST = 10.0
"""Of features, in usual sizes."""
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
        return scaled_by_group(self.features, x, FARTHEST)

    def _guess(self, x: Array) -> Guess:
        told = forward(self.layers, self._inputs(x)[None])[-1][..., 0]
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
    layers = first_layers((x.shape[1], HIDDEN, HIDDEN, 1), MEMBERS, rng)

    def batch() -> tuple[Array, Array]:
        rows = rng.choice(len(z), BATCH, replace=False) if len(z) > BATCH else slice(None)
        return x[rows][None], z[rows]

    train(layers, batch, _slopes, STEPS, RATE, DECAY)
    return layers


def _slopes(output: Array, wanted: Array) -> Array:
    """Of mean squared errors."""
    slopes: Array = (output - wanted[:, None]) * (2.0 / len(wanted))
    return slopes
