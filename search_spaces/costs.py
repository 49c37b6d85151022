"""Static costs of a network: what it computes, holds and moves, from shapes alone.

All are those of the network as it is deployed in single precision for one sample: batch normalisation is folded
into the operator before it where that is possible, and what no output depends on is not there.

- `macs`: multiplications that are added up in `Conv`, `Gemm` and `MatMul`.
- `params`: trainable numbers as PyTorch counts them, so with the scale and bias of batch norm and without its
  statistics; a tensor that is shared counts once.
- `peak_activation_bytes`: the most bytes of inputs, outputs and intermediate values that are alive at once when
  the nodes run in their order; views (`Reshape`, `Flatten`) share their source.
- `bytes_moved`: what every operator reads and writes, parameters and constants included; views move nothing.
"""

import math
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from search_spaces.folding import Step, fold
from search_spaces.graph import Graph
from search_spaces.operators import OPERATORS

METRICS = ("macs", "params", "peak_activation_bytes", "bytes_moved")
ADDITIVE = (True, True, False, True)
"""For each metric whether a network's value is the sum over its nodes; it is the maximum otherwise."""

_VIEWS = frozenset(name for name, operator in OPERATORS.items() if operator.alias)
_PARTIAL = ("Gather", "Slice")
"""Operators that read no more of their first input than they write."""


def costs(graph: Graph, *, dead: bool = False) -> dict[str, float]:
    """The metrics of a network.

    Args:
        graph: the network.
        dead: count nodes that no output depends on as well, as published tables of cell spaces do.
    """
    _, rows = node_costs(graph, dead=dead)
    return {metric: float(value) for metric, value in zip(METRICS, combine(rows), strict=True)}


def combine(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The (4,) metrics of a network from the (k, 4) rows of its nodes."""
    if not len(rows):
        return np.zeros(len(METRICS), np.int64)
    total: NDArray[np.int64] = rows.sum(axis=0)
    np.copyto(total, rows.max(axis=0), where=np.logical_not(ADDITIVE))
    return total


def node_costs(graph: Graph, *, dead: bool = False) -> tuple[list[str], NDArray[np.int64]]:
    """Names of the k deployed nodes and a (k, 4) array of what each contributes to `METRICS`.

    In the column of `peak_activation_bytes` stands what is alive while the node runs. A batch norm that is folded
    is counted with the node that takes it.
    """
    steps = fold(graph, dead=dead)
    sizes = _Bytes(graph)
    seen: set[str] = set()
    rows = [
        (_macs(graph, step), _params(graph, step, sizes, seen), alive, _moved(step, sizes))
        for step, alive in zip(steps, _alive(graph, steps, sizes), strict=True)
    ]
    return [step.node.name for step in steps], np.array(rows, np.int64).reshape(-1, len(METRICS))


class _Bytes(dict[str, int]):
    """The size of each value of a graph, found when it is first asked for."""

    def __init__(self, graph: Graph) -> None:
        self.values_of_graph = graph.values
        self[""] = 0

    def __missing__(self, name: str) -> int:
        value = self.values_of_graph[name]
        item = 4 if value.dtype == "float32" else np.dtype(value.dtype).itemsize
        self[name] = size = math.prod(value.shape) * item
        return size


def _macs(graph: Graph, step: Step) -> int:
    node = step.node
    operator = OPERATORS.get(node.op)
    if operator is None or not operator.has_macs:
        return 0
    values = graph.values
    inputs = [values[name].shape if name else None for name in node.inputs]
    return operator.macs(node.attributes, inputs, [values[name].shape for name in node.outputs])


def _params(graph: Graph, step: Step, sizes: _Bytes, seen: set[str]) -> int:
    """Trainable numbers that the step reads first; `seen` collects the names."""
    count = 0
    for name in chain(step.node.inputs, *[norm.inputs for norm in step.norms]):
        parameter = graph.parameters.get(name)
        if parameter is not None and parameter.trainable and name not in seen:
            seen.add(name)
            count += sizes[name] // 4
    return count


def _moved(step: Step, sizes: _Bytes) -> int:
    node = step.node
    if node.op in _VIEWS:
        return 0
    written = sum([sizes[name] for name in step.outputs])
    read = sum([sizes[name] for name in set(node.inputs)])
    if node.op in _PARTIAL:
        read += min(written - sizes[node.inputs[0]], 0)
    if step.norms and len(node.inputs) < 3:
        read += sizes[step.norms[0].inputs[2]]  # folding gives the node a bias
    return written + read


def _alive(graph: Graph, steps: list[Step], sizes: _Bytes) -> list[int]:
    """Bytes of activations alive while each step runs."""
    owner: dict[str, str] = {}  # of a view, the value whose memory it is
    last: dict[str, int] = {}
    for place, step in enumerate(steps):
        for name in step.node.inputs:
            last[owner.get(name, name)] = place
        for name in step.outputs:
            if step.node.op in _VIEWS:
                source = step.node.inputs[0]
                owner[name] = owner.get(source, source)
            else:
                last[name] = place
    for value in graph.outputs:
        last[owner.get(value.name, value.name)] = len(steps)
    freed = [0] * (len(steps) + 1)
    for name, place in last.items():
        if name not in graph.parameters and name not in graph.constants:
            freed[place] += sizes[name]
    now = sum(sizes[value.name] for value in graph.inputs if value.name in last)
    alive = []
    for step, gone in zip(steps, freed, strict=False):
        if step.node.op not in _VIEWS:
            now += sum([sizes[name] for name in step.outputs])
        alive.append(now)
        now -= gone
    return alive
