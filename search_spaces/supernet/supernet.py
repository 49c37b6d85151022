"""Weight sharing for any space: each parameter exists once at its largest size, a subnet uses slices of it.

The same name in two graphs is the same shared tensor (Cai et al., Once-for-All, arXiv 1908.09791; Yu and Huang,
Slimmable Networks, arXiv 1903.05134). Batch-norm statistics are not shared: they belong to the subnet that is
evaluated or exported and are measured for it, see `Supernet.recalibrate`.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from search_spaces.covering import covering_genotypes
from search_spaces.graph import Graph, Role, Shape
from search_spaces.interpreter.torch_graph import BatchNorm, Calibration, TorchGraph
from search_spaces.space import Genotype, Population, SearchSpace
from search_spaces.supernet.allocation import SharedParameter, initial_value, shared_parameters
from search_spaces.supernet.experts import ROUTER, expert_name, first_experts, first_router, mix, route
from search_spaces.supernet.images import resize
from search_spaces.supernet.kernel_transformation import Chain, chains, first_matrix, transform
from search_spaces.supernet.settings import SupernetSettings

CACHED_SUBNETS = 64

Index = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class Subnet:
    """One network of the space, ready to run.

    Attributes:
        plan: how it runs.
        input_shape: what it takes.
        slices: where each of its tensors lies in the shared one; None for all of it.
        chains: the transformations of kernels that are smaller than shared, by name.
        encoding: (features,) for the router.
    """

    plan: TorchGraph
    input_shape: Shape
    slices: tuple[tuple[str, Index | None], ...]
    chains: tuple[tuple[str, Chain], ...]
    encoding: Tensor


class Supernet(nn.Module):
    """The shared weights of a space.

    `shared` maps each parameter's name to its one tensor, `roles` to what it is for. A subnet takes leading slices
    of every axis, except along the spatial axes of convolution kernels (axes from 2 on), where it takes the centre.

    The settings add tensors to `shared`. With kernel transformation, `NAME@3x3` is the matrix that makes the kernel
    NAME of that size; no axis of it is a channel. With experts, each weight of two axes or more is not there under
    its own name: `NAME@expert0`, `NAME@expert1`, ... have the axes and the size of NAME, and `stored(NAME)` gives
    the tensors that hold NAME either way; the router's tensors begin with `@router`.

    Args:
        space: what can be built.
        seed: of the first values.
        settings: what is held beside plain tensors; by default nothing.
        genotypes: (n, d) to hold what these networks need and no more, such as a single one that is trained
            alone; by default the whole space.

    Raises:
        GraphError: the space uses one name for tensors of different rank or role.
        ValueError: the settings ask for kernel transformation, and every kernel has one size.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        *,
        settings: SupernetSettings | None = None,
        genotypes: Population | None = None,
    ) -> None:
        super().__init__()
        if genotypes is None:
            genotypes = covering_genotypes(space, np.random.default_rng(seed))
        self.space = space
        self.settings = SupernetSettings() if settings is None else settings
        self.shared: dict[str, nn.Parameter] = {}
        self.roles: dict[str, Role] = {}
        self._tensors = nn.Module()
        self._shapes: dict[str, Shape] = {}
        self._kernels: set[str] = set()
        self._chains: dict[str, dict[Shape, Chain]] = {}
        self._routed: dict[str, int] = {}  # the router's row for each weight that has experts
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in shared_parameters(space, genotypes).items():
            self._shapes[name] = parameter.shape
            if parameter.op == "Conv":
                self._kernels.add(name)
            self._add_parameter(name, parameter, generator)
            if self.settings.kernel_transformation and parameter.op == "Conv":
                self._add_matrices(name, parameter)
        if self.settings.kernel_transformation and not any(self._chains.values()):
            raise ValueError(
                f"kernel_transformation has nothing to transform: no network of space {space.name!r} takes a smaller "
                "kernel where another takes a larger one; leave it out"
            )
        if self._routed:
            features = space.encode(genotypes[:1]).shape[1]
            first = first_router(features, len(self._routed), self.settings.experts, generator)
            for name, value in zip(ROUTER, first, strict=True):
                self._add(name, "bias" if value.dim() == 1 else "weight", value)
        self._subnets: OrderedDict[tuple[bytes, torch.device], Subnet] = OrderedDict()

    @property
    def device(self) -> torch.device:
        """Where the shared weights live."""
        return next(iter(self.shared.values())).device

    def stored(self, name: str) -> tuple[nn.Parameter, ...]:
        """The tensors that hold a parameter of the space: one, or one for each expert, all with the same axes."""
        if name in self._routed:
            return tuple([self.shared[expert_name(name, expert)] for expert in range(self.settings.experts)])
        return (self.shared[name],)

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
        subnet = self.plan(self.space.graph(genotype), self.space.encode(genotype[None])[0])
        self._subnets[key] = subnet
        if len(self._subnets) > CACHED_SUBNETS:
            self._subnets.popitem(last=False)
        return subnet

    def plan(
        self,
        graph: Graph,
        encoding: NDArray[np.float32],
        still: Collection[str] = frozenset(),
        again: Sequence[Collection[str]] = (),
    ) -> Subnet:
        """Any graph of the space made ready to run with the shared weights.

        Args:
            graph: the network.
            encoding: (features,) of its decisions, for the router where there are experts.
            still: names of nodes that run without gradients.
            again: groups of names of nodes that are computed again in the backward pass.

        Raises:
            ValueError: it needs a larger tensor than there is.
        """
        slices, transformed = [], []
        for name, value in graph.parameters.items():
            if value.trainable:
                chain = self._chain(name, value.shape)
                slices.append((name, self._index(name, value.shape, chain)))
                if chain:
                    transformed.append((name, chain))
        plan, features = (
            TorchGraph(graph, self.device, still=still, again=again),
            torch.from_numpy(encoding).to(self.device),
        )
        return Subnet(plan, graph.inputs[0].shape, tuple(slices), tuple(transformed), features)

    def run(self, subnet: Subnet, x: Tensor, *others: Tensor, replaced: Mapping[str, Tensor] | None = None) -> Tensor:
        """The output of a planned network, with the statistics of the batch.

        Args:
            subnet: as `plan` makes it.
            x: its first input, as for `forward`.
            others: its inputs behind the first.
            replaced: tensors in place of shared ones of the same size, by name.
        """
        return self._run(subnet, self._weights(subnet, replaced), x, "batch", *others)

    def centred(self, name: str, axis: int) -> bool:
        """Whether networks take the centre of a shared tensor along an axis, and not the leading entries."""
        return axis >= 2 and name in self._kernels

    def weights(self, genotype: Genotype) -> dict[str, Tensor]:
        """The learned tensors of a subnet by name; gradients flow back to the shared ones.

        They are views of the shared ones, but for weights that are mixed of experts and kernels that are transformed.
        """
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

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move every tensor; on some devices the parameters are new ones then."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.shared = {name: self._tensors.get_parameter(_registered(name)) for name in self.shared}
        return self

    def _add(self, name: str, role: Role, value: Tensor) -> None:
        self.shared[name], self.roles[name] = nn.Parameter(value), role
        self._tensors.register_parameter(_registered(name), self.shared[name])

    def _add_parameter(self, name: str, parameter: SharedParameter, generator: torch.Generator) -> None:
        experts = self.settings.experts
        if experts == 1 or parameter.role != "weight" or len(parameter.shape) < 2:
            self._add(name, parameter.role, initial_value(parameter, generator))
            return
        self._routed[name] = len(self._routed)
        values = first_experts([initial_value(parameter, generator) for _ in range(experts)])
        for expert, value in enumerate(values):
            self._add(expert_name(name, expert), parameter.role, value)

    def _add_matrices(self, name: str, parameter: SharedParameter) -> None:
        self._chains[name] = chains(name, parameter.shape[2:], [shape[2:] for shape in parameter.shapes])
        for chain in self._chains[name].values():
            matrix, size = chain[-1]
            self._add(matrix, "scale", first_matrix(size))  # the role without weight decay, which would pull it to zero

    def _weights(self, subnet: Subnet, replaced: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        shared: Mapping[str, Tensor] = {**self.shared, **replaced} if replaced else self.shared
        routed = self._routed
        weights = {name: _part(shared[name], index) for name, index in subnet.slices if name not in routed}
        if routed:
            shares = route(subnet.encoding, [shared[name] for name in ROUTER], self.settings.experts)
            for name, index in subnet.slices:
                if name in routed:
                    weights[name] = mix([_part(expert, index) for expert in self.stored(name)], shares[routed[name]])
        for name, chain in subnet.chains:
            weights[name] = transform(weights[name], chain, shared)
        return weights

    def _run(
        self, subnet: Subnet, tensors: Mapping[str, Tensor], x: Tensor, batch_norm: BatchNorm, *others: Tensor
    ) -> Tensor:
        return subnet.plan.run(tensors, [_fitted(x, subnet.input_shape), *others], batch_norm=batch_norm)[0]

    def _chain(self, name: str, shape: Shape) -> Chain:
        """The transformations of a kernel of this shape."""
        if name not in self._chains or shape[2:] == self._shapes[name][2:]:
            return ()
        chain = self._chains[name].get(shape[2:])
        if chain is None:
            known = ", ".join(map(str, self._chains[name]))
            raise ValueError(
                f"the network needs a kernel {name!r} of {shape[2:]} and the supernet of space {self.space.name!r} "
                f"has transformations to {known}: the size depends on decisions in a way that no option alone shows"
            )
        return chain

    def _index(self, name: str, shape: Shape, chain: Chain) -> Index | None:
        """Which part of a shared tensor a subnet of this shape uses, or its `chain` begins with; None for all of it."""
        full = self._shapes.get(name, ())
        if len(full) != len(shape) or any(size > available for size, available in zip(shape, full, strict=True)):
            raise ValueError(
                f"the network needs {name!r} of {shape} and the supernet of space {self.space.name!r} holds "
                f"{full or 'none'}: the size depends on several decisions in a way that no option alone shows"
            )
        if chain:
            shape = (*shape[:2], *chain[0][1])
        if full == shape:
            return None
        starts = [(full[axis] - size) // 2 if self.centred(name, axis) else 0 for axis, size in enumerate(shape)]
        index = [slice(start, start + size) for start, size in zip(starts, shape, strict=True)]
        while full[len(index) - 1] == shape[len(index) - 1]:
            index.pop()  # trailing axes that are whole need no slice
        return tuple(index)


def _registered(name: str) -> str:
    """The name under which torch, which forbids the dot, knows a tensor."""
    return name.replace(".", "/")


def _part(tensor: Tensor, index: Index | None) -> Tensor:
    return tensor if index is None else tensor[index]


def _fitted(x: Tensor, shape: Shape) -> Tensor:
    """Inputs as a network of input `shape` takes them; images are resized."""
    if x.shape[1:] == shape[1:]:
        return x
    if x.dim() == 4 and len(shape) == 4 and x.shape[1] == shape[1]:
        return resize(x, shape[2], shape[3])
    raise ValueError(f"the network takes inputs of (N, {', '.join(map(str, shape[1:]))}), got {tuple(x.shape)}")
