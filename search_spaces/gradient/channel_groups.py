"""A surrogate of a cost on the norms of channel groups, by which width decisions shed what they do not need."""

from typing import Literal

import torch
from torch import Tensor

from search_spaces.gradient.decision_costs import Cost
from search_spaces.gradient.logits import Logits
from search_spaces.gradient.superkernels import Superkernel, Superkernels


class ChannelGroups:
    """The groups of channels that larger options of width decisions add, each with a norm and a price.

    A width decision is a nested one whose options differ in channels (expansions, heads, inner features) and not in the
    size of kernels. The surrogate is the sum over groups of price times norm, differentiable in the weights: groups
    that cost more than they are worth shrink, and fall below their thresholds. It is the group lasso of Wen et al.
    (arXiv 1608.03665) with the groups' costs as factors, as in MorphNet (Gordon et al., arXiv 1711.06798).

    Args:
        superkernels: the nested decisions.
        norm: `l1`, the mean of the weights' sizes, or `l2`, the root of their mean square; both by that of the smallest
            option's weights, which counts as a constant.

    Attributes:
        columns: of the width decisions.

    Raises:
        ValueError: a space without width decisions.
    """

    def __init__(self, superkernels: Superkernels, norm: Literal["l1", "l2"]) -> None:
        self.superkernels, self.norm = superkernels, norm
        self.columns = tuple([column for column, each in superkernels.found.items() if _adds_channels(each)])
        if not self.columns:
            space = superkernels.structure.space
            raise ValueError(
                f"surrogate {norm!r} is for decisions about widths, such as expansions, and space {space.name!r} has "
                "none"
            )

    def norms(self, column: int) -> Tensor:
        """(n - 1,) of the groups that a decision's larger options add, from small to large."""
        shells, supernet = self.superkernels.found[column].shells, self.superkernels.supernet
        names = [name for name in shells if supernet.roles[name] == "weight"]
        total, counts = torch.zeros(()), torch.zeros(())
        for name in names:
            value = supernet.shared[name]
            sizes = value.abs() if self.norm == "l1" else value.square()
            total = total + (shells[name] * sizes).flatten(1).sum(1)
            counts = counts + shells[name].flatten(1).sum(1)
        means = total / counts
        found = means if self.norm == "l1" else torch.sqrt(means + torch.finfo(means.dtype).tiny)
        return found[1:] / found[0].detach()

    @torch.no_grad()
    def prices(self, column: int, logits: Logits, cost: Cost) -> Tensor:
        """(n - 1,) by how much each group raises the expected cost, at the chances of all other decisions."""
        chances, order = logits.probabilities(), self.superkernels.found[column].order
        costs = []
        for option in order:
            chances[column] = torch.zeros_like(chances[column])
            chances[column][option] = 1
            costs.append(cost.expected(logits.expected(chances)))
        return torch.stack(costs).diff().clamp(min=0)

    def __call__(self, logits: Logits, cost: Cost) -> Tensor:
        """The surrogate, in the unit of the cost."""
        terms = [(self.prices(column, logits, cost) * self.norms(column)).sum() for column in self.columns]
        return torch.stack(terms).sum()


def _adds_channels(superkernel: Superkernel) -> bool:
    """Whether no part of a kernel belongs to another option than the rest of it."""
    return all(
        bool((shell.flatten(3).amax(3) == shell.flatten(3).amin(3)).all())
        for shell in superkernel.shells.values()
        if shell.dim() > 3
    )
