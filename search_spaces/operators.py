"""The operator vocabulary: what each ONNX operator makes of shapes, and how many multiply-adds it costs.

Conventions: shapes are of one sample (batch axis 1). MACs count the multiplications that are added up in
`Conv`, `Gemm` and `MatMul`; element-wise work and normalisation count nothing, as in published tables.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Attributes = dict[str, Any]


class Tensor(Protocol):
    """What an operator needs to know of an input."""

    @property
    def shape(self) -> Shape:
        """Sizes for one sample."""

    @property
    def dtype(self) -> str:
        """Element type, in NumPy's words."""

    @property
    def data(self) -> NDArray[np.generic] | None:
        """The content of a constant."""


Inputs = Sequence[Tensor | None]


def _first_dtype(attributes: Attributes, inputs: Inputs) -> str:
    for tensor in inputs:
        if tensor is not None:
            return tensor.dtype
    return "float32"


def _no_macs(attributes: Attributes, inputs: Sequence[Shape | None], outputs: Sequence[Shape]) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Operator:
    """How an operator maps shapes to shapes and what it costs.

    `alias` marks operators whose output is the input's memory seen otherwise, `commutative` those whose inputs
    may change places.
    """

    infer: Callable[[Attributes, Inputs], Sequence[Shape]]
    macs: Callable[[Attributes, Sequence[Shape | None], Sequence[Shape]], int] = _no_macs
    dtype: Callable[[Attributes, Inputs], str] = _first_dtype
    alias: bool = False
    commutative: bool = False

    @property
    def has_macs(self) -> bool:
        """Whether it multiplies and adds at all."""
        return self.macs is not _no_macs


def _need(tensor: Tensor | None, what: str) -> Tensor:
    if tensor is None:
        raise ValueError(f"the input {what} is missing")
    return tensor


def _constant(tensor: Tensor | None, what: str) -> list[int]:
    data = _need(tensor, what).data
    if data is None:
        raise ValueError(f"{what} must be a constant")
    return [int(entry) for entry in data.reshape(-1)]


