"""Inputs of a model: sizes of its axes, and data of its types."""

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from profilers.errors import ModelRefused
from profilers.model_inputs import fix_shapes, make_inputs
from tests.profilers import onnx_models


def parsed(shape: object, elem_type: int = TensorProto.FLOAT) -> ModelProto:
    """A model with one input."""
    return onnx.load_model_from_string(onnx_models.relu(shape, elem_type))


def test_symbolic_first_axis_is_the_batch() -> None:
    """The batch takes the place of the first axis; its name goes to ONNX Runtime."""
    shapes = fix_shapes(parsed(["N", 3, 8, 8]), 4, {})
    assert shapes.inputs[0].shape == (4, 3, 8, 8)
    assert shapes.sizes == {"N": 4}
    assert not shapes.renamed


def test_first_axis_without_a_name_is_named() -> None:
    """An anonymous axis gets a name, since only a named one can be fixed."""
    model = parsed([None, 3])
    shapes = fix_shapes(model, 2, {})
    assert shapes.renamed
    assert shapes.inputs[0].shape == (2, 3)
    assert shapes.sizes == {model.graph.input[0].type.tensor_type.shape.dim[0].dim_param: 2}


def test_other_axes_are_given_by_name() -> None:
    """A sequence length comes from outside."""
    shapes = fix_shapes(parsed(["N", "length"]), 2, {"length": 7})
    assert shapes.inputs[0].shape == (2, 7)


def test_fixed_shapes_are_measured_as_they_are() -> None:
    """With batch 1 a model without symbolic axes is taken as it is; a batch that it has is fine as well."""
    assert fix_shapes(parsed([8, 3]), 1, {}).inputs[0].shape == (8, 3)
    assert fix_shapes(parsed([8, 3]), 8, {}).inputs[0].shape == (8, 3)


@pytest.mark.parametrize(
    "model, batch, dimensions, message",
    [
        (parsed(["N", "length"]), 1, {}, "axis 1 of input 'x', 'length', has no size"),
        (parsed(["N", None]), 1, {}, "axis 1 of input 'x', without a name, has no size"),
        (parsed(["N", 3]), 1, {"width": 2}, "no symbolic axis 'width'; it has: N"),
        (parsed(["N", 3]), 1, {"N": 0}, "axis 'N' must be a positive integer (got 0)"),
        (parsed([3, 3]), 2, {}, "batches of 2, but no input has a first axis that is symbolic or 2 (inputs: x [3, 3])"),
        (parsed(["N"], TensorProto.STRING), 1, {}, "input 'x' has elements of string; allowed: float, float16"),
        (parsed(["N"], 52), 1, {}, "input 'x' has elements of type 52; allowed: float, float16"),
        (parsed(None), 1, {}, "input 'x' has no shape"),
    ],
)
def test_unknown_sizes_are_refused(model: ModelProto, batch: int, dimensions: dict[str, int], message: str) -> None:
    """A size that nobody knows is never guessed."""
    with pytest.raises(ModelRefused) as refused:
        fix_shapes(model, batch, dimensions)
    assert message in str(refused.value)


def test_sequences_are_refused() -> None:
    """Only tensors can be generated."""
    model = parsed([4])
    model.graph.input[0].CopyFrom(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [4]))
    with pytest.raises(ModelRefused, match="input 'x' is a sequence_type; allowed are tensors"):
        fix_shapes(model, 1, {})


def test_weights_are_no_inputs() -> None:
    """Old models list their weights among the inputs."""
    model = parsed([4])
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4]))
    model.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [4], [0.0] * 4))
    assert [shape.name for shape in fix_shapes(model, 1, {}).inputs] == ["x"]


@pytest.mark.parametrize(
    "elem_type, dtype",
    [
        (TensorProto.FLOAT, np.float32),
        (TensorProto.FLOAT16, np.float16),
        (TensorProto.DOUBLE, np.float64),
        (TensorProto.INT64, np.int64),
        (TensorProto.UINT8, np.uint8),
        (TensorProto.BOOL, np.bool_),
    ],
)
def test_data_is_the_same_every_time(elem_type: int, dtype: type) -> None:
    """Inputs have the type of the model, are finite and repeat."""
    shapes = fix_shapes(parsed(["N", 5], elem_type), 3, {})
    first, second = make_inputs(shapes)["x"], make_inputs(shapes)["x"]
    assert first.dtype == dtype
    assert first.shape == (3, 5)
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, second)
