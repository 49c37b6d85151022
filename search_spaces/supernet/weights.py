"""A trained supernet as plain values, to be handed from process to process."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from search_spaces.space import SearchSpace
from search_spaces.supernet.settings import SupernetSettings
from search_spaces.supernet.supernet import Supernet


@dataclass(frozen=True, slots=True)
class SupernetWeights:
    """What a supernet has learned.

    Attributes:
        settings: which tensors there are.
        tensors: all of them by name, float32.
    """

    settings: SupernetSettings
    tensors: Mapping[str, NDArray[np.float32]]

    @classmethod
    def of(cls, supernet: Supernet) -> "SupernetWeights":
        """Those of a supernet; on the CPU they share its memory."""
        return cls(supernet.settings, {name: tensor.detach().cpu().numpy() for name, tensor in supernet.shared.items()})

    @torch.no_grad()
    def supernet(self, space: SearchSpace) -> Supernet:
        """A supernet of the same space with copies of these weights."""
        supernet = Supernet(space, seed=0, settings=self.settings)
        for name, tensor in supernet.shared.items():
            tensor.copy_(torch.from_numpy(np.array(self.tensors[name])))
        return supernet
