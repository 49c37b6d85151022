"""An exported model without the arithmetic on its own weights, so that a subnet's file is the subnet.

A module that slices shared weights is traced with its slices: the file holds the whole weights, and cuts them in every
session. What does not depend on the input is computed here once. The model comes from our own exporter, not from
outside.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper
from onnx.helper import tensor_dtype_to_np_dtype

from search_spaces.graph import Value
from search_spaces.interchange.constant_folding import folded, shape_content
from search_spaces.interchange.onnx_shapes import infer_node

BATCHES = (2, 3)
"""A value that is the same for both does not depend on the batch."""


def fold_weights(model: ModelProto) -> ModelProto:
    """The same model with every value that is known before it runs as an initialiser, and what only made these gone.

    Args:
        model: of standard operators, with axis 0 of its inputs symbolic; it is not changed.
    """
    known = _known([_walk(model, batch) for batch in BATCHES])
    needed = {output.name for output in model.graph.output}
    kept: list[NodeProto] = []
    for node in reversed(model.graph.node):
        if any(name in needed and name not in known for name in node.output):
            kept.append(node)
            needed.update(node.input)
    result = ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    del result.graph.initializer[:]
    del result.graph.value_info[:]
    result.graph.node.extend(reversed(kept))
    result.graph.initializer.extend(
        numpy_helper.from_array(np.array(known[name], order="C"), name) for name in sorted(needed & known.keys())
    )
    return result


def _walk(model: ModelProto, batch: int) -> dict[str, Value]:
    """Every value of a model for one batch size, with its content where that follows from the weights and shapes."""
    opset = next(entry.version for entry in model.opset_import if entry.domain == "")
    values = {tensor.name: _constant(tensor.name, numpy_helper.to_array(tensor)) for tensor in model.graph.initializer}
    for info in model.graph.input:
        sizes = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        kind = tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type).name
        values[info.name] = Value(info.name, (batch, *sizes[1:]), kind)
    for node in model.graph.node:
        inputs = [values.get(name) for name in node.input]
        data = _content(node, inputs, opset)
        if data is not None:
            values[node.output[0]] = _constant(node.output[0], data)
        elif all(value is not None for name, value in zip(node.input, inputs, strict=True) if name):
            for name, (shape, kind) in infer_node(node, inputs, opset).items():
                values[name] = Value(name, shape, kind)
    return values


def _content(node: NodeProto, inputs: Sequence[Value | None], opset: int) -> NDArray[np.generic] | None:
    if node.op_type == "Constant" and node.attribute[0].name == "value":
        return numpy_helper.to_array(node.attribute[0].t)
    if node.op_type == "Shape" and inputs[0] is not None:
        return shape_content(node, inputs[0].shape)
    return folded(node, [None if value is None else value.data for value in inputs], opset, largest=math.inf)


def _constant(name: str, data: NDArray[np.generic]) -> Value:
    return Value(name, data.shape, data.dtype.name, data)


def _known(walks: Sequence[dict[str, Value]]) -> dict[str, NDArray[np.generic]]:
    """What has the same content in all walks."""
    first, *others = [{name: value.data for name, value in walk.items() if value.data is not None} for walk in walks]
    return {
        name: data
        for name, data in first.items()
        if all(name in other and np.array_equal(other[name], data) for other in others)
    }
