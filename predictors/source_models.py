"""What other devices would measure, predicted from what they did measure: all of them at once."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from predictors.averaged_process import AveragedProcess
from predictors.feature_set import FeatureSet
from predictors.kernels import Part, covariances, terms_of

Array = NDArray[np.float64]

FEW = 64
"""Measurements up to which a source gets an averaged Gaussian process; beyond, ridge regression on a shared basis."""
CENTRES = 150
MOST = 2000
DRAWS = 128
KEPT = 6
PENALTIES = np.exp(np.linspace(-12.0, 3.0, 24))
CHUNK = 4096


class SourceModels:
    """(n, f) features -> (n, s) predicted values of s sources.

    A source with many measurements is a weighted sum of the features and of smooth bumps around a few networks
    (random ones of the sources'), the same for all sources; its penalty is that of the least generalised
    cross-validation error (G. Golub, M. Heath, G. Wahba, Technometrics 21(2), 1979).

    Args:
        features: what the columns are.
        parts: what they are made of.
        seed: of what is drawn.
    """

    def __init__(self, features: FeatureSet, parts: Sequence[Part], seed: int) -> None:
        self._features = features
        self._parts = tuple(parts)
        self._seed = seed
        self._terms = tuple(t for t in terms_of(parts) if t.length)

    def fit(self, sources: Sequence[tuple[Array, Array]]) -> "SourceModels":
        """Learn from the (m, f) features and (m,) values of each source."""
        rng = np.random.default_rng([self._seed, 4])
        scaled = [(self._features.scaled(x), y) for x, y in sources]
        self._many = [i for i, (_, y) in enumerate(sources) if len(y) > FEW]
        self._few = [i for i in range(len(sources)) if i not in set(self._many)]
        self._processes = [AveragedProcess(self._parts, self._seed, DRAWS, KEPT).fit(*scaled[i]) for i in self._few]
        f = len(self._features.names)
        self._centres, self._weights = np.zeros((0, f)), np.zeros((0, 0))
        if self._many:
            pool = np.concatenate([scaled[i][0] for i in self._many])
            self._centres = pool[rng.choice(len(pool), min(CENTRES, len(pool)), replace=False)]
            columns = []
            for i in self._many:
                x, y = scaled[i]
                if len(y) > MOST:
                    rows = rng.choice(len(y), MOST, replace=False)
                    x, y = x[rows], y[rows]
                columns.append(_ridge(self._basis(x), y))
            self._weights = np.stack(columns, axis=1)
        self.count = len(sources)
        return self

    def __call__(self, features: Array) -> Array:
        """Return (n, s) predictions."""
        x = self._features.scaled(features)
        found = np.empty((len(x), self.count))
        for place, process in zip(self._few, self._processes, strict=True):
            found[:, place] = process.mean(x)
        if self._many:
            for start in range(0, len(x), CHUNK):
                rows = slice(start, start + CHUNK)
                found[rows, self._many] = self._basis(x[rows]) @ self._weights[:-1] + self._weights[-1]
        return found

    def state(self) -> dict[str, NDArray[np.float64]]:
        """Arrays that make it again."""
        found = {"count": np.array([float(self.count)]), "centres": self._centres, "weights": self._weights}
        found["many"] = np.array(self._many, np.float64)
        for place, process in enumerate(self._processes):
            found |= {f"few.{place}.{key}": value for key, value in process.state().items()}
        return found

    def restore(self, state: Mapping[str, Array]) -> "SourceModels":
        """Become what `state` describes."""
        self.count = int(state["count"][0])
        self._centres, self._weights = state["centres"], state["weights"]
        self._many = [int(i) for i in state["many"]]
        self._few = [i for i in range(self.count) if i not in set(self._many)]
        self._processes = []
        for place in range(len(self._few)):
            start = f"few.{place}."
            own = {key.removeprefix(start): value for key, value in state.items() if key.startswith(start)}
            self._processes.append(AveragedProcess(self._parts, self._seed, DRAWS, KEPT).restore(own))
        return self

    def _basis(self, x: Array) -> Array:
        """(n, b): features and bumps, each divided by what it is expected to explain."""
        linear = [
            x[:, part.columns] * np.sqrt(np.exp(part.slope) / max(part.columns.stop - part.columns.start, 1))
            for part in self._parts
        ]
        if not self._terms:
            return np.concatenate(linear, axis=1)
        bumps = covariances(terms_of(self._parts), x, self._centres)
        sizes = np.array([np.exp(self._parts[t.part].bend or 0.0) if t.length else 0.0 for t in terms_of(self._parts)])
        return np.concatenate([*linear, np.tensordot(sizes, bumps, 1)], axis=1)


def _ridge(basis: Array, y: Array) -> Array:
    """(b + 1,) weights and constant."""
    centre, level = basis.mean(axis=0), float(y.mean())
    u, d, vt = np.linalg.svd(basis - centre, full_matrices=False)
    projected = u.T @ (y - level)
    rest = float(((y - level) ** 2).sum() - (projected**2).sum())
    best, weights = np.inf, np.zeros(basis.shape[1])
    for penalty in PENALTIES * float(np.mean(d[:1] ** 2)):
        shrink = d**2 / (d**2 + penalty)
        error = rest + float((((1 - shrink) * projected) ** 2).sum())
        score = error / max(len(y) - 1 - float(shrink.sum()), 1e-9) ** 2
        if score < best:
            best, weights = score, vt.T @ (d / (d**2 + penalty) * projected)
    return np.append(weights, level - centre @ weights)
