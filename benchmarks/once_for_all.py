"""The Once-for-All space with a predicted accuracy and latency: a large problem that costs next to nothing.

Ridge regression on one-hot decisions, fitted on measured networks (`ofa_accuracy.npz`, `ofa_latency.npz`: files of
the table schema). A prediction is a look-up in one table and a sum, for whole populations.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.genotypes import Population

RIDGE = 1.0
LATENCY = "latency_ms@titan_rtx_64"


class OnceForAll:
    """Losses (n, 2) of a population: predicted error in [0, 1] and the logarithm of predicted milliseconds.

    Args:
        data: the folder of both files. Without it the weights are random ones of the same shape: good for speed only.
    """

    def __init__(self, data: Path | None) -> None:
        self.space = MobileNetV3()
        self._starts = np.cumsum(self.space.cardinalities, dtype=np.intp) - self.space.cardinalities
        if data is None:
            width = int(self.space.cardinalities.sum()) + 1
            accuracy, latency = np.random.default_rng(0).normal(size=(2, width)) * 0.02
        else:
            accuracy = self._fit(data / "ofa_accuracy.npz", "accuracy@imagenet")
            latency = self._fit(data / "ofa_latency.npz", LATENCY, logarithm=True)
        self._constant = np.array([1 - accuracy[-1], latency[-1]])
        self._table = np.stack([-accuracy[:-1], latency[:-1]], axis=1).astype(np.float32)

    def __call__(self, population: Population) -> NDArray[np.float64]:
        """Return (n, 2) losses."""
        cells = self._table.take(population + self._starts, axis=0)
        sums = np.einsum("ndk,nd->nk", cells, self.space.active(population).astype(np.float32))
        losses: NDArray[np.float64] = sums + self._constant
        return losses

    def macs(self, population: Population) -> NDArray[np.float64]:
        """Return (n,) multiply-adds."""
        return np.asarray(self.space.costs(population, ("macs",))["macs"], np.float64)

    def _fit(self, file: Path, metric: str, *, logarithm: bool = False) -> NDArray[np.float64]:
        """Ridge weights of the one-hot features and, last, the constant."""
        with np.load(file, allow_pickle=False) as table:
            if tuple(table["decisions"].tolist()) != self.space.names:
                raise ValueError(f"the columns of {file} are not the decisions of {self.space.name}")
            rows = table["genotypes"]
            values = table["values"][:, table["metrics"].tolist().index(metric)]
        y = np.log(values) if logarithm else values
        x = self.space.encode(self.space.canonical(rows)).astype(np.float64)
        centre = x.mean(axis=0)
        x -= centre
        weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ (y - y.mean()))
        return np.append(weights, y.mean() - centre @ weights)
