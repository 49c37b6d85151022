"""How well a network tells inputs apart before training: by the regions that its nonlinearities cut the inputs into.

J. Mellor et al., "Neural architecture search without training", ICML 2021.
"""

import torch

from search_spaces.zero_cost.errors import Undefined
from search_spaces.zero_cost.network import NONLINEAR, Batch, FreshNetwork
from search_spaces.zero_cost.score import ZeroCostScore


class Naswot(ZeroCostScore):
    """The logarithm of the determinant of how many units of all nonlinearities are alike for two inputs.

    A unit's side is the sign of what goes into it, which for a ReLU is whether it is active.
    """

    name = "naswot"

    @torch.no_grad()
    def value(self, network: FreshNetwork, batch: Batch | None) -> float:
        """The logarithm of |K|, with K_ij the units on the same side for inputs i and j."""
        assert batch is not None
        names = list(dict.fromkeys(node.inputs[0] for node in network.nodes(NONLINEAR)))
        readers = [sum(node.inputs[0] == name for node in network.nodes(NONLINEAR)) for name in names]
        if not names:
            raise Undefined("the network has no nonlinearity")
        n = len(batch.inputs)
        alike = torch.zeros(n, n, dtype=torch.float64)
        for value, count in zip(network.values(network.weights, batch.inputs, names), readers, strict=True):
            sides = (value.reshape(n, -1) > 0).float().mul_(2).sub_(1)
            alike += count * (sides @ sides.t() + sides.shape[1]).double() / 2
        sign, logarithm = torch.linalg.slogdet(alike)
        if sign <= 0 or not torch.isfinite(logarithm):
            raise Undefined("two inputs are on the same side of every unit")
        return float(logarithm)
