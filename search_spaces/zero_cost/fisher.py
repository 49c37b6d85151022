"""How much the loss would change without each channel.

J. Turner et al., "BlockSwap: Fisher-guided block substitution for network compression on a budget", ICLR 2020; as a
score of networks M. S. Abdelfattah et al., "Zero-cost proxies for lightweight NAS", ICLR 2021.
"""

from search_spaces.zero_cost.errors import Undefined
from search_spaces.zero_cost.network import PRODUCTS, Batch, FreshNetwork, cross_entropy, gradients, total
from search_spaces.zero_cost.score import ZeroCostScore


class Fisher(ZeroCostScore):
    """The sum over the channels of all layers' outputs a of E (sum over places of a dL/da)^2 / 2."""

    name = "fisher"

    def value(self, network: FreshNetwork, batch: Batch | None) -> float:
        """The sum."""
        assert batch is not None
        layers = set(network.layers)
        names = [node.outputs[0] for node in network.nodes(PRODUCTS) if not layers.isdisjoint(node.inputs)]
        if not names:
            raise Undefined("the network has no layer")
        (result,) = network.graph.outputs
        logits, *activations = network.values(network.trainable(), batch.inputs, [result.name, *names])
        slopes = gradients(cross_entropy(logits, batch.labels), activations)
        parts = []
        for activation, slope in zip(activations, slopes, strict=True):
            products = (activation.detach() * slope).double()
            if products.dim() == 4:
                products = products.sum(dim=(2, 3))
            elif products.dim() == 3:
                products = products.sum(dim=1)
            parts.append(products.square().mean(dim=0) / 2)
        return total(parts)
