"""How much the loss would change without each weight.

N. Lee et al., "SNIP: single-shot network pruning based on connection sensitivity", ICLR 2019; as a score of networks
M. S. Abdelfattah et al., "Zero-cost proxies for lightweight NAS", ICLR 2021.
"""

from search_spaces.zero_cost.network import Batch, FreshNetwork, layer_gradients, total
from search_spaces.zero_cost.score import ZeroCostScore


class Snip(ZeroCostScore):
    """The sum over all layers' weights of |w dL/dw|."""

    name = "snip"

    def value(self, network: FreshNetwork, batch: Batch | None) -> float:
        """The sum."""
        assert batch is not None
        weights, gradients = layer_gradients(network, batch)
        return total([(weight * gradient).abs() for weight, gradient in zip(weights, gradients, strict=True)])
