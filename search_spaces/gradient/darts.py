"""DARTS (Liu et al., arXiv 1806.09055): every candidate at once, weighed by the softmax of the logits."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces.gradient.logits import Logits
from search_spaces.gradient.method import (
    Bilevel,
    Gradients,
    Method,
    Relaxation,
    drawn,
    every_candidate,
    gradients_of,
)
from search_spaces.gradient.method_settings import DartsSettings
from search_spaces.gradient.structure import Structure


class Darts(DartsSettings, Method):
    """Mixes all candidates of every structural decision.

    One thing differs from the paper: the inputs of a node are decisions of the space and have logits of their own, by
    which pairs of inputs are mixed, so the derived cell holds the most probable pair of each node and the most probable
    operation of its edges; the paper ranks edges by their strongest operation that is not `none`, and never derives
    `none`: leave it out of the space's `operations` for the same.
    """

    name: ClassVar[str] = "darts"
    mixes: ClassVar[bool] = True
    learned_norms: ClassVar[bool] = False

    def relax(
        self, logits: Logits, structure: Structure, rng: np.random.Generator, progress: float, *, learns: bool
    ) -> Relaxation:
        """All candidates."""
        return mixture(logits, structure, rng, torch.softmax)

    def gradients(self, problem: Bilevel) -> tuple[Tensor, Gradients]:
        """Of the validation loss, of the weights as they are or as they are after a step along the training loss."""
        if self.order == 1:
            return super().gradients(problem)
        weights, logits = problem.weights, problem.logits
        kept = [value.detach().clone() for value in weights]
        _move(weights, gradients_of(problem.training_loss(), weights), -problem.rate)
        loss = problem.validation_loss()
        found = gradients_of(loss, [*logits, *weights])
        direct, slope = found[: len(logits)], found[len(logits) :]
        _set(weights, kept)
        norm = sum(float(each.square().sum()) for each in slope if each is not None) ** 0.5
        if norm == 0:
            return loss, direct
        step = self.epsilon / norm
        _move(weights, slope, step)
        ahead = gradients_of(problem.training_loss(), logits)
        _set(weights, kept)
        _move(weights, slope, -step)
        behind = gradients_of(problem.training_loss(), logits)
        _set(weights, kept)
        return loss, [
            None if first is None else first - (0 if a is None or b is None else problem.rate * (a - b) / (2 * step))
            for first, a, b in zip(direct, ahead, behind, strict=True)
        ]


def mixture(
    logits: Logits,
    structure: Structure,
    rng: np.random.Generator,
    weigh: Callable[[Tensor, int], Tensor],
    *,
    partial: int = 1,
) -> Relaxation:
    """Every candidate of the structural decisions, weighed by `weigh(logits, 0)`; attributes are drawn."""
    row = drawn(logits, logits.noise(rng))
    weights = {structure.space.names[column]: weigh(logits.values[column], 0) for column in structure.operators}
    return Relaxation(row, structure.paths(row, every_candidate(structure), partial=partial), weights)


@torch.no_grad()
def _move(weights: Sequence[nn.Parameter], direction: Gradients, length: float) -> None:
    for value, each in zip(weights, direction, strict=True):
        if each is not None:
            value.add_(each, alpha=length)


@torch.no_grad()
def _set(weights: Sequence[nn.Parameter], kept: Sequence[Tensor]) -> None:
    for value, each in zip(weights, kept, strict=True):
        value.copy_(each)
