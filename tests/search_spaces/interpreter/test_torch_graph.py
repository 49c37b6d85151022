"""The torch interpreter, held against ONNX's reference evaluator and ONNX Runtime."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from search_spaces.graph import Graph, GraphError, Value
from search_spaces.interpreter.torch_graph import Calibration, TorchGraph
from search_spaces.interpreter.torch_operators import TORCH_OPERATORS
from search_spaces.layers import conv
from search_spaces.operators import OPERATORS

Array = NDArray[Any]
Build = Callable[[Graph, Value], Value | list[Value]]
IMAGE = (3, 4, 7, 6)


def const(g: Graph, *numbers: int) -> Value:
    """A constant list of integers."""
    return g.constant(f"constant{len(g.constants)}", np.array(numbers, np.int64))


def scalar(g: Graph, number: float) -> Value:
    """A constant number."""
    return g.constant(f"constant{len(g.constants)}", np.array(number, np.float32))


def case(op: str, *rest: tuple[int, ...], **attributes: Any) -> Build:
    """One node over the input and further parameters of these shapes."""

    def build(g: Graph, x: Value) -> Value:
        return g.add(op, x, *[g.parameter(f"w{i}", shape) for i, shape in enumerate(rest)], name="y", **attributes)

    return build


def after(op: str, *numbers: tuple[int, ...] | int, **attributes: Any) -> Build:
    """One node over the input and further constants."""

    def build(g: Graph, x: Value) -> Value:
        constants = [g.constant(f"c{i}", np.array(number, np.int64)) for i, number in enumerate(numbers)]
        return g.add(op, x, *constants, name="y", **attributes)

    return build


def layer_norm(g: Graph, x: Value) -> Value:
    """Normalisation with scale and bias."""
    scale, bias = g.parameter("s", (6,), "scale"), g.parameter("b", (6,), "bias")
    return g.add("LayerNormalization", x, scale, bias, name="y", axis=-1, epsilon=1e-3)


def batch_norm(g: Graph, x: Value) -> Value:
    """Batch norm with stored statistics."""
    roles = ("scale", "bias", "mean", "variance")
    return g.add("BatchNormalization", x, *[g.parameter(role, (4,), role) for role in roles], name="y", epsilon=1e-2)


CASES: dict[str, tuple[tuple[int, ...], Build]] = {
    "Add": (IMAGE, case("Add", (4, 1, 6))),
    "AveragePool": (IMAGE, case("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])),
    "AveragePool counting pads": (
        IMAGE,
        case("AveragePool", kernel_shape=[3, 2], pads=[1, 1, 1, 1], count_include_pad=1),
    ),
    "AveragePool asymmetric": (IMAGE, case("AveragePool", kernel_shape=[3, 3], pads=[0, 1, 2, 1])),
    "AveragePool asymmetric counting": (
        IMAGE,
        case("AveragePool", kernel_shape=[3, 3], pads=[0, 1, 2, 1], count_include_pad=1),
    ),
    "AveragePool ceil": (IMAGE, case("AveragePool", kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1)),
    "AveragePool dilated": (IMAGE, case("AveragePool", kernel_shape=[2, 2], dilations=[2, 2])),
    "BatchNormalization": (IMAGE, batch_norm),
    "Clip": (IMAGE, lambda g, x: g.add("Clip", x, scalar(g, -0.5), scalar(g, 0.25), name="y")),
    "Clip from below": (IMAGE, lambda g, x: g.add("Clip", x, scalar(g, 0), name="y")),
    "Clip from above": (IMAGE, lambda g, x: g.add("Clip", x, None, scalar(g, 0), name="y")),
    "Clip by tensors": (IMAGE, lambda g, x: g.add("Clip", x, None, g.parameter("w0", ()), name="y")),
    "Concat": (IMAGE, lambda g, x: g.add("Concat", x, g.add("Relu", x, name="r"), name="y", axis=-3)),
    "Conv": (IMAGE, case("Conv", (5, 4, 3, 3), (5,), kernel_shape=[3, 3], strides=[2, 1], pads=[1, 1, 1, 1])),
    "Conv asymmetric": (IMAGE, case("Conv", (5, 4, 2, 3), kernel_shape=[2, 3], pads=[1, 0, 0, 2])),
    "Conv grouped, dilated": (IMAGE, case("Conv", (6, 2, 2, 3), kernel_shape=[2, 3], dilations=[2, 2], group=2)),
    "Conv depthwise": (IMAGE, case("Conv", (4, 1, 5, 5), kernel_shape=[5, 5], pads=[2] * 4, strides=[2, 2], group=4)),
    "Conv depthwise, two for each": (IMAGE, case("Conv", (8, 1, 3, 3), kernel_shape=[3, 3], pads=[1] * 4, group=4)),
    "Conv 1d": ((3, 4, 9), case("Conv", (5, 4, 3), kernel_shape=[3], pads=[2, 1])),
    "Conv defaults": (IMAGE, case("Conv", (5, 4, 3, 3))),
    "CumSum": (IMAGE, after("CumSum", 2)),
    "CumSum exclusive": (IMAGE, after("CumSum", -1, exclusive=1)),
    "CumSum reverse": (IMAGE, after("CumSum", 1, reverse=1, exclusive=1)),
    "Div": (IMAGE, lambda g, x: g.add("Div", x, scalar(g, 3), name="y")),
    "Elu": (IMAGE, case("Elu", alpha=0.7)),
    "Erf": (IMAGE, case("Erf")),
    "Exp": (IMAGE, case("Exp")),
    "Flatten": (IMAGE, case("Flatten")),
    "Flatten axis 2": (IMAGE, case("Flatten", axis=2)),
    "Flatten axis -1": (IMAGE, case("Flatten", axis=-1)),
    "Gather": (IMAGE, lambda g, x: g.add("Gather", x, const(g, 2, -1, 0), name="y", axis=1)),
    "Gather one": (IMAGE, lambda g, x: g.add("Gather", x, g.constant("i", np.array(1)), name="y", axis=-1)),
    "Gather table": (
        IMAGE,
        lambda g, x: g.add("Add", x, g.add("Gather", g.parameter("w", (9, 6)), const(g, 3), name="r"), name="y"),
    ),
    "Gelu": (IMAGE, case("Gelu")),
    "Gelu tanh": (IMAGE, case("Gelu", approximate="tanh")),
    "Gemm": ((3, 8), case("Gemm", (5, 8), (5,), transB=1)),
    "Gemm scaled": ((3, 8), case("Gemm", (8, 5), (1, 5), alpha=0.5, beta=2.0)),
    "Gemm without bias": ((3, 8), case("Gemm", (8, 5))),
    "GlobalAveragePool": (IMAGE, case("GlobalAveragePool")),
    "HardSigmoid": (IMAGE, case("HardSigmoid")),
    "HardSigmoid of MobileNetV3": (IMAGE, case("HardSigmoid", alpha=1 / 6, beta=0.5)),
    "HardSwish": (IMAGE, case("HardSwish")),
    "Identity": (IMAGE, case("Identity")),
    "LayerNormalization": (IMAGE, layer_norm),
    "LayerNormalization without bias": (IMAGE, case("LayerNormalization", (7, 6), axis=-2)),
    "MatMul": (IMAGE, case("MatMul", (6, 5))),
    "MaxPool": (IMAGE, case("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])),
    "MaxPool asymmetric": (IMAGE, case("MaxPool", kernel_shape=[3, 3], pads=[0, 1, 2, 1])),
    "MaxPool ceil": (IMAGE, case("MaxPool", kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1)),
    "MaxPool dilated": (IMAGE, case("MaxPool", kernel_shape=[2, 2], dilations=[2, 3])),
    "MaxPool 1d": ((3, 4, 9), case("MaxPool", kernel_shape=[3], strides=[2])),
    "Mul": (IMAGE, case("Mul", (4, 7, 6))),
    "Pad": (IMAGE, lambda g, x: g.add("Pad", x, const(g, 0, 1, 2, 0, 0, 0, 1, 3), scalar(g, 0.5), name="y")),
    "Pad edge": (IMAGE, after("Pad", (0, 0, 2, 0, 0, 0, 1, 3), mode="edge")),
    "Pad reflect": (IMAGE, after("Pad", (0, 0, 2, 0, 0, 0, 1, 3), mode="reflect")),
    "Pad wrap": (IMAGE, after("Pad", (0, 0, 2, 0, 0, 0, 1, 3), mode="wrap")),
    "ReduceMean": (IMAGE, after("ReduceMean", (2, -1))),
    "ReduceMean of all": (IMAGE, case("ReduceMean", keepdims=0)),
    "ReduceSum": (IMAGE, after("ReduceSum", (1,), keepdims=0)),
    "Relu": (IMAGE, case("Relu")),
    "Reshape": (IMAGE, after("Reshape", (-1, 2, 14, 6))),
    "Reshape copying sizes": (IMAGE, after("Reshape", (0, 0, -1))),
    "Sigmoid": (IMAGE, case("Sigmoid")),
    "Slice": (IMAGE, after("Slice", (1, -4), (3, 9999), (1, 2))),
    "Slice steps": (IMAGE, after("Slice", (0, 1), (9, 6), (2, 3), (3, 2))),
    "Slice backwards": (IMAGE, after("Slice", (-1, 2), (-9999, 0), (3, 1), (-2, -1))),
    "Softmax": (IMAGE, case("Softmax")),
    "Softmax axis 1": (IMAGE, case("Softmax", axis=1)),
    "Split": (IMAGE, lambda g, x: g.add_split("Split", x, name="y", names=("a", "b"), axis=1, num_outputs=2)),
    "Split unevenly": (IMAGE, lambda g, x: g.add_split("Split", x, name="y", names="abc", axis=2, num_outputs=3)),
    "Split sizes": (
        IMAGE,
        lambda g, x: g.add_split("Split", x, const(g, 1, 5), name="y", names=("a", "b"), axis=-1),
    ),
    "Sqrt": (IMAGE, lambda g, x: g.add("Sqrt", g.add("Mul", x, x, name="square"), name="y")),
    "Sub": (IMAGE, case("Sub", (7, 1))),
    "Tanh": (IMAGE, case("Tanh")),
    "Transpose": (IMAGE, case("Transpose", perm=[0, 2, 3, 1])),
    "Transpose reversed": (IMAGE, case("Transpose")),
}


def built(shape: tuple[int, ...], build: Build) -> Graph:
    """The graph of a case."""
    g = Graph("case")
    outputs = build(g, g.input("x", (1, *shape[1:])))
    for output in outputs if isinstance(outputs, list) else [outputs]:
        g.output(output)
    return g


def onnx_model(g: Graph, tensors: dict[str, Array]) -> onnx.ModelProto:
    """The graph as ONNX, written here and not by the package: one node for each node."""
    nodes = [helper.make_node(n.op, n.inputs, n.outputs, n.name, **n.attributes) for n in g.nodes]
    arrays = {**tensors, **{name: value.data for name, value in g.constants.items()}}
    initialisers = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    inputs = [helper.make_tensor_value_info(v.name, 1, [None, *v.shape[1:]]) for v in g.inputs]
    outputs = [helper.make_tensor_value_info(v.name, 1, None) for v in g.outputs]
    graph = helper.make_graph(nodes, "case", inputs, outputs, initialisers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def random_tensors(g: Graph, rng: np.random.Generator) -> dict[str, Array]:
    """A value for each parameter; variances positive."""
    arrays = {name: rng.standard_normal(p.shape).astype(np.float32) for name, p in g.parameters.items()}
    return {name: np.abs(a) + 0.1 if g.parameters[name].role == "variance" else a for name, a in arrays.items()}


def as_torch(tensors: dict[str, Array]) -> dict[str, torch.Tensor]:
    """The same tensors for torch."""
    return {name: torch.from_numpy(array) for name, array in tensors.items()}


# the reference evaluator exchanges height and width where a max pool's pads are not symmetric
PAIRS = [(name, peer) for name in CASES for peer in ("reference", "runtime")]
PAIRS.remove(("MaxPool asymmetric", "reference"))


@pytest.mark.parametrize("name, peer", PAIRS)
def test_operators_agree_with_onnx(name: str, peer: str) -> None:
    """Each operator with its attributes computes what ONNX says, at a batch size other than the graph's."""
    shape, build = CASES[name]
    rng = np.random.default_rng(0)
    g = built(shape, build)
    tensors, x = random_tensors(g, rng), rng.standard_normal(shape).astype(np.float32)
    model = onnx_model(g, tensors)
    if peer == "reference":
        expected = ReferenceEvaluator(model).run(None, {"x": x})
    else:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        expected = session.run(None, {"x": x})
    with torch.no_grad():
        outputs = TorchGraph(g).run(as_torch(tensors), [torch.from_numpy(x)])
    assert len(outputs) == len(expected)
    for output, wanted in zip(outputs, expected, strict=True):
        assert output.shape == wanted.shape
        np.testing.assert_allclose(output.numpy(), wanted, rtol=1e-4, atol=1e-5)


