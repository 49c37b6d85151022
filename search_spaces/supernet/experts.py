"""Mixture-of-supernets: several copies of each shared weight, mixed anew for each architecture.

Two networks that share a weight need not agree on it: each takes its own mixture of the copies ("experts"), with
shares that a router computes from the network's encoding, one set of shares for each weight (Jawahar et al., arXiv
2306.04845, layer-wise form). The router is a perceptron with one hidden layer and a softmax over experts.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

HIDDEN = 64
ROUTER = ("@router.hidden.weight", "@router.hidden.bias", "@router.shares.weight", "@router.shares.bias")


def expert_name(weight: str, expert: int) -> str:
    """Name of one expert's tensor, such as `stem.conv.weight@expert0`; its axes are those of the weight."""
    return f"{weight}@expert{expert}"


def first_router(features: int, weights: int, experts: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """First values of the tensors in `ROUTER`: the shares differ a little between architectures.

    Args:
        features: length of a network's encoding.
        weights: how many weights are mixed.
        experts: of each weight.
        generator: where the values come from.
    """
    hidden = torch.randn((HIDDEN, features), generator=generator) / math.sqrt(features)
    shares = torch.randn((weights * experts, HIDDEN), generator=generator) / HIDDEN
    return hidden, torch.zeros(HIDDEN), shares, torch.zeros(weights * experts)


def first_experts(values: Sequence[Tensor]) -> list[Tensor]:
    """Independent first values of one weight, scaled so that their even mixture has the deviation of each."""
    return [value * math.sqrt(len(values)) for value in values]


def route(encoding: Tensor, router: Sequence[Tensor], experts: int) -> Tensor:
    """Shares of the experts, (weights, experts), each row summing to 1, for an encoded network (features,)."""
    hidden_weight, hidden_bias, weight, bias = router
    hidden = functional.linear(encoding, hidden_weight, hidden_bias).relu()
    return functional.linear(hidden, weight, bias).view(-1, experts).softmax(1)


def mix(experts: Sequence[Tensor], shares: Tensor) -> Tensor:
    """The mixture of a weight's experts, or of one slice of each."""
    mixed = experts[0] * shares[0]
    for expert, share in zip(experts[1:], shares[1:], strict=True):
        mixed = torch.addcmul(mixed, expert, share)
    return mixed
