"""Any network on a device that was measured: a cost for each operator, and a correction for the network as a whole."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from predictors.alike import alike, apart, by_group
from predictors.averaged_process import AveragedProcess, Guess
from predictors.errors import PredictorError
from predictors.feature_set import FeatureSet
from predictors.kernels import Part
from predictors.node_features import NODE_FEATURES
from predictors.predictor import Predictor, Source, State

Array = NDArray[np.float64]

PULLS = 10.0 ** np.arange(-4.0, 5.0)
SHARES = (0.0, 0.5, 1.0)
FREEDOM = 1.0
"""Deviation of the price of a kind from that of all kinds, relatively, before any of it was measured."""
LEAST_NOISE = 0.02
"""Relative error of measurements at least."""


class Graph(Predictor):
    """Overhead + a price for each operator, each MAC and each byte, by kind of operator; times a smooth correction.

    Prices are not negative, and relative errors count. A kind's prices stay near those that all kinds share unless the
    samples ask for more, so that a kind that was hardly ever seen has a sensible price; what a runtime fuses gets its
    own, lower one. The correction is a Gaussian process on the shape of the network as a whole (its sizes, intensity,
    where the work lies), which fades away from what was measured. How near prices stay, and how much of the correction
    is taken, is what predicts each group of networks that are alike best from the others.

    The features are those of `predictors.node_features`, the same for networks of every space and from every file; any
    others do whose counts add up over a network.

    Args:
        features: what the columns are.
        seed: of what is drawn.
        far: whether networks unlike all that were measured will be asked about, such as those of another space.
            Intervals are then those of groups of samples that lie apart, each left out as a whole, and grow with
            operators whose prices the samples do not tell; else they are those of samples that are left out with the
            ones that are like them.

    Attributes:
        seen: features and values of the training set, so that networks of another space can be added to it.
    """

    name = "graph"
    least_samples = 8
    belief = 1.0  # what is unlike all that was measured is much less sure

    def __init__(self, features: FeatureSet = NODE_FEATURES, *, seed: int = 0, far: bool = True) -> None:
        super().__init__(features, seed=seed)
        self.far = far
        self._sums = features.counted
        self._rest = np.setdiff1d(np.arange(len(features.names)), self._sums)
        quantities = [features.names[place].rsplit(" ", 1)[-1] for place in self._sums]
        self._families = np.array([list(dict.fromkeys(quantities)).index(each) for each in quantities])
        self._parts = (Part(slice(0, max(len(self._rest), 1)), -3.0, -3.0, (1.0, 3.0)),)

    def _fit(self, x: Array, y: Array, sources: Sequence[Source]) -> None:
        if (y <= 0).any():
            raise PredictorError(f"{self.name!r} needs values above 0 (got {y.min():g})")
        self.seen = x, y
        self.floor = float(y.min())
        sums, shape, log = x[:, self._sums], self._shape(x), np.log(y)
        groups = alike(shape, self.seed)
        folds = [(groups != each, groups == each) for each in range(int(groups.max()) + 1)]

        def missed(pull: float) -> Array:
            """(n,) errors of the sum of prices for each group, learned from the others."""
            found = np.empty(len(y))
            for rest, group in folds:
                found[group] = log[group] - self._log_sum(sums[group], self._prices(sums[rest], y[rest], pull))
            return found

        held = {float(pull): missed(float(pull)) for pull in PULLS}
        self.pull = min(held, key=lambda pull: by_group(held[pull] ** 2, groups))
        shift, std = np.empty(len(y)), np.empty(len(y))
        for rest, group in folds:
            shift[group], std[group] = self._correction(shape, sums, y, rest).predict(shape[group])
        errors = held[self.pull]
        self.share = min(SHARES, key=lambda share: by_group((errors - share * shift) ** 2, groups))
        mean = np.exp(log - errors + self.share * shift)
        if self.far:
            self._alike = apart(shape, self.seed)
            for each in range(int(self._alike.max()) + 1):
                rest, group = self._alike != each, self._alike == each
                expected = self._log_sum(sums[group], self._prices(sums[rest], y[rest], self.pull))
                more, std[group] = self._correction(shape, sums, y, rest).predict(shape[group])
                mean[group] = np.exp(np.clip(expected + self.share * more, -700, 700))
                doubt = self._doubt(sums[rest], y[rest])
                std[group] = np.hypot(std[group], _relative(sums[group], doubt, mean[group]))
        self._left = Guess(mean, mean * std)
        self.prices = self._prices(sums, y, self.pull)
        self.correction = self._correction(shape, sums, y, np.ones(len(y), np.bool_))
        self.doubt = self._doubt(sums, y) if self.far else np.zeros((len(self.prices),) * 2)

    def _correction(self, shape: Array, sums: Array, y: Array, of: NDArray[np.bool_]) -> AveragedProcess:
        """What some of the samples take beyond the prices that they give."""
        expected = self._log_sum(sums[of], self._prices(sums[of], y[of], self.pull))
        return AveragedProcess(self._parts, self.seed).fit(shape[of], np.log(y[of]) - expected)

    def node_prices(self) -> dict[str, float]:
        """What one operator, a million MACs and a megabyte cost, by kind; and the overhead of running a network."""
        names = [self.features.names[place] for place in self._sums]
        return {"overhead": float(self.prices[0]), **dict(zip(names, self.prices[1:].tolist(), strict=True))}

    def _guess(self, x: Array) -> Guess:
        shift, std = self.correction.predict(self._shape(x))
        mean = np.exp(np.clip(self._log_sum(x[:, self._sums], self.prices) + self.share * shift, -700, 700))
        return Guess(mean, mean * np.hypot(std, _relative(x[:, self._sums], self.doubt, mean)))

    def _shape(self, x: Array) -> Array:
        rest = self.features.scaled(x)[:, self._rest] if len(self._rest) else np.zeros((len(x), 1))
        clipped: Array = np.clip(rest, -5.0, 5.0)
        return clipped

    def _log_sum(self, sums: Array, prices: Array) -> Array:
        """The logarithm of the sum of prices; never far below what was ever measured."""
        total: Array = np.log(np.maximum(prices[0] + sums @ prices[1:], 0.1 * self.floor))
        return total

    def _held_out(self, x: Array, y: Array, sources: Sequence[Source]) -> Guess:
        """From networks that are not alike, since it will be asked about networks that are like none it has seen."""
        return self._left

    def _prices(self, sums: Array, y: Array, pull: float) -> Array:
        """(1 + f,) prices: first common ones for counts, MACs and bytes, then those of each kind, pulled to them."""
        n = len(y)
        expected = self._common(sums, y)
        # A column counts as much as it contributes: a relative change of each price is as likely.
        contribution = np.sqrt(np.mean((sums / y[:, None]) ** 2, axis=0))
        usual = np.maximum(contribution, 0.05 * contribution.max())
        rows = np.concatenate([np.zeros((len(usual), 1)), np.diag(usual * np.sqrt(n * pull))], axis=1)
        design = np.concatenate([np.concatenate([np.ones((n, 1)), sums], axis=1) / y[:, None], rows])
        prices: Array = nnls(design, np.concatenate([np.ones(n), rows[:, 1:] @ expected]))[0]
        return prices

    def _common(self, sums: Array, y: Array) -> Array:
        """(f,) prices that all kinds share."""
        families = self._families
        shared = np.stack([sums[:, families == each].sum(axis=1) for each in range(families.max() + 1)], axis=1)
        common, _ = nnls(np.concatenate([np.ones((len(y), 1)), shared], axis=1) / y[:, None], np.ones(len(y)))
        found: Array = common[1:][families]
        return found

    def _doubt(self, sums: Array, y: Array) -> Array:
        """(1 + f, 1 + f) covariance of the overhead and the prices, given (n, f) sums and (n,) values.

        As in Bayesian linear regression with relative errors, prices being near those that all kinds share.
        """
        relative = np.concatenate([np.ones((len(y), 1)), sums], axis=1) / y[:, None]
        error = np.log(y) - self._log_sum(sums, self._prices(sums, y, self.pull))
        noise = max(float(np.sqrt(np.mean(error**2))), LEAST_NOISE)
        families = self._families
        shared = np.stack([relative[:, 1:][:, families == each].sum(axis=1) for each in range(families.max() + 1)])
        alone = 1.0 / np.maximum(
            np.sqrt(np.mean(shared**2, axis=1)), 1e-12
        )  # were all of this family, and nothing else
        freedom = FREEDOM * np.maximum(self._common(sums, y), 0.1 * alone[families])
        known = relative.T @ relative / noise**2 + np.diag(1.0 / np.concatenate([[y.min()], freedom]) ** 2)
        scale = 1.0 / np.sqrt(np.diag(known))
        found: Array = np.linalg.inv(known * np.outer(scale, scale)) * np.outer(scale, scale)
        return found

    def _state(self) -> State:
        arrays = {f"correction.{key}": value for key, value in self.correction.state().items()}
        arrays |= {"x": self.seen[0], "y": self.seen[1]}
        return State(
            arrays | {"prices": self.prices, "doubt": self.doubt},
            {"pull": self.pull, "share": self.share, "floor": self.floor},
        )

    def _restore(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        self.prices, self.pull, self.floor = arrays["prices"], float(settings["pull"]), float(settings["floor"])
        self.share, self.doubt = float(settings["share"]), arrays["doubt"]
        self.seen = arrays["x"], arrays["y"]
        start = "correction."
        own = {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}
        self.correction = AveragedProcess(self._parts, self.seed).restore(own)


def _relative(sums: Array, doubt: Array, mean: Array) -> Array:
    """(n,) relative deviations that unsure prices give the sums of (n, f) networks with (n,) values."""
    relative = np.concatenate([np.ones((len(sums), 1)), sums], axis=1) / np.maximum(mean, 1e-300)[:, None]
    found: Array = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", relative, doubt, relative), 0.0))
    return found
