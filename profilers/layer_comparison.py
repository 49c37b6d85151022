"""Which layers gain by 8-bit integers: the same network in both formats, layer by layer.

ONNX Runtime names what it fuses after the node or the value that it ends with, so most operators of both can be led
back to a node of the original network. Conversions between formats count for the layer whose value they convert. The
two formats are not fused alike: nodes that are one operator in either of them are one layer here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from onnx import ModelProto

from profilers.layer_timing import LayerTime

_ADDED = re.compile(r"(_nchwc|_token_\d+|_quant|_QuantizeLinear(_\d+)?|_DequantizeLinear(_\d+)?)$")

BETWEEN = "(between layers)"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A layer of the original network, or what belongs to none.

    Attributes:
        name: of its first node; of a node without one, the value that it makes.
        op: its operators, joined by `+`.
        fp32_ms: of all that it became in 32-bit floats.
        int8_ms: the same in 8-bit integers.
    """

    name: str
    op: str
    fp32_ms: float
    int8_ms: float

    @property
    def speedup(self) -> float | None:
        """How many times faster it is in integers; None where it takes no time in one of the formats."""
        return self.fp32_ms / self.int8_ms if self.fp32_ms and self.int8_ms else None


def compare(model: ModelProto, floats: Sequence[LayerTime], integers: Sequence[LayerTime]) -> list[Comparison]:
    """Layers that take time in either format, in the order of the network; what belongs to none comes last.

    Args:
        model: the network in 32-bit floats, as it was given.
        floats: what its layers take.
        integers: the same of the quantised one.
    """
    names = [node.name or node.output[0] for node in model.graph.node]
    ops = {name: node.op_type for name, node in zip(names, model.graph.node, strict=True)}
    makers = {value: name for name, node in zip(names, model.graph.node, strict=True) for value in node.output}
    times = {name: [0.0, 0.0] for name in (*names, BETWEEN)}
    for place, layers in enumerate((floats, integers)):
        for layer in layers:
            times[_origin(layer.name, ops, makers)][place] += layer.latency_ms
    weights = {tensor.name for tensor in model.graph.initializer}
    order = {name: place for place, name in enumerate(names)}
    layers_of: dict[str, list[str]] = {}  # first node -> all that are one layer with it
    first: dict[str, str] = {}
    for name, node in zip(names, model.graph.node, strict=True):
        before = max((makers[value] for value in node.input if value in makers), key=order.__getitem__, default=name)
        head = first.get(before, name)
        if weights.intersection(node.input) or not (0.0 in times[name] or 0.0 in times[head]):
            head = name  # with weights of its own, or with a time of its own in both formats: it begins a layer
        first[name] = head
        layers_of.setdefault(head, []).append(name)
        if head != name:
            times[head] = [sum(pair) for pair in zip(times[head], times[name], strict=True)]
    return [
        Comparison(name, "+".join(ops[part] for part in parts), *times[name])
        for name, parts in (*layers_of.items(), (BETWEEN, []))
        if any(times[name])
    ]


def _origin(name: str, ops: dict[str, str], makers: dict[str, str]) -> str:
    """The node of the original network that an operator came from."""
    while name:
        if name in ops:
            return name
        if name in makers:
            return makers[name]
        shorter = _ADDED.sub("", name)
        if shorter == name:
            break
        name = shorter
    return BETWEEN
