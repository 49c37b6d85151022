"""How differently a network responds to changes of different inputs before training.

J. Mellor et al., "Neural architecture search without training", arXiv 2006.04647, version 1.
"""

import torch

from search_spaces.zero_cost.errors import Undefined
from search_spaces.zero_cost.network import Batch, FreshNetwork, gradients
from search_spaces.zero_cost.score import ZeroCostScore

SMALL = 1e-5


class Jacov(ZeroCostScore):
    """-sum(log v + 1 / v) over the eigenvalues v of the correlations of the inputs' gradients."""

    name = "jacov"

    def value(self, network: FreshNetwork, batch: Batch | None) -> float:
        """The sum, with the gradients of the sum of all outputs."""
        assert batch is not None
        if not batch.inputs.is_floating_point():
            raise Undefined("tokens have no gradient")
        inputs = batch.inputs.clone().requires_grad_()
        (slopes,) = gradients(network.logits(network.weights, inputs).sum(), [inputs])
        correlations = torch.corrcoef(slopes.flatten(1).double())
        if not bool(torch.isfinite(correlations).all()):
            raise Undefined("the output does not change with some input")
        values = torch.linalg.eigvalsh(correlations).clamp_min(0.0) + SMALL
        return -float((values.log() + 1.0 / values).sum())
