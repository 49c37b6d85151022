"""Subnets of a trained supernet: their statistics, their accuracy, and the ONNX model of each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.datasets.dataset import Dataset
from search_spaces.onnx_file import model_bytes
from search_spaces.space import Genotype, SearchSpace
from search_spaces.supernet import Supernet

BATCH = 256  # images at a time; fixed, so that a result is the same wherever it is computed


@dataclass(frozen=True, slots=True)
class EvaluationData:
    """What subnets are evaluated on.

    Attributes:
        calibration: (k, C, H, W) float32 training images that batch-norm statistics are taken from.
        images: (n, C, H, W) float32 validation images.
        labels: (n,) int64.
    """

    calibration: NDArray[np.float32]
    images: NDArray[np.float32]
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, dataset: Dataset, calibration_samples: int) -> "EvaluationData":
        """The validation split, and the same random training images each time."""
        chosen = np.random.default_rng(0).permutation(len(dataset.train))[:calibration_samples]
        return cls(
            dataset.train.inputs(np.sort(chosen)),
            dataset.validation.inputs(),
            np.asarray(dataset.validation.labels, np.int64),
        )


class Subnets:
    """Evaluates and exports subnets.

    Args:
        space: what the genotypes are of.
        weights: the supernet's tensors by name; None for random ones.
        data: what accuracy and statistics come from; None when neither is asked for.
    """

    def __init__(
        self, space: SearchSpace, weights: Mapping[str, NDArray[Any]] | None, data: EvaluationData | None
    ) -> None:
        self.space = space
        self.supernet = Supernet(space, seed=0).eval()
        if weights is not None:
            with torch.no_grad():
                for name, tensor in self.supernet.shared.items():
                    tensor.copy_(torch.from_numpy(np.array(weights[name])))
        self._data = data

    def statistics(self, genotype: Genotype) -> dict[str, Tensor]:
        """Batch-norm statistics of a genotype (d,), from the calibration images; neutral ones without data."""
        if self._data is not None:
            return self.supernet.recalibrate(genotype, _batches(self._data.calibration))
        weights = self.supernet.weights(genotype)
        neutral: dict[str, Tensor] = {}
        for mean, variance, scale in self.supernet.subnet(genotype).plan.norms:
            neutral[mean] = torch.zeros_like(weights[scale])
            neutral[variance] = torch.ones_like(weights[scale])
        return neutral

    @torch.no_grad()
    def logits(self, genotype: Genotype, statistics: Mapping[str, Tensor], images: NDArray[np.float32]) -> Tensor:
        """Outputs (n, classes) for images (n, C, H, W), computed in batches."""
        return torch.cat([self.supernet(batch, genotype, statistics) for batch in _batches(images)])

    def accuracy(self, genotype: Genotype, statistics: Mapping[str, Tensor]) -> float:
        """Share of validation images that are classified rightly, in [0, 1].

        Raises:
            ArithmeticError: the network puts out NaN.
        """
        assert self._data is not None, "accuracy needs data"
        logits = self.logits(genotype, statistics, self._data.images)
        if not bool(torch.isfinite(logits).all()):
            raise ArithmeticError("the network puts out values that are not finite")
        return float((logits.argmax(1).numpy() == self._data.labels).mean())

    def model(self, genotype: Genotype, statistics: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
        """The subnet as an ONNX file, batch normalisation folded."""
        return model_bytes(self.space.graph(genotype), self.supernet.subnet_state(genotype, statistics), metadata)


def _batches(images: NDArray[np.float32]) -> Iterator[Tensor]:
    """Batches of nearly equal size, so that none has a single image."""
    for part in np.array_split(images, max(1, -(-len(images) // BATCH))):
        yield torch.from_numpy(np.array(part))
