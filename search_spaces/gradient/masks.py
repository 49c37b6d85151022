"""Masks of sparse weights, learned beside them."""

import math

import torch
from torch import Tensor, nn

from search_spaces.supernet.supernet import Supernet


class Masks:
    """A score for every entry of a supernet's sparse weights; of each tensor the entries with the largest scores count.

    Scores begin in proportion to the weights and get the gradient of the mask as if it were the score (straight
    through), as in HYDRA (Sehwag et al., arXiv 2002.10509), on which DASS builds.

    Args:
        supernet: whose parameters of the role `sparse_weight` are masked.
        density: share of the entries that count; at least one of each tensor does.

    Attributes:
        scores: by the name of the weight, in its shape.

    Raises:
        ValueError: a supernet without sparse weights.
    """

    def __init__(self, supernet: Supernet, density: float) -> None:
        self.supernet, self.density = supernet, density
        self.scores = {
            name: nn.Parameter(_first_scores(value.detach()))
            for name, value in supernet.shared.items()
            if supernet.roles[name] == "sparse_weight"
        }
        if not self.scores:
            raise ValueError(
                f"space {supernet.space.name!r} has no sparse operations to learn masks for; give its `operations` "
                "some of search_spaces.families.cell_operations whose names begin with 'sparse_'"
            )

    def masked(self) -> dict[str, Tensor]:
        """The sparse weights with zeros where they do not count, by name, differentiable in weights and scores."""
        return {name: self.supernet.shared[name] * self._mask(score) for name, score in self.scores.items()}

    def _mask(self, score: Tensor) -> Tensor:
        size = score.abs()
        counted = max(1, round(self.density * size.numel()))
        chosen = torch.zeros_like(size).view(-1)
        chosen[size.detach().view(-1).topk(counted).indices] = 1
        return size - size.detach() + chosen.view_as(size)


def _first_scores(weight: Tensor) -> Tensor:
    return weight / weight.abs().max() * math.sqrt(6 / max(1, weight[0].numel()))
