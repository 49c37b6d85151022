"""What a supernet must hold: every parameter of a space at its largest size, and its first values."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from search_spaces.graph import Graph, GraphError, Role, Shape
from search_spaces.space import Population, SearchSpace


@dataclass(frozen=True, slots=True)
class SharedParameter:
    """A parameter of a space at its largest, its shapes in single networks, and what reads it: operator and place."""

    shape: Shape
    shapes: frozenset[Shape]
    role: Role
    op: str
    place: int
    transposed: bool


def shared_parameters(space: SearchSpace, genotypes: Population) -> dict[str, SharedParameter]:
    """The learned parameters of some networks by name, in order of names, each as large as any of them needs it.

    Raises:
        GraphError: a name stands for tensors of different rank or role in different networks.
    """
    found: dict[str, SharedParameter] = {}
    for genotype in genotypes:
        for name, parameter in graph_parameters(space.graph(genotype)).items():
            known = found.get(name)
            if known is None:
                found[name] = parameter
            elif known.role != parameter.role or len(known.shape) != len(parameter.shape):
                raise GraphError(
                    f"parameter {name!r} of space {space.name!r} is {known.shape} {known.role} in one network and "
                    f"{parameter.shape} {parameter.role} in another; shared names need one rank and role"
                )
            elif parameter.shape not in known.shapes:
                shape = tuple(map(max, known.shape, parameter.shape))
                found[name] = replace(known, shape=shape, shapes=known.shapes | parameter.shapes)
    return {name: found[name] for name in sorted(found)}


def graph_parameters(graph: Graph) -> dict[str, SharedParameter]:
    """The learned parameters of one network by name."""
    found = {}
    for node in graph.nodes:
        for place, name in enumerate(node.inputs):
            value = graph.parameters.get(name)
            if value is not None and value.trainable and name not in found:
                transposed = bool(node.attributes.get("transB", 0))
                found[name] = SharedParameter(
                    value.shape, frozenset([value.shape]), value.role, node.op, place, transposed
                )
    return found


def initial_value(parameter: SharedParameter, generator: torch.Generator) -> Tensor:
    """First values by role: scales 1, biases 0, weights normal.

    Weights of convolutions get variance 2 / fan-in (He et al., arXiv 1502.01852), those of `Gemm` and `MatMul`
    1 / fan-in, and others, such as embeddings, a deviation of 0.02. The fan-in is that of the largest network.
    """
    shape = parameter.shape
    if parameter.role == "scale":
        return torch.ones(shape)
    if parameter.role == "bias":
        return torch.zeros(shape)
    deviation = 0.02
    if parameter.op == "Conv":
        deviation = math.sqrt(2 / math.prod(shape[1:]))
    elif parameter.op in ("Gemm", "MatMul") and len(shape) > 1:
        inner = -1 if (parameter.op == "Gemm") == parameter.transposed or parameter.place == 0 else -2
        deviation = math.sqrt(1 / shape[inner])
    return torch.randn(shape, generator=generator) * deviation
