"""DASS (Mousavi et al., arXiv 2207.06968): networks that stay good when most of their weights are zero."""

from typing import ClassVar

import numpy as np
import torch

from search_spaces.gradient.darts import mixture
from search_spaces.gradient.logits import Logits
from search_spaces.gradient.method import Method, Relaxation
from search_spaces.gradient.method_settings import DassSettings
from search_spaces.gradient.structure import Structure


class Dass(DassSettings, Method):
    """DARTS of the first order over sparse operations, whose weights are masked in every loss.

    The logits learn how good an operation is at the given sparsity, and not how good it would be whole. The space has
    to offer sparse operations, beside others or alone. The paper alternates between weights and masks; here one step
    moves both along the gradient of the same loss.
    """

    name: ClassVar[str] = "dass"
    mixes: ClassVar[bool] = True
    learned_norms: ClassVar[bool] = False

    @property
    def density(self) -> float:
        """The share that is left."""
        return 1 - self.sparsity

    def relax(
        self, logits: Logits, structure: Structure, rng: np.random.Generator, progress: float, *, learns: bool
    ) -> Relaxation:
        """All candidates."""
        return mixture(logits, structure, rng, torch.softmax)
