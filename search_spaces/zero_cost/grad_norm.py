"""How large the gradients of the loss are.

M. S. Abdelfattah et al., "Zero-cost proxies for lightweight NAS", ICLR 2021.
"""

from search_spaces.zero_cost.network import Batch, FreshNetwork, layer_gradients, total
from search_spaces.zero_cost.score import ZeroCostScore


class GradNorm(ZeroCostScore):
    """The sum over layers of the Euclidean norm of their weights' gradient."""

    name = "grad_norm"

    def value(self, network: FreshNetwork, batch: Batch | None) -> float:
        """The sum."""
        assert batch is not None
        return total([gradient.norm() for gradient in layer_gradients(network, batch)[1]])
