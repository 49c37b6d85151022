"""Which axes of a graph's tensors are one and the same channel axis, seen from what its operators do.

Two axes are one where an operator carries its entries over one by one: permute the entries of all axes of a group
alike, in parameters and so in what is computed, and every operator gives the same result, permuted. Axes along which
the order of entries matters, or along which nothing is known, are fixed.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod

from search_spaces.graph import Graph, Node, Value

Axis = tuple[str, int]
"""Name of a tensor and a position in its shape."""


@dataclass(slots=True)
class AxisGroup:
    """Axes that are permuted together or not at all.

    Attributes:
        axes: all of them, of parameters and of other values.
        readers: of these, axes of weights that are summed over when the channels are read.
        fixed: whether they stay as they are.
    """

    axes: set[Axis] = field(default_factory=set)
    readers: set[Axis] = field(default_factory=set)
    fixed: bool = False

    def add(self, other: "AxisGroup") -> None:
        """Take over the axes of another group and what holds for them."""
        self.axes |= other.axes
        self.readers |= other.readers
        self.fixed |= other.fixed


def axis_groups(graph: Graph) -> list[AxisGroup]:
    """The groups of all axes of a graph's values."""
    axes = _Axes()
    for value in (*graph.inputs, *graph.outputs, *graph.constants.values()):
        axes.fix(value)
    for node in graph.nodes:
        rule = RULES.get(node.op, _unknown)
        inputs = [graph.values[name] if name else None for name in node.inputs]
        rule(axes, node, inputs, [graph.values[name] for name in node.outputs])
    return axes.groups()


class _Axes:
    """Axes that are joined step by step (union-find)."""

    def __init__(self) -> None:
        self._parents: dict[Axis, Axis] = {}
        self._fixed: set[Axis] = set()
        self._readers: set[Axis] = set()

    def join(self, first: Value, axis: int, second: Value, other: int) -> None:
        """Two axes are one."""
        root, merged = self._root((first.name, axis)), self._root((second.name, other))
        if root != merged:
            self._parents[merged] = root

    def join_all(self, first: Value, second: Value, but: Sequence[int] = ()) -> None:
        """All axes of two values of one rank are the same, but for some, which are fixed."""
        for axis in range(len(first.shape)):
            if axis not in but:
                self.join(first, axis, second, axis)
        self.fix(first, but)
        self.fix(second, but)

    def broadcast(self, value: Value, output: Value) -> None:
        """The axes of a value are the last of the output; an axis of size 1 may stand for any size."""
        shift = len(output.shape) - len(value.shape)
        for axis, size in enumerate(value.shape):
            if size == output.shape[shift + axis]:
                self.join(value, axis, output, shift + axis)

    def fix(self, value: Value, axes: Sequence[int] | None = None) -> None:
        """Axes of a value, all by default, keep their order."""
        for axis in range(len(value.shape)) if axes is None else axes:
            self._fixed.add((value.name, axis))

    def read(self, value: Value, axis: int) -> None:
        """A weight is summed over along this axis."""
        self._readers.add((value.name, axis))

    def groups(self) -> list[AxisGroup]:
        """What was joined, fixed and read."""
        found: dict[Axis, AxisGroup] = defaultdict(AxisGroup)
        for axis in {*self._parents, *self._fixed, *self._readers}:
            group = found[self._root(axis)]
            group.add(AxisGroup({axis}, {axis} & self._readers, axis in self._fixed))
        return list(found.values())

    def _root(self, axis: Axis) -> Axis:
        parents = self._parents
        while (parent := parents.setdefault(axis, axis)) != axis:
            parents[axis] = axis = parents[parent]
        return axis


Values = Sequence[Value | None]
Rule = Callable[[_Axes, Node, Values, Sequence[Value]], None]


def _unknown(axes: _Axes, node: Node, inputs: Values, outputs: Sequence[Value]) -> None:
    for value in (*inputs, *outputs):
        if value is not None:
            axes.fix(value)


