"""Graphs as ONNX files and back: the checker, ONNX Runtime against torch, round trips, bad files."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from search_spaces import layers
from search_spaces.costs.static import costs
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.graph import Graph, GraphError
from search_spaces.identity import graph_hash
from search_spaces.interchange.onnx_file import model_bytes
from search_spaces.interchange.onnx_reader import read_model
from search_spaces.interpreter.torch_graph import TorchGraph

Weights = dict[str, np.ndarray]


def random_weights(graph: Graph, seed: int = 0) -> Weights:
    """Weights of a sensible size, variances positive."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, value in graph.parameters.items():
        array = rng.standard_normal(value.shape).astype(np.float32)
        fan = max(1, int(np.prod(value.shape[1:])))
        weights[name] = np.abs(array) + 0.5 if value.role == "variance" else array / np.float32(np.sqrt(fan))
    return weights


def agree(graph: Graph, weights: Weights, content: bytes, batch: int = 3) -> None:
    """ONNX Runtime on the file gives what torch gives on the graph, within 1e-4."""
    onnx.checker.check_model(content, full_check=True)
    rng = np.random.default_rng(1)
    inputs = [rng.standard_normal((batch, *value.shape[1:])).astype(np.float32) for value in graph.inputs]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.run(None, {value.name: array for value, array in zip(graph.inputs, inputs, strict=True)})
    tensors = {name: torch.tensor(array) for name, array in weights.items()}
    with torch.no_grad():
        expected = TorchGraph(graph).run(tensors, [torch.from_numpy(array) for array in inputs])
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs.numpy(), atol=1e-4, rtol=1e-4)


def zoo() -> Graph:
    """Norms that fold and norms that do not, constants, several inputs of one node, two outputs, a dead branch."""
    g = Graph("zoo")
    x = g.input("image", (1, 8, 6, 6))
    y = layers.conv(g, x, "a", 8, 3, bias=True)
    y = layers.activation(g, layers.batch_norm(g, y, "a.bn"), "a.act", "relu6")
    z = layers.conv(g, y, "b", 8)
    both = g.add("Add", layers.batch_norm(g, z, "b.bn"), z, name="both")  # z is read twice: not folded
    layers.conv_norm(g, both, "dead", 4)
    same = g.add("Identity", both, name="same")
    halves = g.add_split("Split", same, name="halves", names=("left", "right"), axis=1, num_outputs=2)
    w = layers.batch_norm(g, g.add("Identity", layers.conv(g, halves[0], "c", 4), name="still"), "c.bn")
    pooled = layers.global_pool(g, g.add("Concat", w, halves[1], name="cat", axis=1), "pool")
    hidden = layers.linear(g, pooled, "hidden", 12)
    hidden = layers.batch_norm(g, hidden, "hidden.bn")
    hidden = g.add("Gelu", hidden, name="gelu", approximate="tanh")
    wide = g.add("Reshape", hidden, g.constant("target", np.array([-1, 3, 4])), name="wide")
    wide = layers.linear(g, layers.layer_norm(g, wide, "ln"), "tokens", 5)
    g.output(g.add("Softmax", wide, name="softmax", axis=-1))
    g.output(layers.linear(g, pooled, "logits", 3, bias=False))
    return g


def test_file_agrees_with_torch() -> None:
    """A graph with all that is special runs the same; batch norms fold where they can and only there."""
    graph = zoo()
    weights = random_weights(graph)
    content = model_bytes(graph, weights)
    agree(graph, weights, content)
    model = onnx.load_model_from_string(content)
    assert [node.name for node in model.graph.node if node.op_type == "BatchNormalization"] == ["b.bn"]
    names = {tensor.name for tensor in model.graph.initializer}
    assert not any(name.startswith("dead") for name in names)
    assert "Identity" not in {node.op_type for node in model.graph.node}


def test_batch_is_symbolic_and_metadata_is_written() -> None:
    """Axis 0 is `N` in and out; metadata of any language comes back."""
    graph = zoo()
    content = model_bytes(graph, random_weights(graph), {"job": "süß", "empty": ""})
    model = onnx.load_model_from_string(content)
    for info in (*model.graph.input, *model.graph.output):
        assert info.type.tensor_type.shape.dim[0].dim_param == "N"
    assert {entry.key: entry.value for entry in model.metadata_props} == {"job": "süß", "empty": ""}
    assert read_model(content).metadata == {"job": "süß", "empty": ""}


def test_tied_weights_fold_apart() -> None:
    """Two batch norms behind one shared weight give two folded tensors."""
    g = Graph("tied")
    x = g.input("x", (1, 4, 5, 5))
    weight = g.parameter("shared", (4, 4, 1, 1))
    for name in ("one", "two"):
        x = layers.batch_norm(g, g.add("Conv", x, weight, name=name), f"{name}.bn")
    g.output(x)
    weights = random_weights(g)
    content = model_bytes(g, weights)
    agree(g, weights, content)
    assert len(read_model(content).weights) == 4


