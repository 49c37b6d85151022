"""Ridge regression on counts of live operators: the floor that every learned predictor must clear."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from predictors.averaged_process import Guess
from predictors.predictor import Predictor, Source, State

Array = NDArray[np.float64]

PENALTIES = 10.0 ** np.arange(-4, 4)
LARGEST_SUBSET = 3
STRONGEST = 10
"""Columns that small subsets are made of: those most correlated with the values."""
MOST_COLUMNS = 64
MOST_FOLDS = 10


class _Fit(NamedTuple):
    """The chosen columns, the penalty, the constant and the weights, and the leave-one-out error."""

    columns: NDArray[np.intp]
    penalty: float
    constant: float
    weights: Array
    deviation: float


class Counts(Predictor):
    """A weighted sum of counts of operators and of their costs, with a constant.

    Which columns are used and the penalty are those of the least leave-one-out error on the samples (PRESS; D. M.
    Allen, Technometrics 16(1), 1974), among all counts, each group of them, and the best few single columns. What is
    told of samples that were not seen is from doing all of that without them.
    """

    name = "counts"
    least_samples = 4

    def _fit(self, x: Array, y: Array, sources: Sequence[Source]) -> None:
        self._fitted = self._chosen(self._inputs(x), y)

    def _guess(self, x: Array) -> Guess:
        fitted = self._fitted
        z = self._inputs(x)[:, fitted.columns]
        return Guess(fitted.constant + z @ fitted.weights, np.full(len(z), fitted.deviation))

    def _held_out(self, x: Array, y: Array, sources: Sequence[Source]) -> Guess:
        z = self._inputs(x)
        folds = np.random.default_rng([self.seed, 3]).permutation(len(y)) % min(MOST_FOLDS, len(y))
        mean = np.empty(len(y))
        for fold in range(int(folds.max()) + 1):
            out = folds == fold
            fitted = self._chosen(z[~out], y[~out])
            mean[out] = fitted.constant + z[out][:, fitted.columns] @ fitted.weights
        return Guess(mean, np.full(len(y), self._fitted.deviation))

    def _inputs(self, x: Array) -> Array:
        """The scaled counts, at most `MOST_COLUMNS` of them."""
        counted = self.features.counted[:MOST_COLUMNS]
        scaled: Array = self.features.scaled(x)[:, counted]
        return scaled

    def _chosen(self, z: Array, y: Array) -> _Fit:
        best = None
        for columns in self._subsets(z, y):
            errors = _press(z.T[columns].swapaxes(1, 2), y)
            # A column more must earn its keep: the best of many sets is partly luck.
            scores = (errors**2).mean(axis=2) * (1 + columns.shape[1] / (2 * len(y)))
            subset, penalty = np.unravel_index(scores.argmin(), scores.shape)
            if best is None or scores[subset, penalty] < best[0]:
                root = float(np.sqrt((errors[subset, penalty] ** 2).mean()))
                best = float(scores[subset, penalty]), columns[subset], float(PENALTIES[penalty]), root
        assert best is not None
        _, chosen, penalty, root = best
        constant, weights = _ridge(z[:, chosen], y, penalty)
        return _Fit(chosen, penalty, constant, weights, max(root, 1e-12 * float(np.abs(y).max())))

    def _subsets(self, z: Array, y: Array) -> list[NDArray[np.intp]]:
        """Sets of columns, those of one size together, (k, size)."""
        centred = z - z.mean(axis=0)
        lengths = np.linalg.norm(centred, axis=0)
        changing = np.flatnonzero(lengths > 0)
        if not len(changing):
            return [np.zeros((1, 0), np.intp)]
        strength = np.abs(centred[:, changing].T @ (y - y.mean())) / lengths[changing]
        strongest = changing[np.argsort(-strength, kind="stable")[:STRONGEST]].tolist()
        sizes = range(1, min(LARGEST_SUBSET, len(strongest)) + 1)
        return [changing[None], *self._groups(), *(np.array(list(combinations(strongest, size))) for size in sizes)]

    def _groups(self) -> list[NDArray[np.intp]]:
        counted = self.features.counted[:MOST_COLUMNS]
        found = []
        for columns, group in zip(self.features.columns, self.features.groups, strict=True):
            places = np.flatnonzero((counted >= columns.start) & (counted < columns.stop))
            if group.counts and len(places):
                found.append(places[None])
        return found

    def _state(self) -> State:
        fitted = self._fitted
        arrays = {"columns": fitted.columns.astype(np.int64), "weights": fitted.weights}
        plain = {"constant": fitted.constant, "penalty": fitted.penalty, "deviation": fitted.deviation}
        return State(arrays, plain)

    def _restore(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        numbers = (float(settings[key]) for key in ("penalty", "constant"))
        penalty, constant = numbers
        columns = arrays["columns"].astype(np.intp)
        self._fitted = _Fit(columns, penalty, constant, arrays["weights"], float(settings["deviation"]))


def _ridge(z: Array, y: Array, penalty: float) -> tuple[float, Array]:
    """Constant and weights."""
    centre, level = z.mean(axis=0), float(y.mean())
    gram = (z - centre).T @ (z - centre) + penalty * np.eye(z.shape[1])
    weights = np.linalg.solve(gram, (z - centre).T @ (y - level))
    return level - float(centre @ weights), weights


def _press(z: Array, y: Array) -> Array:
    """Leave-one-out errors of k sets of columns, (k, n, size) -> (k, penalties, n)."""
    centred = z - z.mean(axis=1, keepdims=True)
    level = y.mean()
    values, vectors = np.linalg.eigh(centred.swapaxes(1, 2) @ centred)
    rotated = centred @ vectors
    inverse = 1.0 / (np.maximum(values, 0.0)[:, None] + PENALTIES[:, None])
    fitted = level + (rotated[:, None] * inverse[:, :, None]) @ (rotated.swapaxes(1, 2) @ (y - level))[:, None, :, None]
    leverage = np.einsum("kni,kpi->kpn", rotated**2, inverse) + 1.0 / len(y)
    errors: Array = (y - fitted[..., 0]) / (1 - np.minimum(leverage, 1 - 1e-6))
    return errors