def _elementwise(axes: _Axes, node: Node, inputs: Values, outputs: Sequence[Value]) -> None:
    """Also what works along an axis whatever the order of its entries, such as `Softmax` or layer normalisation."""
    for value in inputs:
        if value is not None:
            axes.broadcast(value, outputs[0])


def _conv(axes: _Axes, node: Node, inputs: Values, outputs: Sequence[Value]) -> None:
    x, weight, *bias = inputs
    assert x is not None
    assert weight is not None
    y, groups = outputs[0], node.attributes.get("group", 1)
    axes.join(weight, 0, y, 1)
    for value in bias:
        if value is not None:
            axes.join(value, 0, y, 1)
    if groups == 1:
        axes.join(weight, 1, x, 1)
        axes.read(weight, 1)
    elif groups == x.shape[1] == y.shape[1]:
        axes.join(x, 1, y, 1)
    else:
        axes.fix(x, [1])
        axes.fix(weight, [0, 1])
    for value in (x, weight, y):
        axes.fix(value, range(2, len(value.shape)))


def _batch_norm(axes: _Axes, node: Node, inputs: Values, outputs: Sequence[Value]) -> None:
    x, *parameters = inputs
    assert x is not None
    axes.join_all(x, outputs[0])
    for value in parameters:
        assert value is not None
        axes.join(value, 0, x, 1)


def _gemm(axes: _Axes, node: Node, inputs: Values, outputs: Sequence[Value]) -> None:
    a, b, *c = inputs
    assert a is not None
    assert b is not None
    inner, inner_b = (0 if node.attributes.get("transA", 0) else 1), (1 if node.attributes.get("transB", 0) else 0)
    _product(axes, (a, inner), (b, inner_b))
    axes.join(a, 1 - inner, outputs[0], 0)
    axes.join(b, 1 - inner_b, outputs[0], 1)
    _elementwise(axes, node, c, outputs)


def _matmul(axes: _Axes, node: Node, inputs: Values, outputs: Sequence[Value]) -> None:
    a, b = inputs
    assert a is not None
    assert b is not None
    y = outputs[0]
    rank, rank_a, rank_b = len(y.shape), len(a.shape), len(b.shape)
    _product(axes, (a, rank_a - 1), (b, rank_b - 2))
    axes.join(a, rank_a - 2, y, rank - 2)
    axes.join(b, rank_b - 1, y, rank - 1)
    for value in (a, b):
        shift = rank - len(value.shape)
        for axis, size in enumerate(value.shape[:-2]):
            if size == y.shape[shift + axis]:
                axes.join(value, axis, y, shift + axis)


def _product(axes: _Axes, *summed: tuple[Value, int]) -> None:
    (first, axis), (second, other) = summed
    axes.join(first, axis, second, other)
    axes.read(first, axis)
    axes.read(second, other)


def _pool(axes: _Axes, node: Node, inputs: Values, outputs: Sequence[Value]) -> None:
    x = inputs[0]
    assert x is not None
    axes.join_all(x, outputs[0], range(2, len(x.shape)))


def _reduce(axes: _Axes, node: Node, inputs: Values, outputs: Sequence[Value]) -> None:
    """The axes that are left; those that are summed over may have any order."""
    x, y = inputs[0], outputs[0]
    assert x is not None
    rank = len(x.shape)
    gone = {axis % rank for axis in _integers(inputs, 1)} if len(inputs) > 1 else set(range(rank))
    left = [axis for axis in range(rank) if axis not in gone]
    kept = left if len(y.shape) == rank else range(len(left))
    for axis, other in zip(left, kept, strict=True):
        axes.join(x, axis, y, other)


def _global_pool(axes: _Axes, node: Node, inputs: Values, outputs: Sequence[Value]) -> None:
    x = inputs[0]
    assert x is not None
    for axis in (0, 1):
        axes.join(x, axis, outputs[0], axis)


