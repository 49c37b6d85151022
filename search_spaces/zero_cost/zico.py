"""How large and how steady gradients are.

G. Li et al., "ZiCo: zero-shot NAS via inverse coefficient of variation on gradients", ICLR 2023.
"""

import math

import torch

from search_spaces.zero_cost.errors import Undefined
from search_spaces.zero_cost.network import Batch, FreshNetwork, layer_gradients
from search_spaces.zero_cost.score import ZeroCostScore

BATCHES = 2


class Zico(ZeroCostScore):
    """The sum over layers of the logarithm of sum(mean |g| / deviation of |g|), from two halves of the samples."""

    name = "zico"
    least_samples = 2 * BATCHES

    def value(self, network: FreshNetwork, batch: Batch | None) -> float:
        """The sum over all layers that gradients reach."""
        assert batch is not None
        halves = zip(batch.inputs.chunk(BATCHES), batch.labels.chunk(BATCHES), strict=True)
        found = [layer_gradients(network, Batch(*half))[1] for half in halves]
        logarithms = []
        for gradients in zip(*found, strict=True):
            sizes = torch.stack(gradients).abs().double()
            deviation = sizes.std(dim=0, correction=0)
            kept = deviation > 0
            ratio = float((sizes.mean(dim=0)[kept] / deviation[kept]).sum())
            if ratio > 0:
                logarithms.append(math.log(ratio))
        if not logarithms:
            raise Undefined("no layer has a gradient that changes between batches")
        return math.fsum(logarithms)
