"""What the methods of differentiable search have in common, and where they differ."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces.gradient.channel_groups import ChannelGroups
from search_spaces.gradient.logits import Logits
from search_spaces.gradient.method_settings import MethodSettings
from search_spaces.gradient.mixing import Paths
from search_spaces.gradient.structure import Structure
from search_spaces.space import Genotype
from search_spaces.supernet.supernet import Supernet

Gradients = list[Tensor | None]


@dataclass(frozen=True, slots=True)
class Relaxation:
    """What one step runs.

    Attributes:
        row: (d,) the options that were drawn, by which attributes are built.
        paths: the candidates that are built.
        weights: of the structural decisions by name, (k,) for k built candidates.
        factors: what shared tensors are multiplied by, by name.
        soft: columns of attributes whose logits get their gradient through factors, and not by the score function.
    """

    row: Genotype
    paths: Paths
    weights: dict[str, Tensor]
    factors: dict[str, Tensor] = field(default_factory=dict)
    soft: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Bilevel:
    """One step of the logits as a problem on two levels; both losses can be asked for again and again.

    Attributes:
        training_loss: of the weights' batch, differentiable in weights and logits.
        validation_loss: of the logits' batch and whatever else the logits minimise.
        weights: the shared tensors.
        logits: of all decisions.
        rate: the learning rate of the weights.
    """

    training_loss: Callable[[], Tensor]
    validation_loss: Callable[[], Tensor]
    weights: Sequence[nn.Parameter]
    logits: Sequence[nn.Parameter]
    rate: float


class Method(MethodSettings, ABC):
    """How logits become a network, and losses become gradients of logits.

    Attributes are not mixed: every step draws one option of each, in the weights' steps and in the logits', and
    their logits learn by the score function (REINFORCE, Williams 1992) with a running mean as the baseline.

    Attributes:
        name: by which jobs call it.
        mixes: whether it needs structural decisions; the others learn from attributes alone as well.
        betas: of the Adam that moves the logits.
        decay: weight decay of the logits as published.
        learned_norms: whether batch norms learn scales and biases; where every candidate is mixed a scale could make up
            for a small weight, so DARTS and its kin leave scales at 1 and biases at 0.
    """

    name: ClassVar[str]
    mixes: ClassVar[bool]
    betas: ClassVar[tuple[float, float]] = (0.5, 0.999)
    decay: ClassVar[float] = 1e-3
    learned_norms: ClassVar[bool] = True

    @property
    def density(self) -> float | None:
        """The share of entries that sparse weights keep; None where nothing is masked."""
        return None

    @abstractmethod
    def relax(
        self, logits: Logits, structure: Structure, rng: np.random.Generator, progress: float, *, learns: bool
    ) -> Relaxation:
        """What a step runs.

        Args:
            logits: of the decisions.
            structure: which of them can be mixed.
            rng: of this step.
            progress: share of the rounds that are done, from 0 to 1.
            learns: whether logits take the step, and not the weights of networks.
        """

    def check(self, structure: Structure) -> None:
        """Refuse a space that the method cannot search.

        Raises:
            ValueError: no structural decision for a method that mixes.
        """
        if self.mixes and not structure.operators:
            raise ValueError(
                f"{self.name} mixes the candidates of structural decisions, and space {structure.space.name!r} has "
                "none: its decisions are attributes such as kernels, widths and depths; use gdas, fbnet or proxyless"
            )

    def logits(self, supernet: Supernet, structure: Structure, seed: int) -> Logits:
        """Where the search begins, on the device of the supernet."""
        return Logits(structure.space, seed, supernet.device)

    def groups(self, logits: Logits) -> ChannelGroups | None:
        """Channel groups whose norms the weights pay for; None for none."""
        return None

    def rate(self, progress: float) -> float:
        """The share of the peak learning rate that weights have: a cosine from 1 to 0."""
        return 0.5 * (1 + math.cos(math.pi * progress))

    def gradients(self, problem: Bilevel) -> tuple[Tensor, Gradients]:
        """The validation loss and its gradient for each of the logits, None where it does not depend on them."""
        with frozen(problem.weights):  # so that nothing is kept for gradients that nobody wants
            loss = problem.validation_loss()
            return loss, gradients_of(loss, problem.logits)

    def settle(self, before: Sequence[Tensor], logits: Logits, relaxation: Relaxation) -> None:
        """Correct the logits after a step, in place; `before` are their values before it."""


@contextmanager
def frozen(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """What runs inside the `with` asks for no gradients of the parameters."""
    for value in parameters:
        value.requires_grad_(False)
    try:
        yield
    finally:
        for value in parameters:
            value.requires_grad_(True)


def gradients_of(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Gradients:
    """Of each parameter, None where the loss does not depend on it; no other gradient is touched."""
    if not loss.requires_grad:
        return [None] * len(parameters)
    return list(torch.autograd.grad(loss, list(parameters), allow_unused=True))


def drawn(logits: Logits, noise: Sequence[Tensor]) -> Genotype:
    """The (d,) options with the largest sums of logit and noise; of inactive decisions too."""
    sums = [value.detach() + each for value, each in zip(logits.values, noise, strict=True)]
    return np.array([int(each.argmax()) for each in sums], np.int16)


def every_candidate(structure: Structure) -> dict[int, tuple[int, ...]]:
    """All options of the structural decisions, by column."""
    return {column: tuple(range(len(structure.space.decisions[column].options))) for column in structure.operators}
