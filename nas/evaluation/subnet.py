"""Networks of a space with trained weights: each made ready to run, to be scored and to be written as ONNX."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from nas.evaluation.scores import EvaluationData, batches
from search_spaces.interchange.onnx_file import model_bytes
from search_spaces.module_space import ModuleSpace, fitted
from search_spaces.space import Genotype, SearchSpace
from search_spaces.supernet.supernet import Supernet
from search_spaces.supernet.weights import SupernetWeights


class Network(Protocol):
    """One network with its weights and its own batch-norm statistics."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Logits (n, classes), or (n, T, vocabulary) for tokens, of a batch of inputs."""

    def model(self, metadata: Mapping[str, str]) -> bytes:
        """The network as an ONNX file, batch normalisation folded."""


class Subnets(Protocol):
    """Makes networks of a space."""

    def network(self, genotype: Genotype) -> Network:
        """The network of a genotype (d,), its statistics measured on the calibration samples."""


def subnets(space: SearchSpace, weights: SupernetWeights | None, data: EvaluationData | None) -> Subnets:
    """What makes networks of a space.

    Args:
        space: what the genotypes are of.
        weights: the trained supernet's; None for random ones, or where they come with the space.
        data: what statistics come from; None for neutral ones.
    """
    return ModuleSubnets(space, data) if isinstance(space, ModuleSpace) else GraphSubnets(space, weights, data)


class GraphSubnets:
    """Subnets of a supernet; arguments as for `subnets`."""

    def __init__(self, space: SearchSpace, weights: SupernetWeights | None, data: EvaluationData | None) -> None:
        self.space = space
        self.supernet = (Supernet(space, seed=0) if weights is None else weights.supernet(space)).eval()
        self._data = data

    def network(self, genotype: Genotype) -> "GraphNetwork":
        """The network of a genotype (d,)."""
        if self._data is None:
            return GraphNetwork(self.supernet, genotype, self._neutral(genotype))
        statistics = self.supernet.recalibrate(genotype, batches(self._data.calibration))
        return GraphNetwork(self.supernet, genotype, statistics)

    def _neutral(self, genotype: Genotype) -> dict[str, Tensor]:
        weights = self.supernet.weights(genotype)
        neutral: dict[str, Tensor] = {}
        for mean, variance, scale in self.supernet.subnet(genotype).plan.norms:
            neutral[mean] = torch.zeros_like(weights[scale])
            neutral[variance] = torch.ones_like(weights[scale])
        return neutral


class GraphNetwork:
    """One subnet of a supernet with its statistics."""

    def __init__(self, supernet: Supernet, genotype: Genotype, statistics: Mapping[str, Tensor]) -> None:
        self._supernet = supernet
        self._genotype = genotype
        self._statistics = statistics

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Logits of a batch of inputs."""
        return self._supernet(inputs, self._genotype, self._statistics)  # type: ignore[no-any-return]  # torch's call

    def model(self, metadata: Mapping[str, str]) -> bytes:
        """The network as an ONNX file, batch normalisation folded."""
        state = self._supernet.subnet_state(self._genotype, self._statistics)
        return model_bytes(self._supernet.space.graph(self._genotype), state, metadata)


class ModuleSubnets:
    """Networks of a space of modules, whose weights come with it; arguments as for `subnets`."""

    def __init__(self, space: ModuleSpace, data: EvaluationData | None) -> None:
        self._space = space
        self._calibration = [] if data is None else list(batches(data.calibration))

    def network(self, genotype: Genotype) -> "ModuleNetwork":
        """The network of a genotype (d,)."""
        return ModuleNetwork(self._space, genotype, self._space.module(genotype, self._calibration))


class ModuleNetwork:
    """One module of a space with its statistics."""

    def __init__(self, space: ModuleSpace, genotype: Genotype, module: nn.Module) -> None:
        self._space = space
        self._genotype = genotype
        self._module = module
        self._shape = space.input_shape(space.choices(genotype))

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Logits of a batch of inputs."""
        return self._module(fitted(inputs, self._shape))  # type: ignore[no-any-return]  # torch's call

    def model(self, metadata: Mapping[str, str]) -> bytes:
        """The network as an ONNX file, batch normalisation folded."""
        return self._space.onnx(self._genotype, self._module, metadata)
