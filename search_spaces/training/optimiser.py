"""The optimiser of weights."""

from collections.abc import Iterable
from typing import Literal, Protocol

import torch
from torch import nn

from search_spaces.supernet.supernet import Supernet
from search_spaces.training.lion import Lion

OPTIMISER_STATE = {"sgd": ("momentum_buffer",), "adamw": ("exp_avg", "exp_avg_sq", "step"), "lion": ("exp_avg",)}


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


def weights_optimiser(
    supernet: Supernet, settings: OptimiserSettings, more: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """Weight decay for weights, none for biases and normalisation, nor for `more` tensors beside the supernet's."""
    decayed = [value for name, value in supernet.shared.items() if supernet.roles[name] == "weight"]
    others = [value for name, value in supernet.shared.items() if supernet.roles[name] != "weight"] + list(more)
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if settings.optimiser == "lion":
        return Lion(groups, lr=settings.learning_rate, betas=(settings.momentum, 0.99))
    if settings.optimiser == "adamw":
        betas = (settings.momentum, 0.999)
        return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=betas, fused=True)
    nesterov = settings.momentum > 0
    sgd = torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=nesterov, fused=True)
    if settings.momentum:
        for value in (*decayed, *others):  # torch's fused step fails where one gets its first gradient late
            sgd.state[value]["momentum_buffer"] = torch.zeros_like(value)
    return sgd
