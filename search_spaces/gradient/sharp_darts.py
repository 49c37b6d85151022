"""sharpDARTS (Hundt et al., arXiv 1903.09900): max-W weights and cosine power annealing."""

import math
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from search_spaces.gradient.darts import mixture
from search_spaces.gradient.logits import Logits
from search_spaces.gradient.method import Method, Relaxation
from search_spaces.gradient.method_settings import SharpDartsSettings
from search_spaces.gradient.structure import Structure


class SharpDarts(SharpDartsSettings, Method):
    """DARTS of the first order in which the strongest candidate always has a weight of 1.

    Max-W regularisation weighs candidate i by 1 - max(p) + p_i, so that no candidate starves while all are weak. The
    maximum counts as a constant, as in the authors' search over channels: it belongs to another candidate. Their
    operations are those of the space, see `search_spaces.families.cell_operations`.
    """

    name: ClassVar[str] = "sharp_darts"
    mixes: ClassVar[bool] = True
    learned_norms: ClassVar[bool] = False

    def relax(
        self, logits: Logits, structure: Structure, rng: np.random.Generator, progress: float, *, learns: bool
    ) -> Relaxation:
        """All candidates with max-W weights."""
        return mixture(logits, structure, rng, max_w)

    def rate(self, progress: float) -> float:
        """The share of the peak learning rate: from 1 to 0 along a power of a cosine."""
        p, cosine = self.power, 0.5 * (1 + math.cos(math.pi * progress))
        return float((p ** (cosine + 1) - p) / (p**2 - p))


def max_w(logits: Tensor, axis: int) -> Tensor:
    """The softmax, raised by a constant so that the largest is 1."""
    chances = torch.softmax(logits, axis)
    return 1 - chances.max().detach() + chances
