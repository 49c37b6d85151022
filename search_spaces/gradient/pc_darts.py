"""PC-DARTS (Xu et al., arXiv 1907.05737): DARTS in a quarter of the channels, for more images a step."""

from typing import ClassVar

import numpy as np
import torch

from search_spaces.gradient.darts import mixture
from search_spaces.gradient.logits import Logits
from search_spaces.gradient.method import Method, Relaxation
from search_spaces.gradient.method_settings import PcDartsSettings
from search_spaces.gradient.structure import Structure


class PcDarts(PcDartsSettings, Method):
    """Candidates see one in `partial` channels, the others go around them and all are shuffled.

    Edge normalisation is what a decision about inputs is in a relaxed network: in the space of DARTS the pairs of
    inputs are weighed by a softmax over their own logits. A space without such decisions, such as NAS-Bench-201, has
    no edges to normalise. The paper lets weights train alone in the first 15 of 50 rounds: see `warmup_rounds`.
    """

    name: ClassVar[str] = "pc_darts"
    mixes: ClassVar[bool] = True
    learned_norms: ClassVar[bool] = False

    def relax(
        self, logits: Logits, structure: Structure, rng: np.random.Generator, progress: float, *, learns: bool
    ) -> Relaxation:
        """All candidates, on a part of the channels."""
        return mixture(logits, structure, rng, torch.softmax, partial=self.partial)
