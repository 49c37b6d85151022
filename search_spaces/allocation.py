"""What a supernet must hold: every parameter of a space at its largest size, and its first values."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from search_spaces.decision import Option
from search_spaces.graph import Graph, GraphError, Role, Shape
from search_spaces.space import Genotype, Population, SearchSpace


@dataclass(frozen=True, slots=True)
class SharedParameter:
    """A parameter of a space at its largest, and the operator and input place that reads it."""

    shape: Shape
    role: Role
    op: str
    place: int
    transposed: bool


def covering_genotypes(space: SearchSpace, rng: np.random.Generator, *, random: int = 16) -> Population:
    """Genotypes that between them use every option of every decision, (n, d), distinct and canonical.

    Each option is tried with all other decisions as in the largest network, and with the decisions that it
    depends on set so that it matters; `random` genotypes are added.
    """
    largest = space.largest()
    rows = [largest]
    for column, decision in enumerate(space.decisions):
        for option in range(len(decision.options)):
            row = largest.copy()
            row[column] = option
            _activate(space, row, column)
            rows.append(row)
    population = np.concatenate([np.stack(rows), space.sample(random, rng)])
    return np.unique(space.canonical(population), axis=0)


def _activate(space: SearchSpace, row: Genotype, column: int) -> None:
    """Change the ancestors of a decision, in place, so that it is active."""
    allowed: dict[str, set[Option]] = {}
    for condition in space.decisions[column].active:
        options = set(condition.options)
        allowed[condition.decision] = allowed.get(condition.decision, options) & options
    for name, options in allowed.items():
        parent = space.names.index(name)
        candidates = space.decisions[parent].options
        if candidates[row[parent]] not in options:
            row[parent] = max(index for index, option in enumerate(candidates) if option in options)
        _activate(space, row, parent)


def shared_parameters(space: SearchSpace, genotypes: Population) -> dict[str, SharedParameter]:
    """The learned parameters of some networks by name, in order of names, each as large as any of them needs it.

    Raises:
        GraphError: a name stands for tensors of different rank or role in different networks.
    """
    found: dict[str, SharedParameter] = {}
    for genotype in genotypes:
        for name, parameter in _parameters(space.graph(genotype)).items():
            known = found.get(name)
            if known is None:
                found[name] = parameter
            elif known.role != parameter.role or len(known.shape) != len(parameter.shape):
                raise GraphError(
                    f"parameter {name!r} of space {space.name!r} is {known.shape} {known.role} in one network and "
                    f"{parameter.shape} {parameter.role} in another; shared names need one rank and role"
                )
            elif known.shape != parameter.shape:
                shape = tuple(map(max, known.shape, parameter.shape))
                found[name] = SharedParameter(shape, known.role, known.op, known.place, known.transposed)
    return {name: found[name] for name in sorted(found)}


def _parameters(graph: Graph) -> dict[str, SharedParameter]:
    found = {}
    for node in graph.nodes:
        for place, name in enumerate(node.inputs):
            value = graph.parameters.get(name)
            if value is not None and value.trainable and name not in found:
                transposed = bool(node.attributes.get("transB", 0))
                found[name] = SharedParameter(value.shape, value.role, node.op, place, transposed)
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
