"""FBNet's search (Wu et al., arXiv 1812.03443): every candidate, weighed by a Gumbel-softmax that cools down."""

from typing import ClassVar

import numpy as np
import torch

from search_spaces.gradient.logits import Logits
from search_spaces.gradient.method import Method, Relaxation, drawn, every_candidate
from search_spaces.gradient.method_settings import FBNetSettings
from search_spaces.gradient.structure import Structure


class FBNet(FBNetSettings, Method):
    """Mixes all candidates with random weights, which near the end are close to one and zeros."""

    name: ClassVar[str] = "fbnet"
    mixes: ClassVar[bool] = False
    decay: ClassVar[float] = 5e-4

    def relax(
        self, logits: Logits, structure: Structure, rng: np.random.Generator, progress: float, *, learns: bool
    ) -> Relaxation:
        """All candidates with the weights of this step."""
        noise = logits.noise(rng)
        row = drawn(logits, noise)
        temperature = self.first_temperature * (self.last_temperature / self.first_temperature) ** progress
        weights = {
            structure.space.names[column]: torch.softmax((logits.values[column] + noise[column]) / temperature, 0)
            for column in structure.operators
        }
        return Relaxation(row, structure.paths(row, every_candidate(structure)), weights)
