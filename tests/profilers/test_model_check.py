"""Untrusted ONNX files: what is refused, and that good ones are not."""

import random

import onnxruntime as ort
import pytest
from onnx import ModelProto, TensorProto, helper
from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

from profilers.errors import ModelRefused
from profilers.limits import Limits
from profilers.model_check import RUNTIME_OPERATORS, check_model
from tests.profilers import onnx_models

VALUE = (TensorProto.FLOAT, [4])


def in_branch(node: object, *initializers: TensorProto) -> bytes:
    """A model whose If has the given node in both branches, where a careless check does not look."""
    output = helper.make_tensor_value_info("b", *VALUE)
    branch = helper.make_graph([node], "branch", [], [output], list(initializers))
    choose = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    inputs = [("c", TensorProto.BOOL, []), ("x", *VALUE)]
    opsets = (("", 17), ("com.example", 1))
    return onnx_models.model([choose], inputs, [("y", *VALUE)], opsets=opsets).SerializeToString()


def constant(tensor: TensorProto) -> object:
    """A Constant node that holds a tensor."""
    return helper.make_node("Constant", [], ["b"], value=tensor)


def external() -> TensorProto:
    """A tensor whose data lies in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../secrets")
    return tensor


def test_good_models_pass() -> None:
    """A network and a model with a local function are let through and come back parsed."""
    assert len(check_model(onnx_models.conv_net()).graph.node) == 9
    body = [helper.make_node("Relu", ["a"], ["b"])]
    function = helper.make_function("local", "Own", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    node = helper.make_node("Own", ["x"], ["y"], domain="local")
    made = onnx_models.model(
        [node], [("x", *VALUE)], [("y", *VALUE)], opsets=(("", 17), ("local", 1)), functions=[function]
    )
    check_model(made.SerializeToString())


def runtime_operator(name: str) -> bytes:
    """A model with an operator of ONNX Runtime's own."""
    node = helper.make_node(name, ["x"], ["y"], domain="com.microsoft")
    opsets = (("", 17), ("com.microsoft", 1))
    return onnx_models.model([node], [("x", *VALUE)], [("y", *VALUE)], opsets=opsets).SerializeToString()


def test_operators_of_the_runtime() -> None:
    """What ONNX Runtime's optimiser writes into files is let through, and runs."""
    check_model(runtime_operator("QuickGelu"))
    ort.InferenceSession(runtime_operator("QuickGelu"), providers=["CPUExecutionProvider"])
    names = {schema.name for schema in get_all_operator_schema() if schema.domain == "com.microsoft"}
    assert set(RUNTIME_OPERATORS) <= names


@pytest.mark.parametrize(
    "model, message",
    [
        (
            in_branch(constant(external())),
            "attribute 'value' of node 'Constant' of graph 'branch' keeps its data in '../",
        ),
        (in_branch(helper.make_node("Identity", ["w"], ["b"]), external()), "initializer 'w' keeps its data in"),
        (in_branch(helper.make_node("Evil", ["x"], ["b"], domain="com.example")), "custom operator com.example.Evil"),
        (runtime_operator("EPContext"), "uses com.microsoft.EPContext; of ONNX Runtime's own operators are allowed: "),
        (onnx_models.relu([1 << 20, 1 << 20]), "asks for 4,398,046,511,104 bytes; allowed are 4,294,967,296"),
        (onnx_models.relu([-5, 4]), "must not be negative|not valid ONNX"),
        (ModelProto().SerializeToString(), "0 bytes"),
        (ModelProto(ir_version=8).SerializeToString(), "no nodes"),
    ],
)
def test_bad_models_are_refused(model: bytes, message: str) -> None:
    """Bad parts are found in subgraphs and attributes as well."""
    with pytest.raises(ModelRefused, match=message):
        check_model(model)


def test_weights_that_claim_more_than_they_hold() -> None:
    """An initialiser of a few bytes with a huge shape is refused."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 40], raw_data=b"1234")
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    made = onnx_models.model(nodes, [("x", *VALUE)], [("y", *VALUE)], [weight])
    with pytest.raises(ModelRefused, match="initializer 'w' has the shape"):
        check_model(made.SerializeToString())


def test_sparse_weights_count_as_dense() -> None:
    """A sparse initialiser is refused for the dense tensor that it becomes."""
    values = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    made = onnx_models.model([helper.make_node("Add", ["x", "w"], ["y"])], [("x", *VALUE)], [("y", *VALUE)])
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [1 << 40]))
    with pytest.raises(ModelRefused, match="sparse initializer 'w' has the shape"):
        check_model(made.SerializeToString())


def test_size_limit() -> None:
    """A file over the size limit is refused before it is parsed."""
    with pytest.raises(ModelRefused, match=r"has 100 bytes; allowed are 1 to 99"):
        check_model(bytes(100), Limits(model_bytes=99))


def test_any_damage_gives_the_one_error() -> None:
    """Truncation anywhere and flipped bytes give ModelRefused or a model, and nothing else."""
    good = onnx_models.endless_loop()
    rng = random.Random(0)
    damaged = [good[:end] for end in range(len(good))]
    for _ in range(300):
        changed = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(good))] = rng.randrange(256)
        damaged.append(bytes(changed))
    refused = 0
    for model in damaged:
        try:
            check_model(model)
        except ModelRefused:
            refused += 1
    assert refused > len(damaged) / 2


@pytest.mark.parametrize("name", ["model_bytes", "memory_bytes", "cpu_s", "wall_s", "queue_s"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_limits_are_positive_numbers(name: str, value: float) -> None:
    """There is no such thing as no limit."""
    with pytest.raises(ValueError, match=f"limit {name} must be a positive number"):
        Limits(**{name: value})
