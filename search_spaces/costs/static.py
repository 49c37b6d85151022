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
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces.folding import Step, fold
from search_spaces.graph import Graph, Node
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
    columns = zip(work(graph, steps, sizes), _params(graph, steps, sizes), _alive(graph, steps, sizes), strict=True)
    rows = [(macs, params, alive, moved) for (macs, moved), params, alive in columns]
    return [step.node.name for step in steps], np.array(rows, np.int64).reshape(-1, len(METRICS))


def work(graph: Graph, steps: Sequence[Step], sizes: Mapping[str, int] | None = None) -> list[tuple[int, int]]:
    """MACs and bytes moved of each step of a deployed network.

    Args:
        graph: the network.
        steps: what `fold` makes of it.
        sizes: bytes of its values, where they are known.
    """
    sizes = _Bytes(graph) if sizes is None else sizes
    values = graph.values
    found = []
    for node, norms in steps:
        operator = OPERATORS.get(node.op)
        macs = 0
        if operator is not None and operator.has_macs:
            shapes = [values[name].shape if name else None for name in node.inputs]
            macs = operator.macs(node.attributes, shapes, [values[name].shape for name in node.outputs])
        found.append((macs, 0 if node.op in _VIEWS else _moved(node, norms, sizes)))
    return found


def _params(graph: Graph, steps: Sequence[Step], sizes: Mapping[str, int]) -> list[int]:
    """Trainable numbers that each step is the first to read."""
    parameters = graph.parameters
    seen: set[str] = set()
    found = []
    for node, norms in steps:
        params = 0
        for name in (*node.inputs, *[name for norm in norms for name in norm.inputs]) if norms else node.inputs:
            if name in parameters and name not in seen:
                seen.add(name)
                if parameters[name].trainable:
                    params += sizes[name] // 4
        found.append(params)
    return found


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


def _moved(node: Node, norms: tuple[Node, ...], sizes: Mapping[str, int]) -> int:
    """What a node that is no view reads and writes."""
    total = 0
    for name in norms[-1].outputs if norms else node.outputs:
        total += sizes[name]
    reads = node.inputs
    if node.op in _PARTIAL:
        total += min(total - sizes[reads[0]], 0)
    for name in set(reads) if len(reads) > 1 else reads:
        total += sizes[name]
    if norms and len(reads) < 3:
        total += sizes[norms[0].inputs[2]]  # folding gives the node a bias
    return total


def _alive(graph: Graph, steps: Sequence[Step], sizes: Mapping[str, int]) -> list[int]:
    """Bytes of activations alive while each step runs."""
    owner: dict[str, str] = {}  # of a view, the value whose memory it is
    last: dict[str, int] = {}
    made = []
    for place, (node, norms) in enumerate(steps):
        for name in node.inputs:
            last[owner.get(name, name)] = place
        size = 0
        for name in norms[-1].outputs if norms else node.outputs:
            if node.op in _VIEWS:
                source = node.inputs[0]
                owner[name] = owner.get(source, source)
            else:
                last[name] = place
                size += sizes[name]
        made.append(size)
    for value in graph.outputs:
        last[owner.get(value.name, value.name)] = len(steps)
    freed = [0] * (len(steps) + 1)
    for name, place in last.items():
        if name not in graph.parameters and name not in graph.constants:
            freed[place] += sizes[name]
    now = sum(sizes[value.name] for value in graph.inputs if value.name in last)
    alive = []
    for size, gone in zip(made, freed, strict=False):
        now += size
        alive.append(now)
        now -= gone
    return alive
