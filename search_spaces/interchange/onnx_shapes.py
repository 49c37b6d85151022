"""Shapes of tensors that onnx knows, or infers for operators outside the vocabulary."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, ValueInfoProto, numpy_helper
from onnx.helper import np_dtype_to_tensor_dtype, tensor_dtype_to_np_dtype

from search_spaces.graph import Shape, Value

SMALL = 4096
"""Elements of a constant whose content may decide a shape."""


def tensor_shape(info: ValueInfoProto) -> tuple[Shape, str]:
    """Shape and element type of a tensor, in NumPy's words; the batch may be 0 where it is symbolic.

    Raises:
        ValueError: not a tensor, or an axis behind the batch that has no fixed size.
    """
    tensor = info.type.tensor_type
    sizes = tuple([dim.dim_value for dim in tensor.shape.dim])
    if not info.type.HasField("tensor_type") or not tensor.HasField("shape"):
        raise ValueError(f"{info.name!r} is not a tensor with a shape")
    if any(size < 1 for size in sizes[1:]):
        raise ValueError(f"{info.name!r} must have fixed sizes behind the batch axis, got {list(tensor.shape.dim)}")
    return sizes, tensor_dtype_to_np_dtype(tensor.elem_type).name


def infer_shapes(model: ModelProto) -> dict[str, tuple[Shape, str]]:
    """Shapes and types of the values of a model, as far as they are fixed.

    Raises:
        ValueError: onnx cannot infer shapes in this model at all.
    """
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # onnx raises errors of several kinds here
        raise ValueError(f"the shapes of the model cannot be inferred: {error}") from error
    found = {}
    for info in (*inferred.graph.value_info, *inferred.graph.output):
        tensor = info.type.tensor_type
        if tensor.HasField("shape") and tensor.elem_type and all(size.dim_value > 0 for size in tensor.shape.dim):
            found[info.name] = tensor_shape(info)
    return found


def infer_node(node: NodeProto, inputs: Sequence[Value | None], opset: int) -> dict[str, tuple[Shape, str]]:
    """Shapes and types of a node's outputs, as far as its inputs decide them; empty for operators unknown to onnx."""
    if node.domain not in ("", "ai.onnx"):
        return {}
    given, constants = [], []
    for name, value in dict(zip(node.input, inputs, strict=True)).items():
        if value is None:
            continue
        if value.data is not None and value.data.size <= SMALL:
            constants.append(numpy_helper.from_array(np.asarray(value.data), name))
        else:
            kind = np_dtype_to_tensor_dtype(np.dtype(value.dtype))
            given.append(onnx.helper.make_tensor_value_info(name, kind, value.shape))
    outputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in node.output if name
    ]
    graph = onnx.helper.make_graph([node], "one", given, outputs, constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    try:
        return infer_shapes(model)
    except ValueError:
        return {}
