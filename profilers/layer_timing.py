"""What each operator of a network takes, as ONNX Runtime runs it: after it fused what it could."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, helper

TRACE_BYTES = 256 << 20
"""Largest trace that ONNX Runtime may write, of all runs and operators together."""

_SUFFIX = "_kernel_time"
_PLAIN = {
    AttributeProto.FLOAT,
    AttributeProto.INT,
    AttributeProto.STRING,
    AttributeProto.FLOATS,
    AttributeProto.INTS,
    AttributeProto.STRINGS,
}


@dataclass(frozen=True, slots=True)
class LayerTime:
    """One operator of the graph that is left after fusion.

    Attributes:
        name: of the node; fused nodes are named by what they begin or end with, new ones by their operator.
        op: the operator, with its domain where it is not ONNX's.
        signature: operator, attributes, types and shapes; layers with the same one do the same work.
        latency_ms: interquartile mean over the runs.
        provider: the execution provider that ran it.
    """

    name: str
    op: str
    signature: str
    latency_ms: float
    provider: str


def read_trace(trace: Path, optimised: ModelProto, skip: int) -> tuple[LayerTime, ...]:
    """The layers of a trace that ONNX Runtime wrote, in the order in which they ran.

    Args:
        trace: the JSON file.
        optimised: the graph that was run.
        skip: runs at the beginning that do not count.
    """
    nodes = {node.name: node for node in optimised.graph.node if node.name}
    events: dict[str, list[dict[str, Any]]] = {}
    for event in json.loads(trace.read_bytes()):
        if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX):
            events.setdefault(event["args"]["node_index"], []).append(event)
    return tuple(_layer(runs[0], nodes, [event["dur"] for event in runs[skip:]]) for runs in events.values())


def _layer(event: dict[str, Any], nodes: dict[str, NodeProto], microseconds: list[int]) -> LayerTime:
    name, told = event["name"].removesuffix(_SUFFIX), event["args"]
    node = nodes.get(name)
    domain = "" if node is None or node.domain in ("", "ai.onnx") else f"{node.domain}."
    op = f"{domain}{told['op_name']}"
    given, made = (" ".join(_types(told[key])) for key in ("input_type_shape", "output_type_shape"))
    signature = " ".join([op, *(_attributes(node) if node else ()), given, "->", made])
    return LayerTime(name, op, signature, _interquartile_mean(microseconds) / 1e3, told["provider"])


def _types(values: list[dict[str, list[int]]]) -> Iterator[str]:
    """`float[1,3,32,32]` and the like."""
    for value in values:
        for kind, shape in value.items():
            yield f"{kind}[{','.join(map(str, shape))}]"


def _attributes(node: NodeProto) -> Iterator[str]:
    """Attributes in the order of their names; those that hold tensors or graphs are left out."""
    for attribute in sorted(node.attribute, key=lambda each: each.name):
        if attribute.type in _PLAIN:
            value = helper.get_attribute_value(attribute)
            values = value if isinstance(value, list | tuple) else [value]
            shown = ",".join(each.decode() if isinstance(each, bytes) else f"{each:.9g}" for each in values)
            yield f"{attribute.name}={shown}"


def _interquartile_mean(microseconds: list[int]) -> float:
    """The mean of the middle half: whole microseconds are too coarse for a median."""
    ordered = np.sort(np.array(microseconds, np.float64))
    quarter = ordered.size // 4
    return float(ordered[quarter : ordered.size - quarter].mean())
