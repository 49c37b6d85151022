"""The optimisers of weights.

They are torch's functions without `torch.optim.Optimizer`: the first of those imports torch's compiler into the
process, for 1.3 s, which is longer than an epoch of many a small network.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from search_spaces.supernet.supernet import Supernet

OPTIMISER_STATE = {"sgd": ("momentum_buffer",), "adamw": ("exp_avg", "exp_avg_sq", "step"), "lion": ("exp_avg",)}

Group = dict[str, Any]
"""Tensors that learn alike: `params`, their learning rate `lr` and their `weight_decay`."""


class OptimiserSettings(Protocol):
    """What of a recipe is about the optimiser."""

    @property
    def optimiser(self) -> Literal["sgd", "adamw", "lion"]:
        """Its kind."""

    @property
    def learning_rate(self) -> float:
        """Its peak."""

    @property
    def momentum(self) -> float:
        """Of `sgd`, and beta 1 of the others."""

    @property
    def weight_decay(self) -> float:
        """Of weights only."""


class Optimiser(ABC):
    """Moves tensors along their gradients.

    Args:
        groups: `params` and `weight_decay` of each.
        lr: the learning rate of all groups.

    Attributes:
        param_groups: the groups; their `lr` may be changed between steps.
        state: of each tensor that was moved, what the next step needs.
    """

    def __init__(self, groups: Iterable[Group], lr: float) -> None:
        self.param_groups: list[Group] = [{**group, "lr": lr} for group in groups]
        self.state: defaultdict[Tensor, dict[str, Tensor]] = defaultdict(dict)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for group in self.param_groups:
            for tensor in group["params"]:
                tensor.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Take one step along the gradients that there are."""
        for group in self.param_groups:
            tensors = [tensor for tensor in group["params"] if tensor.grad is not None]
            if tensors:
                self._move(tensors, [tensor.grad for tensor in tensors], group)

    @abstractmethod
    def _move(self, tensors: list[Tensor], gradients: list[Tensor], group: Group) -> None:
        """Change tensors in place, and what is kept of them."""

    def _kept(self, name: str, tensors: Iterable[Tensor], *, scalar: bool = False) -> list[Tensor]:
        """What is kept of each tensor under a name, in its shape or as one number; zeros at first."""
        for tensor in tensors:
            if name not in self.state[tensor]:
                self.state[tensor][name] = torch.zeros((), device=tensor.device) if scalar else torch.zeros_like(tensor)
        return [self.state[tensor][name] for tensor in tensors]


class Sgd(Optimiser):
    """Stochastic gradient descent, with Nesterov's momentum unless that is 0."""

    def __init__(self, groups: Iterable[Group], lr: float, momentum: float = 0.0) -> None:
        super().__init__(groups, lr)
        self._momentum = momentum

    def _move(self, tensors: list[Tensor], gradients: list[Tensor], group: Group) -> None:
        momenta: list[Tensor | None] = [*self._kept("momentum_buffer", tensors)] if self._momentum else []
        sgd(
            tensors,
            gradients,
            momenta,
            fused=True,
            weight_decay=group["weight_decay"],
            momentum=self._momentum,
            lr=group["lr"],
            dampening=0.0,
            nesterov=self._momentum > 0,
            maximize=False,
        )


class Adam(Optimiser):
    """Adam (Kingma and Ba, arXiv 1412.6980).

    With `decoupled` weight decay it is AdamW (Loshchilov and Hutter, arXiv 1711.05101).
    """

    def __init__(
        self,
        groups: Iterable[Group],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        decoupled: bool = False,
    ) -> None:
        super().__init__(groups, lr)
        self._betas, self._function = betas, adamw if decoupled else adam

    def _move(self, tensors: list[Tensor], gradients: list[Tensor], group: Group) -> None:
        first, second = self._betas
        self._function(
            tensors,
            gradients,
            self._kept("exp_avg", tensors),
            self._kept("exp_avg_sq", tensors),
            [],
            self._kept("step", tensors, scalar=True),
            fused=True,
            amsgrad=False,
            beta1=first,
            beta2=second,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=1e-8,
            maximize=False,
        )


class Lion(Optimiser):
    """Evolved sign momentum (Chen et al., Symbolic Discovery of Optimization Algorithms, arXiv 2302.06675).

    With a gradient g and a momentum m, a weight w becomes w - lr * (sign(beta1 * m + (1 - beta1) * g) + decay * w), and
    m becomes beta2 * m + (1 - beta2) * g.

    Args:
        groups: `params` and `weight_decay` of each.
        lr: by how much a weight moves in a step; the paper's advice is 3 to 10 times less than for AdamW.
        betas: what the direction and the momentum keep of the momentum before.
    """

    def __init__(self, groups: Iterable[Group], lr: float, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        super().__init__(groups, lr)
        self._betas = betas

    def _move(self, tensors: list[Tensor], gradients: list[Tensor], group: Group) -> None:
        momenta, (first, second), rate = self._kept("exp_avg", tensors), self._betas, group["lr"]
        directions = torch._foreach_lerp(gradients, momenta, first)
        torch._foreach_sign_(directions)
        torch._foreach_mul_(tensors, 1 - rate * group["weight_decay"])
        torch._foreach_add_(tensors, directions, alpha=-rate)
        torch._foreach_lerp_(momenta, gradients, 1 - second)


def weights_optimiser(supernet: Supernet, settings: OptimiserSettings, more: Iterable[nn.Parameter] = ()) -> Optimiser:
    """Weight decay for weights, none for biases and normalisation, nor for `more` tensors beside the supernet's."""
    decayed = [value for name, value in supernet.shared.items() if supernet.roles[name] == "weight"]
    others = [value for name, value in supernet.shared.items() if supernet.roles[name] != "weight"] + list(more)
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if settings.optimiser == "lion":
        return Lion(groups, settings.learning_rate, (settings.momentum, 0.99))
    if settings.optimiser == "adamw":
        return Adam(groups, settings.learning_rate, (settings.momentum, 0.999), decoupled=True)
    return Sgd(groups, settings.learning_rate, settings.momentum)
