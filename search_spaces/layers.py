"""The idioms of networks, as short sequences of operators on a graph.

Each takes the graph, the value it extends and the name under which its nodes and parameters appear; the name is
also what weight sharing goes by: the same name in two graphs is the same shared tensor.
"""

from collections.abc import Callable

import numpy as np

from search_spaces.graph import Graph, Role, Value


def make_divisible(channels: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `channels`, but never more than 10 % below it (MobileNetV2)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def conv(
    g: Graph,
    x: Value,
    name: str,
    channels: int,
    kernel: int = 1,
    *,
    stride: int = 1,
    groups: int = 1,
    bias: bool = False,
    dilation: int = 1,
    role: Role = "weight",
) -> Value:
    """Two-dimensional convolution, padded so that stride 1 keeps the size: (1, C, H, W) -> (1, channels, H', W')."""
    weight = g.parameter(f"{name}.weight", (channels, x.shape[1] // groups, kernel, kernel), role)
    offset = g.parameter(f"{name}.bias", (channels,), "bias") if bias else None
    pad = dilation * (kernel - 1) // 2
    inputs = (x, weight) if offset is None else (x, weight, offset)
    return g.add(
        "Conv",
        *inputs,
        name=name,
        kernel_shape=[kernel, kernel],
        strides=[stride, stride],
        pads=[pad] * 4,
        dilations=[dilation, dilation],
        group=groups,
    )


def batch_norm(g: Graph, x: Value, name: str, *, epsilon: float = 1e-5) -> Value:
    """Batch normalisation over axis 1."""
    size = (x.shape[1],)
    return g.add(
        "BatchNormalization",
        x,
        g.parameter(f"{name}.weight", size, "scale"),
        g.parameter(f"{name}.bias", size, "bias"),
        g.parameter(f"{name}.running_mean", size, "mean"),
        g.parameter(f"{name}.running_var", size, "variance"),
        name=name,
        epsilon=epsilon,
    )


def layer_norm(g: Graph, x: Value, name: str, *, epsilon: float = 1e-5) -> Value:
    """Layer normalisation over the last axis."""
    size = (x.shape[-1],)
    weight, bias = g.parameter(f"{name}.weight", size, "scale"), g.parameter(f"{name}.bias", size, "bias")
    return g.add("LayerNormalization", x, weight, bias, name=name, axis=-1, epsilon=epsilon)


def linear(g: Graph, x: Value, name: str, features: int, *, bias: bool = True) -> Value:
    """Affine map of the last axis: `Gemm` for (1, C), `MatMul` and `Add` for more axes."""
    if len(x.shape) == 2:
        weight = g.parameter(f"{name}.weight", (features, x.shape[1]))
        offset = (g.parameter(f"{name}.bias", (features,), "bias"),) if bias else ()
        return g.add("Gemm", x, weight, *offset, name=name, transB=1)
    weight = g.parameter(f"{name}.weight", (x.shape[-1], features))
    if not bias:
        return g.add("MatMul", x, weight, name=name)
    product = g.add("MatMul", x, weight, name=f"{name}.product")
    return g.add("Add", product, g.parameter(f"{name}.bias", (features,), "bias"), name=name)


def _hard_sigmoid(g: Graph, x: Value, name: str) -> Value:
    return g.add("HardSigmoid", x, name=name, alpha=1 / 6, beta=0.5)


def _relu6(g: Graph, x: Value, name: str) -> Value:
    low = g.constant(f"{name}.min", np.array(0, np.float32))
    high = g.constant(f"{name}.max", np.array(6, np.float32))
    return g.add("Clip", x, low, high, name=name)


def _swish(g: Graph, x: Value, name: str) -> Value:
    return g.add("Mul", x, g.add("Sigmoid", x, name=f"{name}.sigmoid"), name=name)


ACTIVATIONS: dict[str, Callable[[Graph, Value, str], Value]] = {
    "gelu": lambda g, x, name: g.add("Gelu", x, name=name),
    "h_sigmoid": _hard_sigmoid,
    "h_swish": lambda g, x, name: g.add("HardSwish", x, name=name),
    "relu": lambda g, x, name: g.add("Relu", x, name=name),
    "relu6": _relu6,
    "sigmoid": lambda g, x, name: g.add("Sigmoid", x, name=name),
    "swish": _swish,
    "tanh": lambda g, x, name: g.add("Tanh", x, name=name),
}


def activation(g: Graph, x: Value, name: str, kind: str) -> Value:
    """An activation by name.

    Raises:
        ValueError: an unknown activation; the known ones are named.
    """
    if kind not in ACTIVATIONS:
        raise ValueError(f"activation {kind!r} is not known; known: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[kind](g, x, name)


def conv_norm(
    g: Graph,
    x: Value,
    name: str,
    channels: int,
    kernel: int = 1,
    *,
    stride: int = 1,
    groups: int = 1,
    act: str | None = None,
    epsilon: float = 1e-5,
) -> Value:
    """Convolution without bias, batch normalisation and, if `act` names one, an activation."""
    x = conv(g, x, f"{name}.conv", channels, kernel, stride=stride, groups=groups)
    x = batch_norm(g, x, f"{name}.bn", epsilon=epsilon)
    return x if act is None else activation(g, x, f"{name}.act", act)


def squeeze_excite(g: Graph, x: Value, name: str, reduced: int, *, act: str = "relu", gate: str = "h_sigmoid") -> Value:
    """Squeeze-and-excitation gate on channels (arXiv 1709.01507); by default with MobileNetV3's hard sigmoid."""
    y = g.add("GlobalAveragePool", x, name=f"{name}.pool")
    y = conv(g, y, f"{name}.reduce", reduced, bias=True)
    y = activation(g, y, f"{name}.{act}", act)
    y = conv(g, y, f"{name}.expand", x.shape[1], bias=True)
    return g.add("Mul", x, activation(g, y, f"{name}.gate", gate), name=f"{name}.scale")


def global_pool(g: Graph, x: Value, name: str) -> Value:
    """Average over all positions: (1, C, H, W) -> (1, C)."""
    return g.add("Flatten", g.add("GlobalAveragePool", x, name=f"{name}.pool"), name=name, axis=1)
