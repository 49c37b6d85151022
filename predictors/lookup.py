"""The sum of what the layers take alone, corrected for what changes when they run together.

The usual latency table (H. Cai et al., ProxylessNAS, 2019) is a plain sum; fused operators make it too high, and
starting a network takes time that no layer has.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from predictors.alike import alike, apart, by_group
from predictors.averaged_process import Guess
from predictors.errors import PredictorError
from predictors.layer_table import UNSURE
from predictors.predictor import Predictor, Source, State

Array = NDArray[np.float64]

PULLS = 10.0 ** np.arange(-4.0, 5.0)
SMALLEST = 1e-12


class Lookup(Predictor):
    """Overhead + common factor x sum, with a factor of its own for each column where the samples ask for it.

    The features are those of `predictors.layer_table`: a column for each kind of layer, the sum over the network's
    layers of that kind, and last the usual error of what was not measured. Factors and overhead are not negative, and
    relative errors count. How strongly factors are pulled to the common one is chosen by leaving out each group of
    networks that are alike.
    """

    name = "lookup"
    least_samples = 3
    belief = 1.0  # a network of layers that were never measured is as unsure as its prices

    def _fit(self, x: Array, y: Array, sources: Sequence[Source]) -> None:
        if (y <= 0).any():
            raise PredictorError(f"{self.name!r} needs values above 0 (got {y.min():g})")
        sums, unsure = self._split(x)
        total = np.maximum(sums.sum(axis=1), SMALLEST)
        places = np.concatenate([sums / total[:, None], np.log(total)[:, None]], axis=1)
        groups = alike(places, self.seed)
        errors = {}
        for pull in PULLS:
            off = np.empty(len(y))
            for each in range(int(groups.max()) + 1):
                out = groups == each
                overhead, factors = _factors(sums[~out], y[~out], float(pull))
                off[out] = 1 - (overhead + sums[out] @ factors) / y[out]
            errors[float(pull)] = off
        self.pull = min(errors, key=lambda pull: by_group(errors[pull] ** 2, groups))
        self.deviation = max(float(np.sqrt(by_group(errors[self.pull] ** 2, groups))), SMALLEST)
        self.overhead, self.factors = _factors(sums, y, self.pull)
        self._alike = apart(places, self.seed)
        held = np.empty(len(y))
        for each in range(int(self._alike.max()) + 1):
            out = self._alike == each
            overhead, factors = _factors(sums[~out], y[~out], self.pull)
            held[out] = overhead + sums[out] @ factors
        self._left = Guess(held, self._std(held, unsure))

    def _guess(self, x: Array) -> Guess:
        sums, unsure = self._split(x)
        mean = self.overhead + sums @ self.factors
        return Guess(mean, self._std(mean, unsure))

    def _held_out(self, x: Array, y: Array, sources: Sequence[Source]) -> Guess:
        return self._left

    def _split(self, x: Array) -> tuple[Array, Array]:
        """The (n, f) sums, and the (n,) errors of what is priced in them."""
        unsure = np.array([name == UNSURE for name in self.features.names])
        return x[:, ~unsure], x[:, unsure].sum(axis=1)

    def _std(self, mean: Array, unsure: Array) -> Array:
        found: Array = np.hypot(self.deviation * np.abs(mean), unsure)
        return found

    def _state(self) -> State:
        plain = {"overhead": self.overhead, "deviation": self.deviation, "pull": self.pull}
        return State({"factors": self.factors}, plain)

    def _restore(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        self.factors = arrays["factors"]
        self.overhead, self.pull = float(settings["overhead"]), float(settings["pull"])
        self.deviation = float(settings["deviation"])


def _factors(x: Array, y: Array, pull: float) -> tuple[float, Array]:
    """Overhead and (f,) factors: first one for all, then each with a penalty for leaving it; errors are relative."""
    n, relative = len(y), x / y[:, None]
    ones = np.ones(n)
    (_, common), _ = nnls(np.stack([1 / y, relative.sum(axis=1)], axis=1), ones)
    sizes = np.sqrt((relative**2).mean(axis=0)) * np.sqrt(n * pull)
    rows = np.concatenate([np.zeros((x.shape[1], 1)), np.diag(sizes)], axis=1)
    design = np.concatenate([np.concatenate([1 / y[:, None], relative], axis=1), rows])
    weights, _ = nnls(design, np.concatenate([ones, sizes * common]))
    factors = weights[1:]
    factors[sizes == 0] = common
    return float(weights[0]), factors
