"""What an ONNX file is, from its graph alone: shapes, costs, and the operators that it is made of."""

from typing import Any

from search_spaces.costs.static import METRICS, combine, node_costs
from search_spaces.folding import Step, fold
from search_spaces.graph import Graph, Value
from search_spaces.interchange.onnx_reader import OnnxModel

EACH = ("macs", "params", "bytes_moved")
"""Metrics that are sums over nodes."""


def summarise(model: OnnxModel) -> dict[str, Any]:
    """A model as plain JSON-able values; shapes and costs are those of one sample.

    Returns:
        `name`, `inputs` and `outputs` (each `{name, shape, dtype}`), `costs` (every metric of `costs.METRICS`),
        `operators` (each `{op, nodes, macs, params, bytes_moved}`, the most expensive first), `nodes` (each `{name, op,
        inputs, outputs, macs, params, bytes_moved}` with the shapes that it reads and makes, without those that no
        output depends on), `unknown` (operators outside the
        vocabulary, with the names of the nodes that use them; their MACs count as 0) and `metadata`.
    """
    graph = model.graph
    _, rows = node_costs(graph)
    nodes = [_node(graph, step, row) for step, row in zip(fold(graph), rows.tolist(), strict=True)]
    return {
        "name": graph.name,
        "inputs": [_value(value) for value in graph.inputs],
        "outputs": [_value(value) for value in graph.outputs],
        "costs": dict(zip(METRICS, combine(rows).tolist(), strict=True)),
        "operators": _operators(nodes),
        "nodes": nodes,
        "unknown": graph.foreign(),
        "metadata": model.metadata,
    }


def _node(graph: Graph, step: Step, row: list[int]) -> dict[str, Any]:
    found = dict(zip(METRICS, row, strict=True))
    read = [name for name in step.node.inputs if name]
    return {
        "name": step.node.name,
        "op": step.node.op,
        "inputs": [list(graph.values[name].shape) for name in read],
        "outputs": [list(graph.values[name].shape) for name in step.outputs],
        **{metric: found[metric] for metric in EACH},
    }


def _operators(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The nodes summed by operator."""
    found: dict[str, dict[str, Any]] = {}
    for node in nodes:
        total = found.setdefault(node["op"], {"op": node["op"], "nodes": 0, **dict.fromkeys(EACH, 0)})
        total["nodes"] += 1
        for metric in EACH:
            total[metric] += node[metric]
    return sorted(found.values(), key=lambda total: [-total[metric] for metric in EACH])


def _value(value: Value) -> dict[str, Any]:
    return {"name": value.name, "shape": list(value.shape), "dtype": value.dtype}
