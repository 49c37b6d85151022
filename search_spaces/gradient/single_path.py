"""Single-Path NAS (Stamoulis et al., arXiv 1904.02877): decisions as thresholds on the norms of shared weights."""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from search_spaces.gradient.channel_groups import ChannelGroups
from search_spaces.gradient.logits import Logits
from search_spaces.gradient.method import Method, Relaxation, drawn
from search_spaces.gradient.method_settings import SinglePathSettings
from search_spaces.gradient.structure import Structure
from search_spaces.gradient.superkernels import Superkernels
from search_spaces.supernet.supernet import Supernet


class Thresholds(Logits):
    """Logits of which those of nested decisions are thresholds.

    The part that an option adds to the next smaller one is there when the root mean square of its weights, by that of
    the smallest option's, is more than minus its logit, and all smaller parts are there. The chance that it is there
    is the sigmoid of the difference; the first logit of such a decision is not used.
    """

    def __init__(self, supernet: Supernet, structure: Structure, seed: int) -> None:
        super().__init__(structure.space, seed, supernet.device)
        self.superkernels = Superkernels(supernet, structure)

    def margins(self, column: int) -> Tensor:
        """(n - 1,) by how much the parts of a nested decision are above their thresholds, from small to large."""
        order = self.superkernels.found[column].order
        return self.superkernels.strengths(column) + self.values[column][list(order[1:])]

    def gates(self, column: int) -> Tensor:
        """(n,) 1 for parts that are there and 0 for others, with the gradient of the chance (straight through)."""
        chances = torch.sigmoid(self.margins(column))
        hard = (self.margins(column).detach() > 0).to(chances.dtype)
        gates = chances - chances.detach() + hard
        return torch.cat([gates.new_ones(1), torch.cumprod(gates, 0)])

    def probabilities(self) -> list[Tensor]:
        """As `Logits` says; of nested decisions, that the part of an option is there and that of the next is not."""
        found = super().probabilities()
        for column, superkernel in self.superkernels.found.items():
            chances = torch.sigmoid(self.margins(column))
            there = torch.cat([chances.new_ones(1), torch.cumprod(chances, 0)])
            stops = torch.cat([1 - chances, chances.new_ones(1)])
            place = torch.tensor(np.argsort(superkernel.order), device=chances.device)
            found[column] = (there * stops)[place]
        return found

    def best(self) -> list[int]:
        """As `Logits` says; of nested decisions, the option of the last part that is there."""
        found = super().best()
        for column, superkernel in self.superkernels.found.items():
            found[column] = superkernel.order[int(self.gates(column).detach().sum()) - 1]
        return found


class SinglePath(SinglePathSettings, Method):
    """Runs the largest option of nested decisions with zeros where a part is below its threshold; others are drawn.

    So kernels and expansions are learned in the memory and time of one network, and the thresholds answer to the loss
    and to the cost at once. The paper trains weights and thresholds on the same samples; here thresholds are logits
    and learn on theirs. Structural decisions and attributes that are not nested (depth, resolution) are drawn as in
    GDAS, at a temperature of 1.
    """

    name: ClassVar[str] = "single_path"
    mixes: ClassVar[bool] = False

    def logits(self, supernet: Supernet, structure: Structure, seed: int) -> Logits:
        """Thresholds.

        Raises:
            ValueError: a space without nested decisions.
        """
        thresholds = Thresholds(supernet, structure, seed)
        if not thresholds.superkernels.found:
            raise ValueError(
                f"single_path learns thresholds of nested decisions such as kernels and expansions, and space "
                f"{structure.space.name!r} has none; use gdas, fbnet or proxyless"
            )
        return thresholds

    def groups(self, logits: Logits) -> ChannelGroups | None:
        """Those of width decisions, with the option `surrogate`."""
        assert isinstance(logits, Thresholds)
        return None if self.surrogate is None else ChannelGroups(logits.superkernels, self.surrogate)

    def relax(
        self, logits: Logits, structure: Structure, rng: np.random.Generator, progress: float, *, learns: bool
    ) -> Relaxation:
        """One network, the largest of those that differ in nested decisions, with factors for its weights."""
        assert isinstance(logits, Thresholds)
        noise = logits.noise(rng)
        row = drawn(logits, noise)
        for column, superkernel in logits.superkernels.found.items():
            row[column] = superkernel.order[-1]
        factors = logits.superkernels.factors({column: logits.gates(column) for column in logits.superkernels.found})
        soft = frozenset(logits.superkernels.found)
        if not learns:
            return Relaxation(row, structure.paths(row, weighed=False, again=True), {}, factors, soft)
        weights = {}
        for column in structure.operators:
            chance = torch.softmax(logits.values[column] + noise[column], 0)[int(row[column])].reshape(1)
            weights[structure.space.names[column]] = chance - chance.detach() + 1
        return Relaxation(row, structure.paths(row, again=True), weights, factors, soft)
