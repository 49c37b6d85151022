"""The optimiser Lion: every weight moves by the same amount, in the direction of a sign."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Lion(torch.optim.Optimizer):
    """Evolved sign momentum (Chen et al., Symbolic Discovery of Optimization Algorithms, arXiv 2302.06675).

    With a gradient g and a momentum m, a weight w becomes w - lr * (sign(beta1 * m + (1 - beta1) * g) + decay * w), and
    m becomes beta2 * m + (1 - beta2) * g.

    Args:
        params: tensors, or groups of them with a `weight_decay` each.
        lr: by how much a weight moves in a step; the paper's advice is 3 to 10 times less than for AdamW.
        betas: what the direction and the momentum keep of the momentum before.
    """

    def __init__(self, params: Iterable[Any], lr: float, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # overloads
        """Take one step along the gradients that there are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            learned = [(weight, weight.grad) for weight in group["params"] if weight.grad is not None]
            if not learned:
                continue
            weights: list[Tensor]
            gradients: list[Tensor]
            weights, gradients = map(list, zip(*learned, strict=True))
            momenta = [self.state[weight].setdefault("exp_avg", torch.zeros_like(weight)) for weight in weights]
            (first, second), rate = group["betas"], group["lr"]
            directions = torch._foreach_lerp(gradients, momenta, first)
            torch._foreach_sign_(directions)
            torch._foreach_mul_(weights, 1 - rate * group["weight_decay"])
            torch._foreach_add_(weights, directions, alpha=-rate)
            torch._foreach_lerp_(momenta, gradients, 1 - second)
        return loss
