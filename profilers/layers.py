"""What a network asks of hardware, layer by layer: matrix products, operations on values, and values moved.

A layer is one operator together with what ONNX Runtime fuses into it at its level "extended": batch normalisation and
an activation after `Conv` and `Gemm`, and the bias after a `MatMul` with a constant matrix. What depends on constants
and shapes alone is computed once and not here; views (`Reshape`, `Flatten`, ...) move nothing.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from onnx import GraphProto, NodeProto, helper

from profilers.errors import ModelRefused

Shape = tuple[int, ...]

CONV_ACTIVATIONS = ("Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid", "Clip")
GEMM_ACTIVATIONS = (
    *("Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid"),
    *("Elu", "Selu", "Softplus", "Softsign", "ThresholdedRelu"),
)
FUSED = {"Conv": CONV_ACTIVATIONS, "Gemm": GEMM_ACTIVATIONS}
"""Activations that ONNX Runtime's CPU provider computes in the operator before them."""

PRODUCTS = ("Conv", "Gemm", "MatMul")
VIEWS = ("Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")
SHAPES = ("Shape", "Size")
PARTIAL = ("Gather", "GatherElements", "GatherND", "Slice")
"""Operators that read no more of their first input than they write."""

MOVES = (
    *("Cast", "Concat", "ConstantOfShape", "DepthToSpace", "Expand", "Pad", "Resize", "SpaceToDepth", "Split", "Tile"),
    *("Transpose", *PARTIAL),
)
ELEMENTWISE = (
    *("Abs", "Add", "And", "Ceil", "Celu", "Clip", "Cos", "Div", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu"),
    *(
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "HardSwish",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "Max",
        "Mean",
    ),
    *(
        "Min",
        "Mish",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "PRelu",
        "Pow",
        "Reciprocal",
        "Relu",
        "Round",
        "Selu",
        "Sigmoid",
    ),
    *("Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tanh", "ThresholdedRelu", "Where", "Xor"),
    *("BatchNormalization", "CumSum"),
)
REDUCTIONS = (
    *("ArgMax", "ArgMin", "GlobalAveragePool", "GlobalMaxPool", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax"),
    *("ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"),
)
POOLS = ("AveragePool", "LpPool", "MaxPool")
NORMALISATIONS = (
    *("GroupNormalization", "InstanceNormalization", "LayerNormalization", "LogSoftmax", "LpNormalization"),
    *("MeanVarianceNormalization", "RMSNormalization", "Softmax"),
)
NORMALISATION_PASSES = 3
"""Over the input: two that reduce it and one that scales it."""


@dataclass(frozen=True, slots=True)
class Product:
    """`groups` products of an (m, k) and a (k, n) matrix, one after the other.

    A `Conv` is one by im2col: m output places, k weights of a filter, n filters of a group, so a depthwise one has as
    many groups as channels and one filter in each (Samajdar et al., SCALE-Sim, arXiv 1811.02883).
    """

    groups: int
    m: int
    k: int
    n: int

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        return self.groups * self.m * self.k * self.n


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator and what is fused into it.

    Attributes:
        name: of the node, or of its first output where the node has none.
        op: its operator, and those that are fused: `Conv+Relu`.
        product: what it multiplies; None for an operator that does not.
        operations: on single values; those of fused operators are free.
        input_values: distinct values that are read, but for those of `weight_values`.
        weight_values: values of the right-hand matrix, whether it is stored or computed, and of the bias.
        output_values: values that are written.
    """

    name: str
    op: str
    product: Product | None
    operations: int
    input_values: int
    weight_values: int
    output_values: int

    @property
    def macs(self) -> int:
        """Multiply-adds; 0 without a product."""
        return self.product.macs if self.product else 0

    @property
    def values(self) -> int:
        """Values that are read and written when each is moved once."""
        return self.input_values + self.weight_values + self.output_values


def layers(graph: GraphProto, shapes: Mapping[str, Shape]) -> list[Layer]:
    """The layers of a graph in its order.

    Args:
        graph: nodes in topological order, as ONNX requires.
        shapes: of every tensor whose shape is known.

    Raises:
        ModelRefused: an operator that is not modelled, or a shape that is not known before the model runs.
    """
    return _Reader(graph, shapes).layers()


@dataclass(slots=True)
class _Open:
    """A layer that what follows may still be fused into."""

    base: str
    ops: list[str]
    layer: Layer
    biased: bool = False


class _Reader:
    """Walks over the nodes of one graph."""

    def __init__(self, graph: GraphProto, shapes: Mapping[str, Shape]) -> None:
        self._shapes = shapes
        self._constants = {tensor.name for tensor in graph.initializer}
        self._constants |= {sparse.values.name for sparse in graph.sparse_initializer}
        self._outputs = {value.name for value in graph.output}
        self._nodes = self._needed(graph)
        self._readers = Counter(name for node in self._nodes for name in set(node.input))
        self._layers: list[_Open] = []
        self._made_by: dict[str, _Open] = {}

    def layers(self) -> list[Layer]:
        """All layers; see `layers` of the module."""
        for node in self._nodes:
            if _operator(node) not in VIEWS and not self._fuse(node):
                self._add(node)
        return [replace(entry.layer, op="+".join(entry.ops)) for entry in self._layers]

    def _needed(self, graph: GraphProto) -> list[NodeProto]:
        """The nodes that an output depends on, without those that have only constants and shapes to go on."""
        wanted = set(self._outputs)
        live = []
        for node in reversed(graph.node):
            if not wanted.isdisjoint(node.output):
                live.append(node)
                wanted.update(node.input)
        nodes = []
        for node in reversed(live):
            op, given = _operator(node), [name for name in node.input if name]
            if op in SHAPES or (op in _FOLDED and self._constants.issuperset(given)):
                self._constants.update(node.output)
            else:
                nodes.append(node)
        return nodes

    def _fuse(self, node: NodeProto) -> bool:
        """Put a node into the layer that it reads, if ONNX Runtime does."""
        sources = [name for name in node.input if name and name not in self._constants]
        before = self._made_by.get(sources[0]) if len(sources) == 1 else None
        if before is None or self._readers[sources[0]] != 1 or sources[0] in self._outputs:
            return False
        op, open_ = _operator(node), before.ops[-1] not in FUSED.get(before.base, ())
        if op == "Add" and before.ops == ["MatMul"]:
            bias = next((name for name in node.input if name in self._constants), "")
            columns = self._shape(sources[0])[-1:]
            if not before.base or self._shape(bias)[-1:] != columns or self._values(bias) != columns[0]:
                return False
            # With more than two axes ONNX Runtime puts a Reshape between the product and what follows.
            before.base = "Gemm" if len(self._shape(sources[0])) == 2 else ""
            self._add_weights(before, columns[0])
        elif op == "BatchNormalization" and before.base in FUSED and open_ and node.input[0] == sources[0]:
            self._add_weights(before, self._values(node.input[2]) if not before.biased else 0)
        elif not (op in FUSED.get(before.base, ()) and open_ and node.input[0] == sources[0]):
            return False
        before.ops.append(op)
        self._made_by[node.output[0]] = before
        return True

    def _add_weights(self, entry: _Open, values: int) -> None:
        """Give a layer a bias that its operator lacked."""
        entry.biased = True
        entry.layer = replace(entry.layer, weight_values=entry.layer.weight_values + values)

    def _add(self, node: NodeProto) -> None:
        """Begin a layer with a node."""
        name = node.name or node.output[0]
        op = _operator(node)
        if op in PRODUCTS:
            entry = self._product(name, node)
        elif op in _OPERATIONS:
            entry = self._other(name, node)
        else:
            raise ModelRefused(
                f"node {name!r} uses {op}, whose cost no analytic device models; allowed are "
                f"{', '.join(sorted(_KNOWN))}"
            )
        self._layers.append(entry)
        for output in node.output:
            self._made_by[output] = entry

    def _product(self, name: str, node: NodeProto) -> _Open:
        attributes = _attributes(node)
        a, b, out = self._shape(node.input[0]), self._shape(node.input[1]), self._shape(node.output[0])
        if node.op_type == "Conv":
            groups = attributes.get("group", 1)
            if groups < 1 or b[0] % groups:
                raise ModelRefused(f"node {name!r} has {groups} groups for {b[0]} filters; they must divide them")
            product = Product(groups, out[0] * math.prod(out[2:]), math.prod(b[1:]), b[0] // groups)
        elif node.op_type == "Gemm":
            product = Product(1, out[0], a[0] if attributes.get("transA", 0) else a[1], out[1])
        else:
            product = _matmul(a, b, out)
        bias = sum(self._values(each) for each in node.input[2:] if each)
        weights = math.prod(b) + bias
        layer = Layer(name, node.op_type, product, 0, math.prod(a), weights, math.prod(out))
        # Only a stored matrix takes a bias or norm; activations are fused in any case.
        base = node.op_type if node.op_type != "MatMul" or node.input[1] in self._constants else ""
        return _Open(base, [node.op_type], layer, biased=bias > 0)

    def _other(self, name: str, node: NodeProto) -> _Open:
        read = [self._values(each) for each in dict.fromkeys(node.input) if each]
        written = sum(self._values(each) for each in node.output if each)
        operations = _OPERATIONS[node.op_type](read[0], written, _attributes(node))
        if node.op_type in PARTIAL:
            read[0] = min(read[0], written)
        return _Open("", [node.op_type], Layer(name, node.op_type, None, operations, sum(read), 0, written))

    def _shape(self, name: str) -> Shape:
        shape = self._shapes.get(name)
        if shape is None:
            raise ModelRefused(
                f"the shape of tensor {name!r} is not known before the model runs, so its cost is not either; "
                "give the model fixed shapes"
            )
        return shape

    def _values(self, name: str) -> int:
        return math.prod(self._shape(name))


def _matmul(a: Shape, b: Shape, out: Shape) -> Product:
    """A product for each matrix on the right; rows of all matrices on the left where they share it."""
    k = a[-1]
    n = b[-1] if len(b) > 1 else 1
    m = a[-2] if len(a) > 1 else 1
    if not math.prod(out):
        return Product(0, m, k, n)
    total, groups = math.prod(out) // (m * n), math.prod(b[:-2])
    return Product(groups, m * (total // groups), k, n)


def _operator(node: NodeProto) -> str:
    """The operator's name; of a function that the model defines, with its domain."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


_OPERATIONS: dict[str, Callable[[int, int, Mapping[str, Any]], int]] = {
    **dict.fromkeys(MOVES, lambda read, written, attributes: 0),
    **dict.fromkeys(ELEMENTWISE, lambda read, written, attributes: written),
    **dict.fromkeys(REDUCTIONS, lambda read, written, attributes: read),
    **dict.fromkeys(POOLS, lambda read, written, attributes: written * math.prod(attributes["kernel_shape"])),
    **dict.fromkeys(NORMALISATIONS, lambda read, written, attributes: NORMALISATION_PASSES * read),
}
"""Operator -> operations, of the values of its first input, those of its outputs, and its attributes."""

_KNOWN = {*PRODUCTS, *VIEWS, *SHAPES, *_OPERATIONS, "Constant"}
_FOLDED = {*_KNOWN, "Range"}
"""Operators that are computed once when all they read is known: anything that draws no random numbers."""
