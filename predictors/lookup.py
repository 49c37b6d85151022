"""The sum of what the layers take alone, corrected for what changes when they run together.

The usual latency table (H. Cai et al., ProxylessNAS, 2019) is a plain sum; fused operators make it too high, and
starting a network takes time that no layer has.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from predictors.averaged_process import Guess
from predictors.predictor import Predictor, Source, State

Array = NDArray[np.float64]

PULLS = 10.0 ** np.arange(-4.0, 3.0)
SMALLEST = 1e-12


class Lookup(Predictor):
    """Overhead + common factor x sum, with a factor of its own for each column where the samples ask for it.

    The features are measured times: a column for each kind of layer, the sum over the network's layers of that kind.
    Factors and overhead are not negative. How strongly factors are pulled to the common one is chosen by leaving out
    each sample.
    """

    name = "lookup"
    least_samples = 3

    def _fit(self, x: Array, y: Array, sources: Sequence[Source]) -> None:
        everyone = np.ones(len(y), np.bool_)
        errors = {}
        for pull in PULLS:
            out = np.empty(len(y))
            for fold in range(min(len(y), 10)):
                left = np.arange(len(y)) % min(len(y), 10) == fold
                overhead, factors = _factors(x[~left], y[~left], float(pull))
                out[left] = y[left] - overhead - x[left] @ factors
            errors[float(pull)] = out
        self.pull = min(errors, key=lambda pull: float(np.mean(errors[pull] ** 2)))
        self.errors = errors[self.pull]
        self.overhead, self.factors = _factors(x[everyone], y, self.pull)
        self.deviation = max(float(np.sqrt(np.mean(self.errors**2))), SMALLEST * float(np.abs(y).max()))

    def _guess(self, x: Array) -> Guess:
        return Guess(self.overhead + x @ self.factors, np.full(len(x), self.deviation))

    def _held_out(self, x: Array, y: Array, sources: Sequence[Source]) -> Guess:
        return Guess(y - self.errors, np.full(len(y), self.deviation))

    def _state(self) -> State:
        plain = {"overhead": self.overhead, "deviation": self.deviation, "pull": self.pull}
        return State({"factors": self.factors}, plain)

    def _restore(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        self.factors = arrays["factors"]
        self.overhead, self.pull = float(settings["overhead"]), float(settings["pull"])
        self.deviation = float(settings["deviation"])


def _factors(x: Array, y: Array, pull: float) -> tuple[float, Array]:
    """Overhead and (f,) factors: first one for all, then each with a penalty for leaving it."""
    total = x.sum(axis=1)
    (_, common), _ = nnls(np.stack([np.ones(len(y)), total], axis=1), y)
    sizes = np.sqrt((x**2).mean(axis=0)) * np.sqrt(len(y) * pull)
    a = np.concatenate([np.concatenate([np.ones((len(y), 1)), x], axis=1), np.c_[np.zeros(x.shape[1]), np.diag(sizes)]])
    weights, _ = nnls(a, np.concatenate([y, sizes * common]))
    factors = weights[1:]
    factors[sizes == 0] = common
    return float(weights[0]), factors
