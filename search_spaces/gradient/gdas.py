"""GDAS (Dong and Yang, arXiv 1910.04465): one path a step, drawn by Gumbel-softmax."""

from typing import ClassVar

import numpy as np
import torch

from search_spaces.gradient.logits import Logits
from search_spaces.gradient.method import Method, Relaxation, drawn
from search_spaces.gradient.method_settings import GdasSettings
from search_spaces.gradient.structure import Structure


class Gdas(GdasSettings, Method):
    """Runs the drawn candidate alone; its logits get the gradient of the soft draw (straight through)."""

    name: ClassVar[str] = "gdas"
    mixes: ClassVar[bool] = False

    def relax(
        self, logits: Logits, structure: Structure, rng: np.random.Generator, progress: float, *, learns: bool
    ) -> Relaxation:
        """One candidate of each decision, with a weight of 1 through which gradients pass to all its logits."""
        noise = logits.noise(rng)
        row = drawn(logits, noise)
        if not learns:
            return Relaxation(row, structure.paths(row, weighed=False, again=True), {})
        temperature = self.first_temperature + (self.last_temperature - self.first_temperature) * progress
        weights = {}
        for column in structure.operators:
            sums = torch.log_softmax(logits.values[column], 0) + noise[column]
            soft = torch.softmax(sums / temperature, 0)[int(row[column])].reshape(1)
            weights[structure.space.names[column]] = soft - soft.detach() + 1
        return Relaxation(row, structure.paths(row, again=True), weights)
