"""ProxylessNAS (Cai et al., arXiv 1812.00332): binarised paths in the memory of one network."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from search_spaces.gradient.logits import Logits
from search_spaces.gradient.method import Method, Relaxation, drawn
from search_spaces.gradient.method_settings import ProxylessSettings
from search_spaces.gradient.structure import Structure


class Proxyless(ProxylessSettings, Method):
    """Weights train on one drawn path; a step of the logits compares two, of which one runs and one is watched.

    The watched candidate is computed from the same input without gradients, so that of it only the output is kept:
    the memory is that of one network and one more output for each decision. What the two learn is theirs alone: the
    probabilities of all others stay (the paper's rescaling).
    """

    name: ClassVar[str] = "proxyless"
    mixes: ClassVar[bool] = False
    betas: ClassVar[tuple[float, float]] = (0.0, 0.999)  # without momentum, which would move paths that were not drawn
    decay: ClassVar[float] = 0.0

    def relax(
        self, logits: Logits, structure: Structure, rng: np.random.Generator, progress: float, *, learns: bool
    ) -> Relaxation:
        """One path for the weights; for the logits two, drawn without putting back, and one of them again to run."""
        noise = logits.noise(rng)
        row = drawn(logits, noise)
        if not learns:
            return Relaxation(row, structure.paths(row, weighed=False, again=True), {})
        built, watched, weights = {}, {}, {}
        for column in structure.operators:
            value = logits.values[column]
            pair = torch.argsort(value.detach() + noise[column], descending=True)[:2]
            chances = torch.softmax(value[pair], 0)
            active = 0 if len(pair) == 1 or rng.random() < float(chances[0].detach()) else 1
            row[column] = int(pair[active])
            built[column] = tuple(pair.tolist())
            watched[column] = tuple([index for index in built[column] if index != row[column]])
            gates = torch.zeros_like(chances)
            gates[active] = 1
            weights[structure.space.names[column]] = chances - chances.detach() + gates
        return Relaxation(row, structure.paths(row, built, watched, again=True), weights)

    @torch.no_grad()
    def settle(self, before: Sequence[Tensor], logits: Logits, relaxation: Relaxation) -> None:
        """Shift the two paths of each decision so that together they are as probable as before."""
        for column, pair in enumerate(relaxation.paths.built):
            if pair:
                index = list(pair)
                value = logits.values[column]
                value[index] += torch.logsumexp(before[column][index], 0) - torch.logsumexp(value[index], 0)
