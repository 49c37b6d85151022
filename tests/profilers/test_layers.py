"""What a network asks of hardware: checked against ONNX Runtime's own fusions and against the costs of graphs."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from profilers.errors import ModelRefused
from profilers.layers import CONV_ACTIVATIONS, GEMM_ACTIVATIONS, Layer, Product, layers
from profilers.model_check import check_model
from profilers.shapes import tensor_shapes
from search_spaces.costs.static import costs
from search_spaces.interchange.onnx_file import model_bytes
from search_spaces.registry import SPACES
from tests.profilers import onnx_models

ACTIVATIONS = sorted(
    {*CONV_ACTIVATIONS, *GEMM_ACTIVATIONS, "HardSwish", "Erf", "Exp", "Sqrt", "Neg", "Celu"} - {"Clip"}  # has bounds
)


def layers_of(model_bytes: bytes, batch: int = 1) -> list[Layer]:
    """The layers of an ONNX file."""
    model = check_model(model_bytes)
    return layers(model.graph, tensor_shapes(model, batch, {}))


def axes(rank: int) -> list[str]:
    """Names in the place of sizes."""
    return [f"axis{index}" for index in range(rank)]


def small(base: str, *after: onnx.NodeProto, shape: tuple[int, ...] = ()) -> bytes:
    """A `Conv`, `Gemm` or `MatMul` from `x` to `c`, and further nodes to `y`."""
    rng = np.random.default_rng(0)
    weight, shape = ((8, 8, 3, 3), shape or (1, 8, 6, 6)) if base == "Conv" else ((8, 8), shape or (4, 8))
    stored = {"w": weight, "b": (8,), "scale": (8,), "mean": (8,), "variance": (8,), "low": (), "high": ()}
    tensors = [numpy_helper.from_array(np.asarray(rng.random(size), np.float32), name) for name, size in stored.items()]
    nodes = [helper.make_node(base, ["x", "w"], ["c"], name="first"), *after]
    inputs, outputs = [("x", TensorProto.FLOAT, shape)], [("y", TensorProto.FLOAT, axes(len(shape)))]
    return onnx_models.model(nodes, inputs, outputs, tensors).SerializeToString()


def optimised(model: bytes, folder: Path) -> list[str]:
    """The operators that ONNX Runtime runs for a model."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node]


@pytest.mark.parametrize("base", ["Conv", "Gemm", "MatMul"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_fused_where_onnxruntime_does(base: str, activation: str, tmp_path: Path) -> None:
    """One layer exactly where ONNX Runtime makes one operator of both."""
    model = small(base, helper.make_node(activation, ["c"], ["y"]))
    assert (len(layers_of(model)) == 1) == (len(optimised(model, tmp_path)) == 1)


NORM = helper.make_node("BatchNormalization", ["c", "scale", "b", "mean", "variance"], ["n"])
CHAINS = {
    "clip after conv": small("Conv", helper.make_node("Clip", ["c", "low", "high"], ["y"])),
    "clip after gemm": small("Gemm", helper.make_node("Clip", ["c", "low", "high"], ["y"])),
    "norm and activation": small("Conv", NORM, helper.make_node("Relu", ["n"], ["y"])),
    "two activations": small("Conv", helper.make_node("Relu", ["c"], ["r"]), helper.make_node("Sigmoid", ["r"], ["y"])),
    "bias": small("MatMul", helper.make_node("Add", ["b", "c"], ["y"])),
    "bias and activation": small(
        "MatMul", helper.make_node("Add", ["c", "b"], ["a"]), helper.make_node("Relu", ["a"], ["y"])
    ),
    "residual": small("Conv", helper.make_node("Add", ["c", "c"], ["y"])),
    "two readers": small("Conv", helper.make_node("Relu", ["c"], ["r"]), helper.make_node("Add", ["r", "c"], ["y"])),
    "view": small("Conv", helper.make_node("Identity", ["c"], ["i"]), helper.make_node("Exp", ["i"], ["y"])),
    "constants": small("Conv", helper.make_node("Sqrt", ["b"], ["s"]), helper.make_node("PRelu", ["c", "high"], ["y"])),
}


@pytest.mark.parametrize("chain", CHAINS)
def test_chains_are_fused_where_onnxruntime_does(chain: str, tmp_path: Path) -> None:
    """As many layers as ONNX Runtime runs operators."""
    assert len(layers_of(CHAINS[chain])) == len(optimised(CHAINS[chain], tmp_path))


@pytest.mark.parametrize("name", SPACES)
def test_macs_are_those_of_the_graph(name: str) -> None:
    """The layers of a file have the multiply-adds that `costs.static` counts before it was written."""
    space = SPACES[name]()
    for genotype in space.sample(2, np.random.default_rng(0)):
        graph = space.graph(genotype)
        weights = {key: np.ones(value.shape, np.float32) for key, value in graph.parameters.items()}
        found = layers_of(model_bytes(graph, weights, {}))
        expected = costs(graph)
        assert sum(layer.macs for layer in found) == expected["macs"]
        # What is fused moves less, and nothing moves more.
        assert 0 < sum(layer.values for layer in found) * 4 <= expected["bytes_moved"]


def test_products_by_im2col() -> None:
    """A product has m output places, k weights of a filter, n filters of a group; the batch has its share of places."""
    weight = numpy_helper.from_array(np.ones((8, 2, 3, 5), np.float32), "w")
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], group=2, strides=[2, 1], name="conv")]
    model = onnx_models.model(
        nodes, [("x", TensorProto.FLOAT, ["N", 4, 11, 9])], [("y", TensorProto.FLOAT, axes(4))], [weight]
    ).SerializeToString()
    (layer,) = layers_of(model, batch=3)
    assert layer.product == Product(groups=2, m=3 * 5 * 5, k=2 * 3 * 5, n=4)
    assert (layer.input_values, layer.weight_values, layer.output_values) == (3 * 4 * 11 * 9, 240, 3 * 8 * 5 * 5)