def test_views_of_larger_arrays_are_written() -> None:
    """Weights that are slices of a supernet's need not be contiguous."""
    graph = MobileNetV3(classes=10, resolutions=(32,)).graph(np.zeros(46, np.int16))
    weights = random_weights(graph)
    views = {}
    for name, array in weights.items():
        large = np.zeros([size + 2 for size in array.shape], np.float32)
        views[name] = large[tuple(slice(1, 1 + size) for size in array.shape)]
        views[name][...] = array
    assert model_bytes(graph, views) == model_bytes(graph, weights)


def test_round_trip_is_exact() -> None:
    """What is written is read back to the same bytes, the same hash and the same costs but for the folded norms."""
    for graph in (zoo(), MobileNetV3(classes=10).graph(np.zeros(46, np.int16))):
        content = model_bytes(graph, random_weights(graph), {"a": "b"})
        first = read_model(content)
        assert model_bytes(*first) == content
        assert graph_hash(first.graph) == graph_hash(read_model(content).graph)
        before, after = costs(graph), costs(first.graph)
        folded = before.pop("params") - after.pop("params")
        assert before == after
        assert folded >= 0
        agree(first.graph, first.weights, content)


def test_weights_that_do_not_fit_are_refused() -> None:
    """A missing or misshapen weight is named with its shape."""
    graph = zoo()
    weights = random_weights(graph)
    with pytest.raises(ValueError, match=r"parameter 'a.weight' is \(8, 8, 3, 3\), its weights are \(1,\)"):
        model_bytes(graph, weights | {"a.weight": np.zeros(1, np.float32)})
    del weights["c.weight"]
    with pytest.raises(ValueError, match=r"no weights are given for parameter 'c\.weight'"):
        model_bytes(graph, weights)


def test_attribute_that_cannot_be_written() -> None:
    """The node and the attribute are named."""
    g = Graph("odd")
    g.output(g.add("Relu", g.input("x", (1, 2)), name="act", how={"very": "odd"}))
    with pytest.raises(GraphError, match="node 'act': attribute 'how' cannot be written"):
        model_bytes(g, {})


def exported(
    *nodes: onnx.NodeProto, initializers: tuple[TensorProto, ...] = (), opset: int = 20, rank: int = 2
) -> bytes:
    """A file as others write it: from x (batch, 4) to y."""
    graph = helper.make_graph(
        list(nodes),
        "theirs",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "size"][:rank])],
        list(initializers),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return bytes(model.SerializeToString())


def test_unknown_operators_are_kept_and_named() -> None:
    """Nodes outside the vocabulary have the shapes that onnx infers, and no MACs; the rest is costed."""
    content = exported(
        helper.make_node("Gemm", ["x", "w"], ["h"], "fc"),
        helper.make_node("Softplus", ["h"], ["s"], "soft"),
        helper.make_node("Softplus", ["s"], ["t"]),
        helper.make_node("Tanh", ["t"], ["y"], "last"),
        initializers=(numpy_helper.from_array(np.ones((4, 6), np.float32), "w"),),
    )
    graph = read_model(content).graph
    assert graph.foreign() == {"Softplus": ["soft", "t"]}
    found = costs(graph)
    assert (found["macs"], found["params"]) == (24, 24)
    assert [value.shape for value in graph.outputs] == [(1, 6)]
    with pytest.raises(ValueError, match="Softplus"):
        TorchGraph(graph)


def test_older_files_are_converted() -> None:
    """Axes that were attributes before operator set 18 are read."""
    content = exported(helper.make_node("ReduceMean", ["x"], ["y"], axes=[1], keepdims=0), opset=13, rank=1)
    assert [value.shape for value in read_model(content).graph.outputs] == [(1,)]


def external() -> bytes:
    """A model whose weight points at a file."""
    tensor = numpy_helper.from_array(np.ones((4, 6), np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return exported(helper.make_node("Gemm", ["x", "w"], ["y"]), initializers=(tensor,))


def lying() -> bytes:
    """A tensor that says it is larger than its content."""
    tensor = numpy_helper.from_array(np.ones((4, 6), np.float32), "w")
    tensor.dims[0] = 1 << 40
    return exported(helper.make_node("Gemm", ["x", "w"], ["y"]), initializers=(tensor,))


def branching() -> bytes:
    """A node with graphs inside."""
    inside = helper.make_graph([], "inside", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)])
    return exported(helper.make_node("If", ["x"], ["y"], "fork", then_branch=inside, else_branch=inside))


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "not an ONNX model"),
        (b"not a model at all", "not an ONNX model"),
        (model_bytes(zoo(), random_weights(zoo()))[:-100], "not an ONNX model"),
        (external(), "tensor 'w' lies outside the file"),
        (lying(), "w"),
        (branching(), r"node 'fork' \(If\) has a sub-graph"),
        (exported(helper.make_node("Relu", ["x"], ["y"]), opset=9), "operator set 9"),
        (exported(helper.make_node("Relu", ["nowhere"], ["y"])), "nowhere"),
        (exported(helper.make_node("NonZero", ["x"], ["i"]), helper.make_node("Cast", ["i"], ["y"], to=1)), "NonZero"),
    ],
)
def test_bad_files_are_refused(content: bytes, message: str) -> None:
    """Every bad file is a ValueError that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        read_model(content)
