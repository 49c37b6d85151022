"""Small ONNX models, good and bad, made with onnx.helper."""

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper


def model(nodes, inputs=(), outputs=(), initializers=(), opsets=(("", 17),), functions=()) -> ModelProto:
    """Put a model together; inputs and outputs are (name, type, shape)."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        list(initializers),
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets]
    return helper.make_model(graph, opset_imports=imports, ir_version=8, functions=list(functions))


def conv_net(
    layers: int = 4, channels: int = 32, size: int = 32, batch: str | int | None = "N", seed: int = 0
) -> bytes:
    """A stack of 3x3 convolutions with ReLU; its cost is proportional to `layers`."""
    rng = np.random.default_rng(seed)
    nodes, weights, tensor, width = [], [], "image", 3
    for layer in range(layers):
        weight = rng.standard_normal((channels, width, 3, 3), dtype=np.float32) / np.sqrt(9 * width, dtype=np.float32)
        weights.append(numpy_helper.from_array(weight, f"weight{layer}"))
        nodes.append(helper.make_node("Conv", [tensor, f"weight{layer}"], [f"conv{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"conv{layer}"], [f"relu{layer}"]))
        tensor, width = f"relu{layer}", channels
    nodes.append(helper.make_node("GlobalAveragePool", [tensor], ["pooled"]))
    inputs = [("image", TensorProto.FLOAT, [batch, 3, size, size])]
    outputs = [("pooled", TensorProto.FLOAT, [batch, channels, 1, 1])]
    return model(nodes, inputs, outputs, weights).SerializeToString()


def relu(shape, elem_type: int = TensorProto.FLOAT) -> bytes:
    """One Relu on an input of the given shape."""
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    return model(nodes, [("x", elem_type, shape)], [("y", elem_type, shape)]).SerializeToString()


def fill(elements: int) -> bytes:
    """A model of some seventy bytes that asks for `elements` floats, as a constant shape."""
    shape = helper.make_tensor("s", TensorProto.INT64, [1], [elements])
    nodes = [helper.make_node("ConstantOfShape", ["s"], ["y"])]
    return model(nodes, [], [("y", TensorProto.FLOAT, ["M"])], [shape]).SerializeToString()


def hidden_fill(elements: int) -> bytes:
    """The same demand where no shape inference sees it: the shape is computed from the data of an input."""
    nodes = [
        helper.make_node("NonZero", ["x"], ["places"]),
        helper.make_node("ReduceSum", ["places", "axes"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "count"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["big"]),
        helper.make_node("ReduceMax", ["big"], ["y"], keepdims=0),
    ]
    weights = [
        helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
        helper.make_tensor("zero", TensorProto.INT64, [1], [0]),
        helper.make_tensor("count", TensorProto.INT64, [1], [elements]),
    ]
    inputs = [("x", TensorProto.FLOAT, ["N"])]
    return model(nodes, inputs, [("y", TensorProto.FLOAT, [])], weights).SerializeToString()


def endless_loop() -> bytes:
    """A Loop without a trip count whose condition stays true."""
    scalar = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["v"], ["w"])],
        "body",
        [scalar("i", TensorProto.INT64, []), scalar("go", TensorProto.BOOL, []), scalar("v", TensorProto.FLOAT, ["N"])],
        [scalar("go_on", TensorProto.BOOL, []), scalar("w", TensorProto.FLOAT, ["N"])],
    )
    weights = [helper.make_tensor("true", TensorProto.BOOL, [], [True])]
    nodes = [helper.make_node("Loop", ["", "true", "x"], ["y"], body=body)]
    value = (TensorProto.FLOAT, ["N"])
    made = model(nodes, [("x", *value)], [("y", *value)], weights)
    checker.check_model(made)
    return made.SerializeToString()


def external_data() -> bytes:
    """A weight that points at a file outside the model."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="/etc/passwd")
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    value = ("x", TensorProto.FLOAT, [4])
    return model(nodes, [value], [("y", *value[1:])], [weight]).SerializeToString()


def custom_operator() -> bytes:
    """An operator of a domain that ONNX does not define."""
    nodes = [helper.make_node("Steal", ["x"], ["y"], domain="com.example")]
    value = (TensorProto.FLOAT, [4])
    opsets = (("", 17), ("com.example", 1))
    return model(nodes, [("x", *value)], [("y", *value)], opsets=opsets).SerializeToString()


def bad_index() -> bytes:
    """A Gather of row 9 of 4."""
    nodes = [helper.make_node("Gather", ["x", "nine"], ["y"])]
    nine = helper.make_tensor("nine", TensorProto.INT64, [1], [9])
    inputs = [("x", TensorProto.FLOAT, ["N", 4])]
    return model(nodes, inputs, [("y", TensorProto.FLOAT, [1, 4])], [nine]).SerializeToString()
