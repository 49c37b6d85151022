"""A network at its initialisation, which is all that zero-cost scores look at."""

import copy
import math
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from search_spaces.graph import Graph, Node, Shape
from search_spaces.interpreter.torch_graph import TorchGraph
from search_spaces.supernet.allocation import graph_parameters, initial_value

PRODUCTS = ("Conv", "Gemm", "MatMul")
NORMALISATIONS = ("BatchNormalization", "LayerNormalization")
NONLINEAR = ("Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "Relu", "Sigmoid", "Tanh")


class Batch(NamedTuple):
    """Training samples.

    Attributes:
        inputs: (n, C, H, W) float32 images, or (n, T) int64 tokens.
        labels: (n,) int64, or for tokens (n, T), the token that follows each.
    """

    inputs: Tensor
    labels: Tensor


class FreshNetwork:
    """A graph with random weights, as `search_spaces.supernet.allocation` draws them.

    Args:
        graph: of one input and one output.
        seed: of the weights, and of what scores draw beside them.

    Attributes:
        weights: every trained parameter by name.
        layers: names of the weights that convolutions and products multiply with.
        shape: of the input, batch 1.
        dtype: of the input.
    """

    def __init__(self, graph: Graph, seed: int) -> None:
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise ValueError(f"a network has one input and one output, not {len(graph.inputs)}, {len(graph.outputs)}")
        self.graph = graph
        self.seed = seed
        generator = torch.Generator().manual_seed(seed)
        found = graph_parameters(graph)
        self.weights = {name: initial_value(found[name], generator) for name in sorted(found)}
        self.layers = tuple(
            dict.fromkeys(
                name
                for node in graph.nodes
                if node.op in PRODUCTS
                for name in node.inputs[:2]
                if name in self.weights and self.weights[name].dim() > 1
            )
        )
        (value,) = graph.inputs
        self.shape: Shape = value.shape
        self.dtype = value.dtype

    @cached_property
    def plan(self) -> TorchGraph:
        """The network made ready to run."""
        return TorchGraph(self.graph)

    def nodes(self, operators: Collection[str]) -> list[Node]:
        """The nodes of some operators, in order."""
        return [node for node in self.graph.nodes if node.op in operators]

    def values(self, weights: Mapping[str, Tensor], inputs: Tensor, names: Sequence[str]) -> tuple[Tensor, ...]:
        """The named values of the graph for a batch of inputs, normalised with the batch's own statistics."""
        graph = copy.copy(self.graph)
        graph.outputs = [graph.values[name] for name in names]
        return TorchGraph(graph).run(weights, [inputs], batch_norm="batch")

    def logits(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """The output for a batch of inputs, normalised with the batch's own statistics."""
        return self.plan.run(weights, [inputs], batch_norm="batch")[0]

    def trainable(self) -> dict[str, Tensor]:
        """The weights, with gradients for those of layers."""
        layers = set(self.layers)
        return {name: weight.clone().requires_grad_(name in layers) for name, weight in self.weights.items()}

    def without_normalisation(self) -> Graph:
        """The same graph with every normalisation an identity."""
        graph = copy.copy(self.graph)
        graph.nodes = [
            Node(node.name, "Identity", node.inputs[:1], node.outputs, {}) if node.op in NORMALISATIONS else node
            for node in graph.nodes
        ]
        return graph

    def generator(self, purpose: int) -> torch.Generator:
        """Randomness for one purpose, always the same."""
        return torch.Generator().manual_seed(self.seed * 1009 + purpose)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy in nats of (n, classes) or (n, T, vocabulary)."""
    return functional.cross_entropy(logits.flatten(0, -2), labels.flatten())


def gradients(output: Tensor, tensors: Sequence[Tensor], *, create_graph: bool = False) -> list[Tensor]:
    """Gradients of a number with respect to tensors; zeros for those that it does not depend on."""
    found = torch.autograd.grad(output, tensors, create_graph=create_graph, allow_unused=True, materialize_grads=True)
    return list(found)


def layer_gradients(network: FreshNetwork, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
    """The weights of layers and the gradients of the loss with respect to them."""
    weights = network.trainable()
    chosen = [weights[name] for name in network.layers]
    loss = cross_entropy(network.logits(weights, batch.inputs), batch.labels)
    return [weight.detach() for weight in chosen], gradients(loss, chosen)


def total(parts: Sequence[Tensor]) -> float:
    """The sum of all numbers, in float64."""
    return math.fsum(float(part.double().sum()) for part in parts)
