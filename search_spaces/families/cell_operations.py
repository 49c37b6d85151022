"""The operations of cell search spaces by their published names, from x to a value of as many channels.

- NAS-Bench-201 (Dong and Yang, arXiv 2001.00326) and DARTS (Liu et al., arXiv 1806.09055): `skip_connect` to
  `dil_conv_5x5`, and larger kernels of the same kinds.
- sharpDARTS (Hundt et al., arXiv 1903.09900): two separable convolutions with more (`flood`) or 32 (`choke`) channels
  between them, the first one dilated (`dil`, `sharp_dil`). Its block without these is `sep_conv`.
- DASS (Mousavi et al., arXiv 2207.06968): `sparse_` convolutions. Their weights have the role `sparse_weight`, by which
  training knows that it has to learn a mask for them. The graph is dense: costs count all weights, and a file holds
  the masked ones as zeros.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from search_spaces.graph import Graph, Role, Value
from search_spaces.layers import batch_norm, conv, conv_norm

Operation = Callable[[Graph, Value, str, int], Value]
"""Graph, input (1, C, H, W), name, stride (1, or 2 for even H and W) -> (1, C, H / stride, W / stride)."""

CHOKED = 32


def relu_conv_norm(g: Graph, x: Value, name: str, channels: int, kernel: int = 1, *, stride: int = 1) -> Value:
    """ReLU, convolution without bias, batch normalisation."""
    x = g.add("Relu", x, name=f"{name}.relu")
    return conv_norm(g, x, name, channels, kernel, stride=stride)


def factorized_reduce(g: Graph, x: Value, name: str, channels: int) -> Value:
    """Half the height and width (both even) by two 1x1 convolutions on shifted grids, each for half of the channels."""
    x = g.add("Relu", x, name=f"{name}.relu")
    starts = g.constant(f"{name}.starts", np.array([1, 1]))
    ends = g.constant(f"{name}.ends", np.array(x.shape[2:]))
    axes = g.constant(f"{name}.axes", np.array([2, 3]))
    shifted = g.add("Slice", x, starts, ends, axes, name=f"{name}.shift")
    halves = (
        conv(g, x, f"{name}.conv0", channels // 2, stride=2),
        conv(g, shifted, f"{name}.conv1", channels - channels // 2, stride=2),
    )
    return batch_norm(g, g.add("Concat", *halves, name=f"{name}.concat", axis=1), f"{name}.bn")


def _skip(g: Graph, x: Value, name: str, stride: int) -> Value:
    return x if stride == 1 else factorized_reduce(g, x, name, x.shape[1])


def _pool(g: Graph, x: Value, name: str, stride: int, *, op: str) -> Value:
    """3x3 pooling; an average is over the pixels of the image only."""
    return g.add(op, x, name=name, kernel_shape=[3, 3], strides=[stride, stride], pads=[1] * 4)


def _plain(g: Graph, x: Value, name: str, stride: int, *, kernel: int) -> Value:
    return relu_conv_norm(g, x, name, x.shape[1], kernel, stride=stride)


def _separable(
    g: Graph,
    x: Value,
    name: str,
    stride: int,
    *,
    kernel: int,
    dilation: int = 1,
    channels: int | None = None,
    role: Role = "weight",
) -> Value:
    """ReLU, depthwise convolution, 1x1 convolution, batch normalisation."""
    inner = x.shape[1]
    y = g.add("Relu", x, name=f"{name}.relu")
    y = conv(g, y, f"{name}.depthwise", inner, kernel, stride=stride, groups=inner, dilation=dilation, role=role)
    y = conv(g, y, f"{name}.pointwise", channels or inner, role=role)
    return batch_norm(g, y, f"{name}.bn")


def _twice(
    g: Graph,
    x: Value,
    name: str,
    stride: int,
    *,
    kernel: int,
    dilation: int = 1,
    channels: int | None = None,
    times: int = 1,
    role: Role = "weight",
) -> Value:
    """Two separable convolutions; the first has the stride and the dilation.

    Between them are `channels`, or `times` as many as x has.
    """
    middle = channels or x.shape[1] * times
    y = _separable(g, x, f"{name}.first", stride, kernel=kernel, dilation=dilation, channels=middle, role=role)
    return _separable(g, y, f"{name}.second", 1, kernel=kernel, channels=x.shape[1], role=role)


CELL_OPERATIONS: dict[str, Operation] = {
    "skip_connect": _skip,
    "nor_conv_1x1": partial(_plain, kernel=1),
    "nor_conv_3x3": partial(_plain, kernel=3),
    "nor_conv_5x5": partial(_plain, kernel=5),
    "nor_conv_7x7": partial(_plain, kernel=7),
    "avg_pool_3x3": partial(_pool, op="AveragePool"),
    "max_pool_3x3": partial(_pool, op="MaxPool"),
    "sep_conv_3x3": partial(_twice, kernel=3),
    "sep_conv_5x5": partial(_twice, kernel=5),
    "sep_conv_7x7": partial(_twice, kernel=7),
    "dil_conv_3x3": partial(_separable, kernel=3, dilation=2),
    "dil_conv_5x5": partial(_separable, kernel=5, dilation=2),
    "sharp_dil_conv_3x3": partial(_twice, kernel=3, dilation=2),
    "sharp_dil_conv_5x5": partial(_twice, kernel=5, dilation=2),
    "flood_conv_3x3": partial(_twice, kernel=3, times=4),
    "flood_conv_5x5": partial(_twice, kernel=5, times=4),
    "dil_flood_conv_3x3": partial(_twice, kernel=3, dilation=2, times=4),
    "choke_conv_3x3": partial(_twice, kernel=3, channels=CHOKED),
    "dil_choke_conv_3x3": partial(_twice, kernel=3, dilation=2, channels=CHOKED),
    "sparse_sep_conv_3x3": partial(_twice, kernel=3, role="sparse_weight"),
    "sparse_sep_conv_5x5": partial(_twice, kernel=5, role="sparse_weight"),
    "sparse_dil_conv_3x3": partial(_separable, kernel=3, dilation=2, role="sparse_weight"),
    "sparse_dil_conv_5x5": partial(_separable, kernel=5, dilation=2, role="sparse_weight"),
}

NONE = "none"
"""The operation whose value is zero; what a space makes of it is its own matter."""
