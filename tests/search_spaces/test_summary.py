"""What is told of an ONNX file: costs, operators, nodes, and what is unknown."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from search_spaces.costs.static import costs
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.interchange.onnx_file import model_bytes
from search_spaces.interchange.onnx_reader import read_model
from search_spaces.summary import summarise


def test_sums_agree(small_space: MobileNetV3) -> None:
    """Operators and nodes add up to the network's costs, which are those of its graph."""
    graph = small_space.graph(small_space.largest())
    rng = np.random.default_rng(0)
    weights = {
        name: np.abs(rng.standard_normal(value.shape)).astype(np.float32) for name, value in graph.parameters.items()
    }
    model = read_model(model_bytes(graph, weights, {"job": "x"}))
    found = summarise(model)
    assert found["costs"] == costs(model.graph)
    for rows in (found["operators"], found["nodes"]):
        for metric in ("macs", "params", "bytes_moved"):
            assert sum(row[metric] for row in rows) == found["costs"][metric]
    assert sum(row["nodes"] for row in found["operators"]) == len(found["nodes"])
    assert found["inputs"] == [{"name": "image", "shape": [1, 1, 8, 8], "dtype": "float32"}]
    assert (found["unknown"], found["metadata"]) == ({}, {"job": "x"})
    first = found["nodes"][0]
    assert (first["op"], first["inputs"][0], first["outputs"]) == ("Conv", [1, 1, 8, 8], [[1, 8, 8, 8]])


def test_computed_shapes_are_followed() -> None:
    """A reshape to a shape that the file computes from the batch is read, and runs for any batch."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Concat", ["batch", "two"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
        helper.make_node("Softplus", ["y"], ["z"], "soft"),
    ]
    graph = helper.make_graph(
        nodes,
        "computed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 2, 3])],
        [numpy_helper.from_array(np.array([0]), "zero"), numpy_helper.from_array(np.array([2, 3]), "two")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    read = read_model(model.SerializeToString())
    assert summarise(read)["outputs"] == [{"name": "z", "shape": [1, 2, 3], "dtype": "float32"}]
    assert summarise(read)["unknown"] == {"Softplus": ["soft"]}
    (reshape,) = [node for node in read.graph.nodes if node.op == "Reshape"]
    np.testing.assert_array_equal(read.graph.values[reshape.inputs[1]].data, [0, 2, 3])
