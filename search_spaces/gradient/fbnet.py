"""FBNet's search (Wu et al., arXiv 1812.03443): every candidate, weighed by a Gumbel-softmax that cools down."""

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from search_spaces.gradient.logits import Logits
from search_spaces.gradient.method import Method, Relaxation, drawn, every_candidate
from search_spaces.gradient.structure import Structure


class FBNet(Method):
    """Mixes all candidates with random weights, which near the end are close to one and zeros.

    Attributes:
        first_temperature: of the softmax in the first round; it falls by the same factor in every round.
        last_temperature: in the last; the paper's is 5 times 0.956 to the power of 90.
    """

    name: ClassVar[str] = "fbnet"
    mixes: ClassVar[bool] = False
    decay: ClassVar[float] = 5e-4

    first_temperature: float = Field(default=5.0, gt=0)
    last_temperature: float = Field(default=0.087, gt=0)

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
