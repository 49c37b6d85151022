"""Which layers gain by 8-bit integers: the same network in both formats, layer by layer.

ONNX Runtime names what it fuses after the node or the value that it ends with, so most operators of both can be led
back to a node of the original network. Conversions between formats count for the layer whose value they convert.
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
        name: of the node.
        op: its operator.
        fp32_ms: of all that it became in 32-bit floats; 0 where it was fused into another layer.
        int8_ms: the same in 8-bit integers.
    """

    name: str
    op: str
    fp32_ms: float
    int8_ms: float

    @property
    def speedup(self) -> float | None:
        """How many times faster it is in integers; None where it takes no time of its own."""
        return self.fp32_ms / self.int8_ms if self.fp32_ms and self.int8_ms else None


def compare(model: ModelProto, floats: Sequence[LayerTime], integers: Sequence[LayerTime]) -> list[Comparison]:
    """Layers that take time in either format, in the order of the network; what belongs to none comes last.

    Args:
        model: the network in 32-bit floats, as it was given.
        floats: what its layers take.
        integers: the same of the quantised one.
    """
    ops = {node.name: node.op_type for node in model.graph.node if node.name}
    makers = {value: node.name for node in model.graph.node for value in node.output}
    sums: list[dict[str, float]] = [{}, {}]
    for found, layers in zip(sums, (floats, integers), strict=True):
        for layer in layers:
            name = _origin(layer.name, ops, makers)
            found[name] = found.get(name, 0.0) + layer.latency_ms
    names = [name for name in (*ops, BETWEEN) if name in sums[0] or name in sums[1]]
    return [Comparison(name, ops.get(name, ""), sums[0].get(name, 0.0), sums[1].get(name, 0.0)) for name in names]


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
