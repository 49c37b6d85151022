"""What zero-cost scores look at in a job."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nas.datasets.samples import Data
from search_spaces.zero_cost.network import Batch

SAMPLES = 16
"""Training samples; on NAS-Bench-201 twice as many rank hardly better (naswot .818 instead of .811) and cost twice."""


@dataclass(frozen=True, slots=True)
class ZeroCostData:
    """A seed, and samples where there are any.

    Attributes:
        seed: of the weights of networks.
        inputs: (n, C, H, W) float32 images or (n, T) int64 tokens for training; None for none.
        labels: (n,) int64, or for tokens (n, T).
    """

    seed: int
    inputs: NDArray[Any] | None = None
    labels: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, dataset: Data | None, seed: int) -> "ZeroCostData":
        """The same few training samples for every network of a job."""
        if dataset is None:
            return cls(seed)
        rng = np.random.default_rng([seed, 30])
        rows = np.sort(rng.permutation(len(dataset.train))[:SAMPLES])
        return cls(seed, dataset.train.inputs(rows), np.asarray(dataset.train.labels, np.int64)[rows])

    @property
    def batch(self) -> Batch | None:
        """The samples as tensors."""
        if self.inputs is None:
            return None
        return Batch(torch.from_numpy(np.array(self.inputs)), torch.from_numpy(np.array(self.labels)))
