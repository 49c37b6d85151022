"""Any network on a device that was measured: a cost for each operator, and a correction for the network as a whole."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from predictors.averaged_process import AveragedProcess, Guess
from predictors.errors import PredictorError
from predictors.feature_set import FeatureSet
from predictors.kernels import Part
from predictors.node_features import NODE_FEATURES
from predictors.predictor import Predictor, Source, State

Array = NDArray[np.float64]

PULLS = 10.0 ** np.arange(-4.0, 2.0)
FOLDS = 5


class Graph(Predictor):
    """Overhead + a price for each operator, each MAC and each byte, by kind of operator; times a smooth correction.

    Prices are not negative, and relative errors count. A kind's prices stay near those that all kinds share unless the
    samples ask for more, so that a kind that was hardly ever seen has a sensible price; what a runtime fuses gets its
    own, lower one. The correction is a Gaussian process on the shape of the network as a whole (its sizes, intensity,
    where the work lies), which fades away from what was measured.

    The features are those of `predictors.node_features`, the same for networks of every space and from every file; any
    others do whose counts add up over a network.

    Attributes:
        seen: features and values of the training set, so that networks of another space can be added to it.
    """

    name = "graph"
    least_samples = 8

    def __init__(self, features: FeatureSet = NODE_FEATURES, *, seed: int = 0) -> None:
        super().__init__(features, seed=seed)
        self._sums = features.counted
        self._rest = np.setdiff1d(np.arange(len(features.names)), self._sums)
        quantities = [features.names[place].rsplit(" ", 1)[-1] for place in self._sums]
        self._families = np.array([list(dict.fromkeys(quantities)).index(each) for each in quantities])
        self._parts = (Part(slice(0, max(len(self._rest), 1)), -3.0, -3.0, (1.0, 3.0)),)

    def _fit(self, x: Array, y: Array, sources: Sequence[Source]) -> None:
        if (y <= 0).any():
            raise PredictorError(f"{self.name!r} needs values above 0 (got {y.min():g})")
        self.seen = x, y
        sums = x[:, self._sums]
        folds = self._blocks(x)
        held = {}
        for pull in PULLS:
            log = np.empty(len(y))
            for fold in range(int(folds.max()) + 1):
                out = folds == fold
                log[out] = self._log_sum(sums[out], self._prices(sums[~out], y[~out], float(pull)), float(y.min()))
            held[float(pull)] = float(np.mean((np.log(y) - log) ** 2))
        self.pull = min(held, key=held.__getitem__)
        self.prices = self._prices(sums, y, self.pull)
        self.floor = float(y.min())
        ratio = np.log(y) - self._log_sum(sums, self.prices, self.floor)
        self.correction = AveragedProcess(self._parts, self.seed).fit(self._shape(x), ratio)

    def node_prices(self) -> dict[str, float]:
        """What one operator, a million MACs and a megabyte cost, by kind; and the overhead of running a network."""
        names = [self.features.names[place] for place in self._sums]
        return {"overhead": float(self.prices[0]), **dict(zip(names, self.prices[1:].tolist(), strict=True))}

    def _guess(self, x: Array) -> Guess:
        shift, std = self.correction.predict(self._shape(x))
        mean = np.exp(np.clip(self._log_sum(x[:, self._sums], self.prices, self.floor) + shift, -700, 700))
        return Guess(mean, mean * std)

    def _shape(self, x: Array) -> Array:
        rest = self.features.scaled(x)[:, self._rest] if len(self._rest) else np.zeros((len(x), 1))
        clipped: Array = np.clip(rest, -5.0, 5.0)
        return clipped

    @staticmethod
    def _log_sum(sums: Array, prices: Array, floor: float) -> Array:
        """The logarithm of the sum of prices; never far below what was ever measured."""
        total: Array = np.log(np.maximum(prices[0] + sums @ prices[1:], 0.1 * floor))
        return total

    def _held_out(self, x: Array, y: Array, sources: Sequence[Source]) -> Guess:
        """From networks that are not alike, since it will be asked about networks that are like none it has seen."""
        blocks = self._blocks(x)
        mean, std = np.empty(len(y)), np.empty(len(y))
        for block in range(int(blocks.max()) + 1):
            out = blocks == block
            other = Graph(self.features, seed=self.seed)
            other._fit(x[~out], y[~out], sources)
            mean[out], std[out] = other._guess(x[out])
        return Guess(mean, std)

    def _blocks(self, x: Array) -> NDArray[np.intp]:
        """The (n,) part of each network: neighbours along the main axis of variation are in one part."""
        shape = self._shape(x) - self._shape(x).mean(axis=0)
        order = np.argsort(shape @ np.linalg.svd(shape, full_matrices=False)[2][0], kind="stable")
        found = np.empty(len(x), np.intp)
        found[order] = np.arange(len(x)) * min(FOLDS, len(x)) // len(x)
        return found

    def _prices(self, sums: Array, y: Array, pull: float) -> Array:
        """(1 + f,) prices: first common ones for counts, MACs and bytes, then those of each kind, pulled to them."""
        n = len(y)
        families = self._families
        shared = np.stack([sums[:, families == each].sum(axis=1) for each in range(families.max() + 1)], axis=1)
        common, _ = nnls(np.concatenate([np.ones((n, 1)), shared], axis=1) / y[:, None], np.ones(n))
        expected = common[1:][self._families]
        # A column counts as much as it contributes: a relative change of each price is as likely.
        contribution = np.sqrt(np.mean((sums / y[:, None]) ** 2, axis=0))
        usual = np.maximum(contribution, 0.05 * contribution.max())
        rows = np.concatenate([np.zeros((len(usual), 1)), np.diag(usual * np.sqrt(n * pull))], axis=1)
        design = np.concatenate([np.concatenate([np.ones((n, 1)), sums], axis=1) / y[:, None], rows])
        prices: Array = nnls(design, np.concatenate([np.ones(n), rows[:, 1:] @ expected]))[0]
        return prices

    def _state(self) -> State:
        arrays = {f"correction.{key}": value for key, value in self.correction.state().items()}
        arrays |= {"x": self.seen[0], "y": self.seen[1]}
        return State(arrays | {"prices": self.prices}, {"pull": self.pull, "floor": self.floor})

    def _restore(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        self.prices, self.pull, self.floor = arrays["prices"], float(settings["pull"]), float(settings["floor"])
        self.seen = arrays["x"], arrays["y"]
        start = "correction."
        own = {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}
        self.correction = AveragedProcess(self._parts, self.seed).restore(own)
