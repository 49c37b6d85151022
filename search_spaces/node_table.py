"""A network as a table with a row for each operator that runs: what predictors know of any network from any source."""

import math
from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces.costs.static import work
from search_spaces.folding import fold
from search_spaces.graph import Graph, Node, Shape

COLUMNS = (
    "kernel",
    "stride",
    "groups",
    "input_channels",
    "output_channels",
    "places",
    "input_values",
    "output_values",
    "parameter_values",
    "macs",
    "bytes_moved",
    "position",
    "fusable",
)
"""Area of the kernel, stride of one axis, groups, channels, output values of one channel, values that are read, that
are written, and that are parameters or constants, MACs, bytes moved, the place in the order from 0 to 1, and whether a
runtime may run the node with the one before: it works value by value, spreads nothing over other axes, and alone reads
what a product makes."""
PRODUCTS = frozenset({"Conv", "Gemm", "MatMul"})
VALUE_BY_VALUE = frozenset(
    {"Add", "BatchNormalization", "Clip", "Elu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mul", "Relu"}
    | {"Sigmoid", "Softplus", "Swish", "Tanh"}
)


class NodeTable(NamedTuple):
    """The k operators of a network in their order.

    Attributes:
        operators: (k,) names of ONNX operators.
        numbers: (k, 13), the columns of `COLUMNS`.
    """

    operators: NDArray[np.str_]
    numbers: NDArray[np.float64]


def node_table(graph: Graph) -> NodeTable:
    """The table of a graph as it is deployed: without dead nodes and identities, batch norm folded."""
    steps = fold(graph)
    shapes = {name: value.shape for name, value in graph.values.items()}
    counts = {name: math.prod(shape) for name, shape in shapes.items()}
    stored = graph.parameters.keys() | graph.constants.keys()
    readers = Counter(name for node, _ in steps for name in node.inputs)
    readers.update(value.name for value in graph.outputs)
    products: set[str] = set()
    rows = []
    last = max(len(steps) - 1, 1)
    for place, (step, (macs, moved)) in enumerate(zip(steps, work(graph, steps), strict=True)):
        node = step.node
        computed, kept = [], 0
        for name in node.inputs:
            if name in stored:
                kept += counts[name]
            elif name:
                computed.append(name)
        outputs = step.outputs
        made = shapes[outputs[0]]
        read = shapes[computed[0]] if computed else (1,)
        fusable = (
            node.op in VALUE_BY_VALUE
            and any(name in products and readers[name] == 1 for name in computed)
            and all(shapes[name] == made for name in computed)
        )
        if node.op in PRODUCTS or fusable:
            products.update(outputs)
        kernel, stride = _window(node)
        channels = _channels(made)
        rows.append(
            (
                kernel,
                stride,
                node.attributes.get("group", 1) if node.op == "Conv" else 1,
                _channels(read),
                channels,
                counts[outputs[0]] / max(channels, 1),
                sum([counts[name] for name in computed]),
                sum([counts[name] for name in outputs]),
                kept,
                macs,
                moved,
                place / last,
                fusable,
            )
        )
    operators = np.array([step.node.op for step in steps], np.str_)
    return NodeTable(operators, np.array(rows, np.float64).reshape(-1, len(COLUMNS)))


def _window(node: Node) -> tuple[int, int]:
    """Area of the kernel, and the stride of the first axis."""
    kernel, strides = node.attributes.get("kernel_shape"), node.attributes.get("strides")
    return math.prod(kernel) if kernel else 1, strides[0] if strides else 1


def _channels(shape: Shape) -> int:
    """The second axis of images, the last one of everything else."""
    return shape[1] if len(shape) == 4 else shape[-1] if shape else 1
