"""How much the flow of gradients would change without each weight.

C. Wang et al., "Picking winning tickets before training by preserving gradient flow" (GraSP), ICLR 2020; as a score of
networks M. S. Abdelfattah et al., "Zero-cost proxies for lightweight NAS", ICLR 2021.
"""

import torch

from search_spaces.zero_cost.errors import Undefined
from search_spaces.zero_cost.network import Batch, FreshNetwork, cross_entropy, gradients, total
from search_spaces.zero_cost.score import ZeroCostScore


class Grasp(ZeroCostScore):
    """-sum w (H g) over all layers' weights, with the gradient g and the Hessian H of the loss."""

    name = "grasp"

    def value(self, network: FreshNetwork, batch: Batch | None) -> float:
        """The sum."""
        assert batch is not None
        weights = network.trainable()
        chosen = [weights[name] for name in network.layers]
        loss = cross_entropy(network.logits(weights, batch.inputs), batch.labels)
        slopes = gradients(loss, chosen, create_graph=True)
        flow = torch.stack([(slope.detach() * slope).sum() for slope in slopes]).sum()
        if not flow.requires_grad:
            raise Undefined("the gradients do not depend on the weights")
        products = gradients(flow, chosen)
        return -total([weight.detach() * product for weight, product in zip(chosen, products, strict=True)])