def _same(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    return (_need(inputs[0], "0").shape,)


def _broadcast(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    shapes = [_need(tensor, "").shape for tensor in inputs]
    if shapes.count(shapes[0]) == len(shapes):
        return (shapes[0],)
    return (np.broadcast_shapes(*shapes),)


def _spatial(attributes: Attributes, shape: Shape, kernel: Sequence[int]) -> list[int]:
    """Sizes behind the batch and channel axes after a sliding window."""
    rank = len(shape) - 2
    strides = attributes.get("strides") or [1] * rank
    pads = attributes.get("pads") or [0] * (2 * rank)
    dilations = attributes.get("dilations") or [1] * rank
    up = attributes.get("ceil_mode", 0)
    sizes = []
    for i in range(rank):
        reach = dilations[i] * (kernel[i] - 1) + 1
        span = shape[2 + i] + pads[i] + pads[rank + i] - reach
        if span < 0:
            raise ValueError(f"a window of {reach} does not fit into {shape[2 + i]} + {pads[i]} + {pads[rank + i]}")
        sizes.append((-(-span // strides[i]) if up else span // strides[i]) + 1)
    return sizes


def _conv(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    x, weight = _need(inputs[0], "X").shape, _need(inputs[1], "W").shape
    groups = attributes.get("group", 1)
    if x[1] != weight[1] * groups or weight[0] % groups:
        raise ValueError(f"{x[1]} channels in {groups} groups do not fit a weight of {weight}")
    return ((x[0], weight[0], *_spatial(attributes, x, weight[2:])),)


def _conv_macs(attributes: Attributes, inputs: Sequence[Shape | None], outputs: Sequence[Shape]) -> int:
    weight = inputs[1]
    assert weight is not None
    return math.prod(outputs[0]) * math.prod(weight[1:])


def _pool(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    x = _need(inputs[0], "X").shape
    return ((x[0], x[1], *_spatial(attributes, x, attributes["kernel_shape"])),)


def _global_pool(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    x = _need(inputs[0], "X").shape
    return ((*x[:2], *([1] * (len(x) - 2))),)


def _gemm(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    a, b = _need(inputs[0], "A").shape, _need(inputs[1], "B").shape
    rows, inner = (a[1], a[0]) if attributes.get("transA", 0) else a
    inner_b, columns = (b[1], b[0]) if attributes.get("transB", 0) else b
    if inner != inner_b:
        raise ValueError(f"{inner} features do not fit a weight of {b}")
    return ((rows, columns),)


def _gemm_macs(attributes: Attributes, inputs: Sequence[Shape | None], outputs: Sequence[Shape]) -> int:
    a = inputs[0]
    assert a is not None
    return math.prod(outputs[0]) * (a[0] if attributes.get("transA", 0) else a[1])


def _matmul(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    a, b = _need(inputs[0], "A").shape, _need(inputs[1], "B").shape
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
        raise ValueError(f"{a} and {b} do not multiply")
    return ((*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1]),)


def _matmul_macs(attributes: Attributes, inputs: Sequence[Shape | None], outputs: Sequence[Shape]) -> int:
    a = inputs[0]
    assert a is not None
    return math.prod(outputs[0]) * a[-1]


def _flatten(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    x = _need(inputs[0], "input").shape
    axis = attributes.get("axis", 1) % (len(x) + 1)
    return ((math.prod(x[:axis]), math.prod(x[axis:])),)


def _reshape(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    x = _need(inputs[0], "data").shape
    target = [x[i] if size == 0 else size for i, size in enumerate(_constant(inputs[1], "shape"))]
    total = math.prod(x)
    if target.count(-1) > 1:
        raise ValueError(f"only one size may be -1, got {target}")
    if -1 in target:
        known = -math.prod(target)
        if known == 0 or total % known:
            raise ValueError(f"{x} does not reshape to {target}")
        target[target.index(-1)] = total // known
    if math.prod(target) != total:
        raise ValueError(f"{x} does not reshape to {target}")
    return (tuple(target),)


def _transpose(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    x = _need(inputs[0], "data").shape
    perm = attributes.get("perm", tuple(reversed(range(len(x)))))
    if sorted(perm) != list(range(len(x))):
        raise ValueError(f"perm {list(perm)} is no permutation of {len(x)} axes")
    return (tuple([x[axis] for axis in perm]),)


def _concat(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    shapes = [_need(tensor, str(index)).shape for index, tensor in enumerate(inputs)]
    axis = attributes["axis"] % len(shapes[0])
    for shape in shapes[1:]:
        if len(shape) != len(shapes[0]) or any(
            a != b for i, (a, b) in enumerate(zip(shape, shapes[0], strict=True)) if i != axis
        ):
            raise ValueError(f"shapes differ outside axis {axis}")
    return ((*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :]),)


def _split(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    x = _need(inputs[0], "input").shape
    axis = attributes.get("axis", 0) % len(x)
    if len(inputs) > 1 and inputs[1] is not None:
        sizes = _constant(inputs[1], "split")
    else:
        count = attributes["num_outputs"]
        size = -(-x[axis] // count)
        sizes = [size] * (count - 1) + [x[axis] - size * (count - 1)]
    if sum(sizes) != x[axis] or min(sizes) < 1:
        raise ValueError(f"{x[axis]} does not split into {sizes}")
    return [(*x[:axis], size, *x[axis + 1 :]) for size in sizes]


def _slice(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    shape = list(_need(inputs[0], "data").shape)
    starts, ends = _constant(inputs[1], "starts"), _constant(inputs[2], "ends")
    axes = _constant(inputs[3], "axes") if len(inputs) > 3 and inputs[3] is not None else list(range(len(starts)))
    steps = _constant(inputs[4], "steps") if len(inputs) > 4 and inputs[4] is not None else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        shape[axis] = len(range(shape[axis])[start:end:step])
    if min(shape) < 1:
        raise ValueError(f"the slice is empty: {shape}")
    return (tuple(shape),)


def _gather(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    data, indices = _need(inputs[0], "data").shape, _need(inputs[1], "indices").shape
    axis = attributes.get("axis", 0) % len(data)
    return ((*data[:axis], *indices, *data[axis + 1 :]),)


def _reduce(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    x = _need(inputs[0], "data").shape
    axes = range(len(x)) if len(inputs) < 2 else [axis % len(x) for axis in _constant(inputs[1], "axes")]
    keep = attributes.get("keepdims", 1)
    return (tuple([1 if i in axes else size for i, size in enumerate(x) if keep or i not in axes]),)


def _pad(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    x, pads = _need(inputs[0], "data").shape, _constant(inputs[1], "pads")
    return (tuple([size + pads[i] + pads[len(x) + i] for i, size in enumerate(x)]),)


def _layer_norm(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    x, scale = _need(inputs[0], "X").shape, _need(inputs[1], "Scale").shape
    if x[attributes.get("axis", -1) :] != scale:
        raise ValueError(f"scale {scale} does not fit the last axes of {x}")
    return (x,)


def _batch_norm(attributes: Attributes, inputs: Inputs) -> Sequence[Shape]:
    x = _need(inputs[0], "X").shape
    size = (x[1],)
    for tensor in inputs[1:]:
        if tensor is None or tensor.shape != size:
            raise ValueError(f"{x[1]} channels need scale, B, mean and var of {size}")
    return (x,)


_same_shape = Operator(_same)
_elementwise = Operator(_broadcast, commutative=True)

OPERATORS: dict[str, Operator] = {
    "Add": _elementwise,
    "AveragePool": Operator(_pool),
    "BatchNormalization": Operator(_batch_norm),
    "Clip": _same_shape,
    "Concat": Operator(_concat),
    "Conv": Operator(_conv, _conv_macs),
    "CumSum": _same_shape,
    "Div": Operator(_broadcast),
    "Elu": _same_shape,
    "Erf": _same_shape,
    "Exp": _same_shape,
    "Flatten": Operator(_flatten, alias=True),
    "Gather": Operator(_gather),
    "Gelu": _same_shape,
    "Gemm": Operator(_gemm, _gemm_macs),
    "GlobalAveragePool": Operator(_global_pool),
    "HardSigmoid": _same_shape,
    "HardSwish": _same_shape,
    "Identity": Operator(_same, alias=True),
    "LayerNormalization": Operator(_layer_norm),
    "MatMul": Operator(_matmul, _matmul_macs),
    "MaxPool": Operator(_pool),
    "Mul": _elementwise,
    "Pad": Operator(_pad),
    "ReduceMean": Operator(_reduce),
    "ReduceSum": Operator(_reduce),
    "Relu": _same_shape,
    "Reshape": Operator(_reshape, alias=True),
    "Sigmoid": _same_shape,
    "Slice": Operator(_slice),
    "Softmax": _same_shape,
    "Split": Operator(_split),
    "Sqrt": _same_shape,
    "Sub": Operator(_broadcast),
    "Tanh": _same_shape,
    "Transpose": Operator(_transpose),
}
