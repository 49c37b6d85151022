"""How much a network's features change with its input, whatever the scale of its layers.

M. Lin et al., "Zen-NAS: a zero-shot NAS for high-performance deep image recognition", ICCV 2021.
"""

import math

import torch

from search_spaces.zero_cost.errors import Undefined
from search_spaces.zero_cost.network import PRODUCTS, Batch, FreshNetwork
from search_spaces.zero_cost.score import ZeroCostScore

CHANGE = 0.01
SAMPLES = 8
POOLS = ("GlobalAveragePool", "GlobalMaxPool", "ReduceMean")
SMALL = 1e-8


class Zen(ZeroCostScore):
    """log E |f(x) - f(x + 0.01 e)| + the logarithms of the deviations that batch normalisations divide by.

    x, e and the weights of layers are standard normal, and f is what the last global pooling reads, or without one
    what the last layer reads.
    """

    name = "zen"

    @torch.no_grad()
    def value(self, network: FreshNetwork, batch: Batch | None) -> float:
        """The sum of logarithms."""
        if not network.dtype.startswith("float"):
            raise Undefined("tokens cannot be changed by a little")
        ends = network.nodes(POOLS) or network.nodes(PRODUCTS)
        if not ends:
            raise Undefined("the network has no layer")
        generator = network.generator(1)
        layers = set(network.layers)
        weights = {
            name: torch.randn(weight.shape, generator=generator) if name in layers else weight
            for name, weight in network.weights.items()
        }
        inputs = torch.randn((SAMPLES, *network.shape[1:]), generator=generator)
        noise = torch.randn(inputs.shape, generator=generator)
        norms = [node.inputs[0] for node in network.nodes(["BatchNormalization"])]
        features, *normalised = network.values(weights, inputs, [ends[-1].inputs[0], *norms])
        (changed,) = network.values(weights, inputs + CHANGE * noise, [ends[-1].inputs[0]])
        difference = float((features - changed).double().flatten(1).abs().sum(dim=1).mean())
        if not difference > 0:
            raise Undefined("the features do not depend on the input")
        scales = [
            0.5 * math.log(float(value.double().transpose(0, 1).flatten(1).var(dim=1).mean()) + SMALL)
            for value in normalised
        ]
        return math.log(difference) + math.fsum(scales)