def _reshape(axes: _Axes, node: Node, inputs: Values, outputs: Sequence[Value]) -> None:
    """An axis goes on where its size and the product of the sizes behind it are kept; the batch may grow."""
    x, y = inputs[0], outputs[0]
    assert x is not None
    kept = [
        (axis, other)
        for axis in range(1, len(x.shape))
        for other in range(1, len(y.shape))
        if x.shape[axis] == y.shape[other] > 1 and prod(x.shape[axis:]) == prod(y.shape[other:])
    ]
    for axis, other in kept:
        axes.join(x, axis, y, other)
    axes.fix(x, [axis for axis in range(len(x.shape)) if axis not in {first for first, _ in kept}])
    axes.fix(y, [axis for axis in range(len(y.shape)) if axis not in {second for _, second in kept}])


def _transpose(axes: _Axes, node: Node, inputs: Values, outputs: Sequence[Value]) -> None:
    x = inputs[0]
    assert x is not None
    for other, axis in enumerate(node.attributes.get("perm", range(len(x.shape))[::-1])):
        axes.join(x, axis, outputs[0], other)


def _ordered_along(axes: _Axes, inputs: Values, outputs: Sequence[Value], along: Sequence[int]) -> None:
    """Tensors of one rank; along some axes their entries are joined, cut or summed up in order."""
    for value in inputs:
        if value is not None:
            for output in outputs:
                axes.join_all(value, output, [axis % len(value.shape) for axis in along])


def _concat(axes: _Axes, node: Node, inputs: Values, outputs: Sequence[Value]) -> None:
    _ordered_along(axes, inputs, outputs, [node.attributes["axis"]])


def _split(axes: _Axes, node: Node, inputs: Values, outputs: Sequence[Value]) -> None:
    _ordered_along(axes, inputs[:1], outputs, [node.attributes.get("axis", 0)])


def _slice(axes: _Axes, node: Node, inputs: Values, outputs: Sequence[Value]) -> None:
    named = len(inputs) > 3 and inputs[3] is not None
    along = _integers(inputs, 3) if named else list(range(len(_integers(inputs, 1))))
    _ordered_along(axes, inputs[:1], outputs, along)


def _cumulative_sum(axes: _Axes, node: Node, inputs: Values, outputs: Sequence[Value]) -> None:
    _ordered_along(axes, inputs[:1], outputs, _integers(inputs, 1))


def _pad(axes: _Axes, node: Node, inputs: Values, outputs: Sequence[Value]) -> None:
    pads, rank = _integers(inputs, 1), len(outputs[0].shape)
    _ordered_along(axes, inputs[:1], outputs, [axis for axis in range(rank) if pads[axis] or pads[rank + axis]])


def _gather(axes: _Axes, node: Node, inputs: Values, outputs: Sequence[Value]) -> None:
    data, indices = inputs[:2]
    assert data is not None
    assert indices is not None
    gathered, rank = node.attributes.get("axis", 0) % len(data.shape), len(indices.shape)
    axes.fix(data, [gathered])
    for axis in range(len(data.shape)):
        if axis != gathered:
            axes.join(data, axis, outputs[0], axis if axis < gathered else axis + rank - 1)
    for axis in range(rank):
        axes.join(indices, axis, outputs[0], gathered + axis)


def _integers(inputs: Values, place: int) -> list[int]:
    """What a constant input holds; graphs cannot be built without it."""
    value = inputs[place]
    assert value is not None
    assert value.data is not None
    return [int(entry) for entry in value.data.reshape(-1)]


_EQUAL_ENTRIES = (
    *("Add", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "Identity", "LayerNormalization"),
    *("Mul", "Relu", "Sigmoid", "Softmax", "Sqrt", "Sub", "Tanh"),
)
RULES: dict[str, Rule] = {
    **dict.fromkeys(_EQUAL_ENTRIES, _elementwise),
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Concat": _concat,
    "Conv": _conv,
    "CumSum": _cumulative_sum,
    "Flatten": _reshape,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "Pad": _pad,
    "ReduceMean": _reduce,
    "ReduceSum": _reduce,
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _split,
    "Transpose": _transpose,
}
"""What each operator of the vocabulary does to axes; those of any other operator are fixed."""
