"""What each operator of the vocabulary does under torch, with ONNX's semantics (opset 20) and autograd.

`TORCH_OPERATORS[op](node, values)` looks at a node once, when a graph is planned, and gives the function to call
and how many of the node's inputs it takes; the inputs behind those (shapes, axes, bounds) are constants that are
already inside the function. `values` are the node's inputs, None where an optional one is left out.
`BatchNormalization` is absent: what it does depends on the run, see `search_spaces.interpreter.torch_graph`.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from search_spaces.graph import GraphError, Node
from search_spaces.interpreter.depthwise import DepthwiseConvolution, gains
from search_spaces.interpreter.torch_inputs import (
    Builder,
    Function,
    Values,
    given,
    integers,
    refuse,
    shape_of,
    torch_padding,
)
from search_spaces.interpreter.torch_pooling import average_pool, max_pool

CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}
"""By spatial axes. They are what autocast knows; `torch.convolution` it does not."""


def _plain(function: Function) -> Builder:
    """An operator without attributes whose inputs are all tensors."""
    return lambda node, values: (function, len(values))


def _conv(node: Node, values: Values) -> tuple[Function, int]:
    refuse(node, "auto_pad")
    attributes, weight = node.attributes, shape_of(values, 1)
    rank = len(weight) - 2
    pads = list(attributes.get("pads") or [0] * (2 * rank))
    strides = list(attributes.get("strides") or [1] * rank)
    dilations = list(attributes.get("dilations") or [1] * rank)
    groups = attributes.get("group", 1)
    begins, zeros = pads[:rank], [0] * rank
    convolution = CONVOLUTIONS.get(rank)
    if convolution is None:
        raise GraphError(f"node {node.name!r}: torch has no convolution over {rank} axes; allowed: 1 to 3")
    if begins == pads[rank:]:
        if groups > 1 and weight[:2] == (groups, 1) and dilations == [1, 1] and len(values) == 2:
            return _depthwise(list(weight[2:]), strides, begins), 2
        if weight[1] < 8 and max(weight[2:]) == 1 and max(strides) > 1 and not any(begins):
            return _subsampled(convolution, strides, groups), len(values)

        def convolve(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
            return convolution(x, w, b, strides, begins, dilations, groups)

        return convolve, len(values)
    padding = torch_padding(pads)

    def pad_and_convolve(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        return convolution(functional.pad(x, padding), w, b, strides, zeros, dilations, groups)

    return pad_and_convolve, len(values)


def _subsampled(convolution: Callable[..., Tensor], strides: list[int], groups: int) -> Function:
    """A strided convolution with kernels of one pixel, as one without strides of the pixels that it reads.

    With strides, few channels and channels last, torch 2.13 corrupts memory where it computes a kernel's gradient.
    """
    picked = (slice(None), slice(None), *[slice(None, None, stride) for stride in strides])
    return lambda x, w, b=None: convolution(x[picked], w, b, 1, 0, 1, groups)


def _depthwise(kernel: list[int], strides: list[int], pads: list[int]) -> Function:
    def convolve(x: Tensor, w: Tensor) -> Tensor:
        if x.is_cuda:
            return torch.conv2d(x, w, None, strides, pads, 1, x.shape[1])
        x = x.to(w.dtype)  # autocast or not, in float32: CPUs are many times slower here in half precision
        if torch.is_grad_enabled() and gains(x, kernel):
            convolved: Tensor = DepthwiseConvolution.apply(x, w, strides, pads)  # type: ignore[no-untyped-call]  # torch leaves it untyped
            return convolved
        return torch.convolution(x, w, None, strides, pads, [1, 1], False, [0, 0], x.shape[1])

    return convolve


def _global_average_pool(node: Node, values: Values) -> tuple[Function, int]:
    axes = list(range(2, len(shape_of(values))))
    return lambda x: x.mean(axes, keepdim=True), 1


def _clip(node: Node, values: Values) -> tuple[Function, int]:
    bounds = (given(values, 1), given(values, 2))
    if all(bound is None or bound.data is not None for bound in bounds):
        low, high = (None if bound is None or bound.data is None else bound.data.item() for bound in bounds)
        return (lambda x: torch.clamp(x, low, high)), 1
    return torch.clamp, len(values)


def _cumulative_sum(node: Node, values: Values) -> tuple[Function, int]:
    (axis,) = integers(node, values[1], "axis")
    exclusive, backwards = node.attributes.get("exclusive", 0), node.attributes.get("reverse", 0)

    def accumulate(x: Tensor) -> Tensor:
        if backwards:
            x = x.flip(axis)
        if exclusive:  # shifted and not subtracted, so that later entries do not reach earlier sums even in rounding
            first, others = x.narrow(axis, 0, 1), x.narrow(axis, 0, x.shape[axis] - 1)
            x = torch.cat([torch.zeros_like(first), others], axis)
        total = x.cumsum(axis)
        return total.flip(axis) if backwards else total

    return accumulate, 1


def _divide(node: Node, values: Values) -> tuple[Function, int]:
    if values[0] is not None and values[0].dtype.startswith(("int", "uint")):
        return (lambda x, y: torch.div(x, y, rounding_mode="trunc")), 2
    return torch.div, 2


def _elu(node: Node, values: Values) -> tuple[Function, int]:
    alpha = node.attributes.get("alpha", 1.0)
    return (lambda x: functional.elu(x, alpha)), 1


def _flatten(node: Node, values: Values) -> tuple[Function, int]:
    axis, rank = node.attributes.get("axis", 1), len(shape_of(values))
    axis = axis + rank if axis < 0 else axis
    if axis == 1:
        return (lambda x: x.flatten(1)), 1
    return (lambda x: x.reshape(math.prod(x.shape[:axis]), -1)), 1


def _gather(node: Node, values: Values) -> tuple[Function, int]:
    axis = node.attributes.get("axis", 0)

    def gather(x: Tensor, indices: Tensor) -> Tensor:
        indices = torch.where(indices < 0, indices + x.shape[axis], indices)
        if axis == 0 and x.dim() == 2:
            return functional.embedding(indices, x)
        flat = x.index_select(axis, indices.reshape(-1))
        return torch.unflatten(flat, axis, indices.shape) if indices.dim() else flat.squeeze(axis)

    return gather, 2


def _gelu(node: Node, values: Values) -> tuple[Function, int]:
    approximate = node.attributes.get("approximate", "none")
    return (lambda x: functional.gelu(x, approximate=approximate)), 1


def _gemm(node: Node, values: Values) -> tuple[Function, int]:
    attributes = node.attributes
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    left, right = attributes.get("transA", 0), attributes.get("transB", 0)
    bias = given(values, 2)
    if right and not left and alpha == 1 and beta == 1 and (bias is None or len(bias.shape) == 1):
        return functional.linear, len(values)

    def gemm(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        product = torch.matmul(a.t() if left else a, b.t() if right else b)
        product = product if alpha == 1 else alpha * product
        return product if c is None else product + (c if beta == 1 else beta * c)

    return gemm, len(values)


def _hard_sigmoid(node: Node, values: Values) -> tuple[Function, int]:
    alpha, beta = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return (lambda x: (x + 3).clamp(0, 6) / 6), 1  # torch's own has no second derivative
    return (lambda x: (alpha * x + beta).clamp(0, 1)), 1


def _layer_norm(node: Node, values: Values) -> tuple[Function, int]:
    size, epsilon = list(shape_of(values, 1)), node.attributes.get("epsilon", 1e-5)

    def normalise(x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
        return torch.layer_norm(x, size, scale, bias, epsilon)

    return normalise, len(values)


_PAD_MODES = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}


def _pad(node: Node, values: Values) -> tuple[Function, int]:
    pads = integers(node, values[1], "pads")
    mode, rank = node.attributes.get("mode", "constant"), len(shape_of(values))
    fill = given(values, 2)
    if mode not in _PAD_MODES:
        raise GraphError(f"node {node.name!r}: Pad mode {mode!r} is not known; known: {', '.join(_PAD_MODES)}")
    if given(values, 3) is not None or (fill is not None and fill.data is None):
        raise GraphError(f"node {node.name!r}: Pad takes a constant value and no axes")
    if mode == "constant":
        value = 0 if fill is None or fill.data is None else fill.data.item()
        return (lambda x: functional.pad(x, torch_padding(pads), value=value)), 1
    if rank < 3 or any(pads[axis] for axis in (0, 1, rank, rank + 1)):
        raise GraphError(f"node {node.name!r}: Pad mode {mode!r} is for axes behind the first two, got pads {pads}")
    inner = torch_padding([*pads[2:rank], *pads[rank + 2 :]])
    return (lambda x: functional.pad(x, inner, mode=_PAD_MODES[mode])), 1


def _reduce(function: Function) -> Builder:
    def build(node: Node, values: Values) -> tuple[Function, int]:
        refuse(node, "noop_with_empty_axes")
        keep = bool(node.attributes.get("keepdims", 1))
        axes = integers(node, values[1], "axes") if len(values) > 1 else list(range(len(shape_of(values))))
        return (lambda x: function(x, axes, keepdim=keep)), 1

    return build


def _reshape(node: Node, values: Values) -> tuple[Function, int]:
    refuse(node, "allowzero")
    target = integers(node, values[1], "shape")
    if 0 not in target:
        return (lambda x: x.reshape(target)), 1
    return (lambda x: x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(target)])), 1


def _slice(node: Node, values: Values) -> tuple[Function, int]:
    starts, ends = integers(node, values[1], "starts"), integers(node, values[2], "ends")
    axes = integers(node, values[3], "axes") if given(values, 3) is not None else list(range(len(starts)))
    steps = integers(node, values[4], "steps") if given(values, 4) is not None else [1] * len(starts)
    slices = [slice(*bounds) for bounds in zip(starts, ends, steps, strict=True)]
    rank = len(shape_of(values))
    if min(steps) > 0:
        index = [slice(None)] * rank
        for axis, part in zip(axes, slices, strict=True):
            index[axis] = part
        return (lambda x: x[tuple(index)]), 1

    def select(x: Tensor) -> Tensor:
        for axis, part in zip(axes, slices, strict=True):
            x = x.index_select(axis, torch.arange(x.shape[axis])[list(range(x.shape[axis])[part])].to(x.device))
        return x

    return select, 1


def _softmax(node: Node, values: Values) -> tuple[Function, int]:
    axis = node.attributes.get("axis", -1)
    return (lambda x: torch.softmax(x, axis)), 1


def _split(node: Node, values: Values) -> tuple[Function, int]:
    axis, size = node.attributes.get("axis", 0), shape_of(values)[node.attributes.get("axis", 0)]
    if given(values, 1) is not None:
        sizes = integers(node, values[1], "split")
    else:
        count = len(node.outputs)
        chunk = -(-size // count)
        sizes = [chunk] * (count - 1) + [size - chunk * (count - 1)]
    return (lambda x: torch.split(x, sizes, axis)), 1


def _concat(node: Node, values: Values) -> tuple[Function, int]:
    axis = node.attributes["axis"]
    return (lambda *tensors: torch.cat(tensors, axis)), len(values)


def _transpose(node: Node, values: Values) -> tuple[Function, int]:
    axes = node.attributes.get("perm") or list(reversed(range(len(shape_of(values)))))
    return (lambda x: x.permute(axes)), 1


TORCH_OPERATORS: dict[str, Builder] = {
    "Add": _plain(torch.add),
    "AveragePool": average_pool,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "CumSum": _cumulative_sum,
    "Div": _divide,
    "Elu": _elu,
    "Erf": _plain(torch.erf),
    "Exp": _plain(torch.exp),
    "Flatten": _flatten,
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average_pool,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _plain(functional.hardswish),
    "Identity": _plain(lambda x: x),
    "LayerNormalization": _layer_norm,
    "MatMul": _plain(torch.matmul),
    "MaxPool": max_pool,
    "Mul": _plain(torch.mul),
    "Pad": _pad,
    "ReduceMean": _reduce(torch.mean),
    "ReduceSum": _reduce(torch.sum),
    "Relu": _plain(torch.relu),
    "Reshape": _reshape,
    "Sigmoid": _plain(torch.sigmoid),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Sqrt": _plain(torch.sqrt),
    "Sub": _plain(torch.sub),
    "Tanh": _plain(torch.tanh),
    "Transpose": _transpose,
}
