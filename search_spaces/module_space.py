"""Search spaces of existing PyTorch supernets: decisions, and a module for every choice.

Their weights come with them: the service evaluates, times and exports such networks and does not train them. Costs and
features are those of the exported network, read back into a graph.
"""

import copy
import json
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from search_spaces.costs.static import METRICS, costs
from search_spaces.decision import Option
from search_spaces.graph import Graph, Shape
from search_spaces.identity import graph_hash
from search_spaces.interchange.onnx_reader import read_model
from search_spaces.interchange.torch_export import export_module
from search_spaces.space import Genotype, Pick, Population, SearchSpace
from search_spaces.supernet.images import resize

CACHED_GRAPHS = 4096


class ModuleSpace(SearchSpace):
    """What an existing supernet can be.

    Subclasses set `name`, pass decisions and settings up, set `shape`, and write `build`. A space is made anew in every
    process that evaluates, from its settings alone, and must come out with the same weights each time: read them from
    a file that the settings name.

    Each network costs an export of 20 ms or more where a graph space looks a table up, so strategies that price
    thousands of proposals are slow here.

    Attributes:
        shape: of one input, (1, C, H, W) or (1, T).
        dtype: of the input, `float32` or `int64` for tokens.
        input_name: of the input in exported files.
    """

    shape: Shape
    dtype: str = "float32"
    input_name: str = "input"
    trained_here: ClassVar[bool] = False
    tabulated: ClassVar[bool] = False

    @abstractmethod
    def build(self, choices: Mapping[str, Option]) -> nn.Module:
        """The network of the active choices, with its weights; it may share them with other networks."""

    def input_shape(self, choices: Mapping[str, Option]) -> Shape:
        """Shape of one input of a network; `shape` unless the resolution is a decision. Images are resized to it."""
        return self.shape

    def module(self, genotype: Genotype, calibration: Sequence[Tensor] = ()) -> nn.Module:
        """The network of a genotype (d,) in evaluation mode, calibrated where there are batches of inputs.

        Raises:
            ValueError: not a genotype of this space, or `build` returns no module.
        """
        choices = self.choices(genotype)
        module = self.build(choices)
        if not isinstance(module, nn.Module):
            raise ValueError(f"build of space {self.name!r} must return a torch module, got {type(module).__name__}")
        if calibration:
            # Statistics belong to this network, so they are changed in a copy; weights are shared and not copied.
            module = copy.deepcopy(module, {id(weight): weight for weight in module.parameters()})
            shape = self.input_shape(choices)
            self.calibrate(module, [fitted(batch, shape) for batch in calibration])
        return module.eval()

    def calibrate(self, module: nn.Module, batches: Sequence[Tensor]) -> None:
        """Measure the statistics of batch norm for one network, in place, as weight sharing needs.

        They become the mean of those of the batches, of inputs as the network takes them. Write another one for
        normalisation of another kind, or one that does nothing where each choice has sound statistics of its own.
        """
        norms = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
        if not norms:
            return
        module.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average over batches
            norm.train()
        with torch.no_grad():
            for batch in batches:
                module(batch)
        module.eval()

    def onnx(self, genotype: Genotype, module: nn.Module, metadata: Mapping[str, str]) -> bytes:
        """The ONNX file of a module that `module` made for this genotype.

        Raises:
            ValueError: as `export_module`.
        """
        return export_module(module, self._example(genotype), input_name=self.input_name, metadata=dict(metadata))

    def assemble(self, pick: Pick) -> Graph:
        """Nothing: a module is built from all choices at once.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"space {self.name!r} builds modules; ask for `graph`, `module` or `onnx`")

    def graph(self, genotype: Genotype) -> Graph:
        """The exported network of one genotype (d,), read back; the last few thousand are kept.

        Raises:
            ValueError: not a genotype of this space, or a module that torch cannot export or the reader cannot read.
        """
        self.validate(genotype[None])
        key = genotype.tobytes()
        if key not in self._graphs:
            module = self.module(genotype)
            content = export_module(module, self._example(genotype), input_name=self.input_name)
            self._graphs[key] = read_model(content).graph
            if len(self._graphs) > CACHED_GRAPHS:
                self._graphs.popitem(last=False)
        return self._graphs[key]

    def key(self, genotype: Genotype, graph: Graph | None = None) -> str:
        """The identity of a network, 64 hex digits: structure, space and choices.

        Two choices of one structure are two networks here, because their weights were not drawn but given.
        """
        choices = json.dumps([self.name, self.settings, self.choices(genotype)], sort_keys=True)
        structure = graph_hash(self.graph(genotype) if graph is None else graph)
        return blake2b(f"{structure} {choices}".encode(), digest_size=32).hexdigest()

    def costs(self, population: Population, metrics: Sequence[str] = METRICS) -> dict[str, NDArray[np.float64]]:
        """Exact static costs of an (n, d) population, metric -> (n,); parameters are those of the file.

        Raises:
            ValueError: not a population of this space.
        """
        self.validate(population)
        rows = [costs(self.graph(row)) for row in self.canonical(population)]
        return {metric: np.array([row[metric] for row in rows]) for metric in metrics}

    @property
    def _graphs(self) -> OrderedDict[bytes, Graph]:
        found: OrderedDict[bytes, Graph] = self.__dict__.setdefault("_known_graphs", OrderedDict())
        return found

    def _example(self, genotype: Genotype) -> Tensor:
        return torch.zeros(self.input_shape(self.choices(genotype)), dtype=getattr(torch, self.dtype))


def fitted(x: Tensor, shape: Shape) -> Tensor:
    """Inputs (N, ...) as a network with inputs of `shape` takes them; images are resized.

    Raises:
        ValueError: they do not fit.
    """
    if x.shape[1:] == shape[1:]:
        return x
    if x.dim() == 4 and len(shape) == 4 and x.shape[1] == shape[1]:
        return resize(x, shape[2], shape[3])
    raise ValueError(f"the network takes inputs of (N, {', '.join(map(str, shape[1:]))}), got {tuple(x.shape)}")