def test_every_operator_has_a_torch_function_and_a_case() -> None:
    """The vocabulary, the interpreter and the cases above name the same operators."""
    assert {*TORCH_OPERATORS, "BatchNormalization"} == set(OPERATORS)
    assert {name.split()[0] for name in CASES} == set(OPERATORS)


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("Sqrt", "BatchNormalization")])
def test_gradients_reach_input_and_parameters(name: str) -> None:
    """Every operator is differentiable in its input and parameters: finite gradients of the right shape."""
    shape, build = CASES[name]
    rng = np.random.default_rng(0)
    g = built(shape, build)
    tensors = {key: value.requires_grad_() for key, value in as_torch(random_tensors(g, rng)).items()}
    x = torch.from_numpy(rng.standard_normal(shape).astype(np.float32)).requires_grad_()
    outputs = TorchGraph(g).run(tensors, [x])
    torch.autograd.backward([output.sin().sum() for output in outputs])
    for tensor in (x, *tensors.values()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()


def norm_graph() -> Graph:
    """Convolution, batch norm, relu, batch norm."""
    g = Graph("norms")
    x = g.input("x", (1, 3, 5, 5))
    x = g.add("Conv", x, g.parameter("conv.weight", (4, 3, 3, 3)), name="conv", kernel_shape=[3, 3])
    for index in range(2):
        roles = ("scale", "bias", "mean", "variance")
        x = g.add(
            "BatchNormalization", x, *[g.parameter(f"{role}{index}", (4,), role) for role in roles], name=f"n{index}"
        )
        x = g.add("Relu", x, name=f"relu{index}")
    g.output(x)
    return g


def test_batch_statistics_are_those_of_torch_modules() -> None:
    """In mode `batch` the result is that of `nn.BatchNorm2d` in training, and needs no statistics."""
    g, x = built(IMAGE, batch_norm), torch.randn(IMAGE, generator=torch.Generator().manual_seed(0))
    module = torch.nn.BatchNorm2d(4, eps=1e-2)
    tensors = {"scale": torch.ones(4), "bias": torch.zeros(4)}
    (y,) = TorchGraph(g).run(tensors, [x], batch_norm="batch")
    torch.testing.assert_close(y, module(x))


def test_calibration_is_the_population_over_unequal_batches() -> None:
    """Joined batches give the mean and variance of all values together, layer by layer."""
    g = norm_graph()
    tensors = as_torch(random_tensors(g, np.random.default_rng(0)))
    batches = [5 * torch.randn((n, 3, 5, 5), generator=torch.Generator().manual_seed(n)) + n for n in (2, 7, 4)]
    plan, calibration = TorchGraph(g), Calibration()
    runs = [plan.run(tensors, [batch], batch_norm=calibration)[0] for batch in batches]
    inner = torch.cat([torch.nn.functional.conv2d(batch, tensors["conv.weight"]) for batch in batches]).double()
    found = calibration.statistics()
    torch.testing.assert_close(found["mean0"].double(), inner.mean((0, 2, 3)))
    torch.testing.assert_close(found["variance0"].double(), inner.var((0, 2, 3), correction=0))
    trained = [plan.run(tensors, [batch], batch_norm="batch")[0] for batch in batches]
    torch.testing.assert_close(torch.cat(runs), torch.cat(trained))
    assert set(found) == {"mean0", "variance0", "mean1", "variance1"}


def test_one_batch_calibrated_is_the_batch_itself() -> None:
    """Statistics of one batch, stored, give what batch statistics gave on it."""
    g = norm_graph()
    tensors = as_torch(random_tensors(g, np.random.default_rng(0)))
    x = torch.randn((6, 3, 5, 5), generator=torch.Generator().manual_seed(0))
    plan, calibration = TorchGraph(g), Calibration()
    (y,) = plan.run(tensors, [x], batch_norm=calibration)
    (stored,) = plan.run({**tensors, **calibration.statistics()}, [x])
    torch.testing.assert_close(stored, y, rtol=1e-4, atol=1e-5)


def test_calibration_refuses_one_value_a_channel() -> None:
    """A single value has no variance."""
    g = built((1, 4), batch_norm)
    tensors = as_torch(random_tensors(g, np.random.default_rng(0)))
    with pytest.raises(ValueError, match="need at least 2 values a channel, got 1"):
        TorchGraph(g).run(tensors, [torch.zeros(1, 4)], batch_norm=Calibration())


def test_missing_tensors_and_inputs_are_named() -> None:
    """What is missing is said by name."""
    g = norm_graph()
    tensors = as_torch(random_tensors(g, np.random.default_rng(0)))
    plan, x = TorchGraph(g), torch.zeros(2, 3, 5, 5)
    del tensors["mean1"]
    with pytest.raises(ValueError, match="statistics or parameter 'mean1'"):
        plan.run(tensors, [x])
    with pytest.raises(ValueError, match=r"takes 1 inputs \('x',\), got 2"):
        plan.run(tensors, [x, x])
    with pytest.raises(ValueError, match="'running' is not known; known: batch, stored"):
        plan.run(tensors, [x], batch_norm="running")  # type: ignore[arg-type]  # refused at run time


def test_strided_convolutions_of_one_pixel_with_few_channels() -> None:
    """They are torch's own, gradients too; with channels last torch itself may corrupt memory here."""
    g = Graph("strided")
    x = g.input("x", (1, 3, 7, 8))
    g.output(conv(g, x, "conv", 4, stride=2, bias=True))
    generator = torch.Generator().manual_seed(0)
    weight, bias, image = (torch.randn(shape, generator=generator) for shape in ((4, 3, 1, 1), (4,), (2, 3, 7, 8)))
    found, expected = [], []
    for layout, results in ((torch.channels_last, found), (torch.contiguous_format, expected)):
        tensors = [each.clone().requires_grad_() for each in (weight, bias)]
        pixels = image.contiguous(memory_format=layout).requires_grad_()
        if results is found:
            y = TorchGraph(g).run({"conv.weight": tensors[0], "conv.bias": tensors[1]}, [pixels])[0]
        else:
            y = torch.conv2d(pixels, *tensors, stride=2)
        results += [y, *torch.autograd.grad(y.square().sum(), [*tensors, pixels])]
    torch.testing.assert_close(found, expected)


def test_unsupported_attributes_are_refused() -> None:
    """An attribute that the shape inference does not know either is no silent default."""
    g = built(IMAGE, case("MaxPool", kernel_shape=[2, 2], auto_pad="SAME_UPPER"))
    with pytest.raises(GraphError, match="'y': MaxPool with auto_pad is not supported"):
        TorchGraph(g)


def test_dead_activations_are_freed() -> None:
    """Between two steps only what is still needed is alive."""
    g = Graph("chain")
    value = g.input("x", (1, 4))
    for index in range(5):
        value = g.add("Relu", value, name=f"relu{index}")
    g.output(value)
    plan = TorchGraph(g)
    assert [len(dead) for *_, dead in plan._steps] == [1] * 5
