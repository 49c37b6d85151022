"""Weight sharing for any space: each parameter exists once at its largest size, a subnet uses slices of it.

The same name in two graphs is the same shared tensor (Cai et al., Once-for-All, arXiv 1908.09791; Yu and Huang,
Slimmable Networks, arXiv 1903.05134). Batch-norm statistics are not shared: they belong to the subnet that is
evaluated or exported and are measured for it, see `Supernet.recalibrate`.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from search_spaces.allocation import initial_value, shared_parameters
from search_spaces.covering import covering_genotypes
from search_spaces.graph import Role, Shape
from search_spaces.images import resize
from search_spaces.space import Genotype, Population, SearchSpace
from search_spaces.torch_graph import BatchNorm, Calibration, TorchGraph

CACHED_SUBNETS = 64

Index = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class Subnet:
    """One network of the space, ready to run: its plan, its input, and where its tensors lie (None: everywhere)."""

    plan: TorchGraph
    input_shape: Shape
    slices: tuple[tuple[str, Index | None], ...]


class Supernet(nn.Module):
    """The shared weights of a space.

    `shared` maps each parameter's name to its one tensor, `roles` to what it is for. A subnet takes leading slices
    of every axis, except along the spatial axes of convolution kernels (axes from 2 on), where it takes the centre.

    Args:
        space: what can be built.
        seed: of the first values.
        genotypes: (n, d) to hold what these networks need and no more, such as a single one that is trained
            alone; by default the whole space.

    Raises:
        GraphError: the space uses one name for tensors of different rank or role.
    """

    def __init__(self, space: SearchSpace, seed: int, *, genotypes: Population | None = None) -> None:
        super().__init__()
        if genotypes is None:
            genotypes = covering_genotypes(space, np.random.default_rng(seed))
        self.space = space
        generator = torch.Generator().manual_seed(seed)
        self.shared: dict[str, nn.Parameter] = {}
        self.roles: dict[str, Role] = {}
        self._tensors = nn.Module()
        for name, parameter in shared_parameters(space, genotypes).items():
            self.roles[name] = parameter.role
            self.shared[name] = nn.Parameter(initial_value(parameter, generator))
            self._tensors.register_parameter(name.replace(".", "/"), self.shared[name])  # torch forbids the dot
        self._subnets: OrderedDict[tuple[bytes, torch.device], Subnet] = OrderedDict()

    @property
    def device(self) -> torch.device:
        """Where the shared weights live."""
        return next(iter(self.shared.values())).device

    def subnet(self, genotype: Genotype) -> Subnet:
        """The planned network of a genotype (d,); the last few are kept.

        Raises:
            ValueError: not a genotype of the space, or a network that needs a larger tensor than there is.
        """
        key = (genotype.tobytes(), self.device)
        known = self._subnets.get(key)
        if known is not None:
            self._subnets.move_to_end(key)
            return known
        graph = self.space.graph(genotype)
        slices = [(name, self._index(name, value.shape)) for name, value in graph.parameters.items() if value.trainable]
        subnet = Subnet(TorchGraph(graph, self.device), graph.inputs[0].shape, tuple(slices))
        self._subnets[key] = subnet
        if len(self._subnets) > CACHED_SUBNETS:
            self._subnets.popitem(last=False)
        return subnet

    def weights(self, genotype: Genotype) -> dict[str, Tensor]:
        """The learned tensors of a subnet by name: views of the shared ones, gradients flow back to them."""
        return self._weights(self.subnet(genotype))

    def forward(self, x: Tensor, genotype: Genotype, statistics: Mapping[str, Tensor] | None = None) -> Tensor:
        """The subnet's output, such as logits (N, classes).

        Args:
            x: a batch of inputs; images (N, C, H, W) of another resolution than the subnet's are resized.
            genotype: (d,) row.
            statistics: batch-norm statistics of this subnet as `recalibrate` returns them. Without them the
                network normalises with the statistics of this batch, as in training.

        Raises:
            ValueError: not a genotype of the space, inputs of the wrong shape, or statistics that lack a tensor.
        """
        subnet = self.subnet(genotype)
        if statistics is None:
            return self._run(subnet, self._weights(subnet), x, "batch")
        return self._run(subnet, {**self._weights(subnet), **statistics}, x, "stored")

    @torch.no_grad()
    def recalibrate(self, genotype: Genotype, batches: Iterable[Tensor]) -> dict[str, Tensor]:
        """Mean and variance of each batch norm of a subnet, over all `batches` of inputs, by name.

        Each batch runs with its own statistics, as in training; what is returned is exact over all of them.
        Nothing shared is changed. A network without batch norm has none, and no batch is run.

        Raises:
            ValueError: no batches, or one with a single value per channel.
        """
        subnet, calibration = self.subnet(genotype), Calibration()
        if not subnet.plan.norms:
            return {}
        weights = self._weights(subnet)
        count = 0
        for count, batch in enumerate(batches, 1):  # noqa: B007  # counts what an iterator held
            self._run(subnet, weights, batch, calibration)
        if not count:
            raise ValueError("recalibration needs at least one batch of inputs, got none")
        return calibration.statistics()

    def subnet_state(self, genotype: Genotype, statistics: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
        """Every tensor of a subnet, learned and measured, by name: contiguous copies, ready to be exported.

        Raises:
            ValueError: `statistics` lack a tensor of this subnet, or hold one of another size.
        """
        subnet = self.subnet(genotype)
        weights = self._weights(subnet)
        for mean, variance, scale in subnet.plan.norms:
            for name in (mean, variance):
                if name not in statistics or statistics[name].shape != weights[scale].shape:
                    given = tuple(statistics[name].shape) if name in statistics else "nothing"
                    raise ValueError(
                        f"statistics {name!r} of this subnet must be {tuple(weights[scale].shape)}, got {given}; "
                        "recalibrate the subnet first"
                    )
                weights[name] = statistics[name]
        return {name: np.array(tensor.detach().cpu().numpy(), order="C") for name, tensor in weights.items()}

    def _weights(self, subnet: Subnet) -> dict[str, Tensor]:
        shared = self.shared
        return {name: shared[name] if index is None else shared[name][index] for name, index in subnet.slices}

    def _run(self, subnet: Subnet, tensors: Mapping[str, Tensor], x: Tensor, batch_norm: BatchNorm) -> Tensor:
        return subnet.plan.run(tensors, [_fitted(x, subnet.input_shape)], batch_norm=batch_norm)[0]

    def _index(self, name: str, shape: Shape) -> Index | None:
        """Which part of a shared tensor a subnet of this shape uses; None for all of it."""
        full = tuple(self.shared[name].shape) if name in self.shared else ()
        if len(full) != len(shape) or any(size > available for size, available in zip(shape, full, strict=True)):
            raise ValueError(
                f"the network needs {name!r} of {shape} and the supernet of space {self.space.name!r} holds "
                f"{full or 'none'}: the size depends on several decisions in a way that no option alone shows"
            )
        if full == shape:
            return None
        starts = [0 if axis < 2 else (full[axis] - size) // 2 for axis, size in enumerate(shape)]
        index = [slice(start, start + size) for start, size in zip(starts, shape, strict=True)]
        while full[len(index) - 1] == shape[len(index) - 1]:
            index.pop()  # trailing axes that are whole need no slice
        return tuple(index)


def _fitted(x: Tensor, shape: Shape) -> Tensor:
    """Inputs as a network of input `shape` takes them; images are resized."""
    if x.shape[1:] == shape[1:]:
        return x
    if x.dim() == 4 and len(shape) == 4 and x.shape[1] == shape[1]:
        return resize(x, shape[2], shape[3])
    raise ValueError(f"the network takes inputs of (N, {', '.join(map(str, shape[1:]))}), got {tuple(x.shape)}")