@pytest.mark.parametrize(
    "a, b, product",
    [
        ((2, 3, 4, 5), (5, 6), Product(1, 24, 5, 6)),
        ((2, 3, 4, 5), (2, 3, 5, 6), Product(6, 4, 5, 6)),
        ((2, 3, 4, 5), (3, 5, 6), Product(3, 8, 5, 6)),
        ((4, 5), (3, 5, 6), Product(3, 4, 5, 6)),
        ((5,), (5, 6), Product(1, 1, 5, 6)),
        ((4, 5), (5,), Product(1, 4, 5, 1)),
    ],
)
def test_matrix_products(a: tuple[int, ...], b: tuple[int, ...], product: Product) -> None:
    """Matrices are multiplied one for each on the right, as NumPy broadcasts them."""
    nodes = [helper.make_node("MatMul", ["a", "b"], ["y"])]
    inputs = [("a", TensorProto.FLOAT, a), ("b", TensorProto.FLOAT, b)]
    result = np.matmul(np.ones(a), np.ones(b))
    outputs = [("y", TensorProto.FLOAT, axes(result.ndim))]
    (layer,) = layers_of(onnx_models.model(nodes, inputs, outputs).SerializeToString())
    assert layer.product == product
    assert layer.macs == result.size * a[-1]


def test_operations_of_other_operators() -> None:
    """Elementwise: a value each; a pool: its window; a reduction: what it reads; a slice reads what it writes."""
    nodes = [
        helper.make_node("MaxPool", ["x"], ["pool"], kernel_shape=[2, 3], strides=[2, 2]),
        helper.make_node("Sqrt", ["pool"], ["root"]),
        helper.make_node("Slice", ["root", "start", "end"], ["part"]),
        helper.make_node("GlobalAveragePool", ["part"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Softmax", ["flat"], ["y"]),
        helper.make_node("Exp", ["x"], ["nobody reads this"]),
    ]
    bounds = [helper.make_tensor(name, TensorProto.INT64, [2], value) for name, value in
              (("start", [0, 0]), ("end", [1, 2]))]  # fmt: skip
    inputs, outputs = [("x", TensorProto.FLOAT, [1, 4, 8, 9])], [("y", TensorProto.FLOAT, axes(2))]
    found = layers_of(onnx_models.model(nodes, inputs, outputs, bounds).SerializeToString())
    pooled = 4 * 4 * 4
    assert [(layer.op, layer.operations, layer.input_values, layer.output_values) for layer in found] == [
        ("MaxPool", pooled * 6, 4 * 8 * 9, pooled),
        ("Sqrt", pooled, pooled, pooled),
        ("Slice", 0, pooled // 2 + 4, pooled // 2),
        ("GlobalAveragePool", pooled // 2, pooled // 2, 2),
        ("Softmax", 6, 2, 2),
    ]


def reshaped_by_an_input() -> bytes:
    """A network whose shapes are data."""
    nodes = [helper.make_node("Reshape", ["x", "s"], ["r"]), helper.make_node("Relu", ["r"], ["y"])]
    inputs = [("x", TensorProto.FLOAT, [4]), ("s", TensorProto.INT64, [2])]
    return onnx_models.model(nodes, inputs, [("y", TensorProto.FLOAT, axes(2))]).SerializeToString()


@pytest.mark.parametrize(
    "model, message",
    [
        (onnx_models.endless_loop(), "node 'y' uses Loop, whose cost no analytic device models; allowed are Abs, Add"),
        (onnx_models.hidden_fill(4), "node 'places' uses NonZero, whose cost no analytic device models"),
        (reshaped_by_an_input(), "the shape of tensor '[ry]' is not known before the model runs"),
    ],
)
def test_what_is_not_modelled_is_refused(model: bytes, message: str) -> None:
    """No operator is taken for free because it is unknown."""
    with pytest.raises(ModelRefused, match=message):
        layers_of(model)
