"""Synaptic flow: how much could flow through every weight.

H. Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic flow", NeurIPS 2020; as a
score of networks M. S. Abdelfattah et al., "Zero-cost proxies for lightweight NAS", ICLR 2021.
"""

import torch

from search_spaces.interpreter.torch_graph import TorchGraph
from search_spaces.zero_cost.network import Batch, FreshNetwork, gradients, total
from search_spaces.zero_cost.score import ZeroCostScore


class Synflow(ZeroCostScore):
    """The sum over all layers' weights of |w| dR/d|w|.

    R is the sum of the outputs for an input of ones (of tokens, the first of the vocabulary), with every parameter made
    positive and without normalisation. In float64, because R grows with every layer.
    """

    name = "synflow"

    def value(self, network: FreshNetwork, batch: Batch | None) -> float:
        """The sum."""
        weights = {name: weight.abs().double() for name, weight in network.weights.items()}
        chosen = [weights[name].requires_grad_() for name in network.layers]
        tokens = not network.dtype.startswith("float")
        shape = list(network.shape)
        inputs = torch.zeros(shape, dtype=torch.int64) if tokens else torch.ones(shape, dtype=torch.float64)
        (outputs,) = TorchGraph(network.without_normalisation()).run(weights, [inputs], batch_norm="batch")
        slopes = gradients(outputs.sum(), chosen)
        return total([weight.detach() * slope for weight, slope in zip(chosen, slopes, strict=True)])
