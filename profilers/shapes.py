"""The shape of every tensor of a model, with every axis of its inputs given a size."""

from collections.abc import Mapping

import onnx
from onnx import ModelProto

from profilers.errors import ModelRefused
from profilers.model_check import without_weights
from profilers.model_inputs import fix_shapes

Shape = tuple[int, ...]


def tensor_shapes(model: ModelProto, batch: int, dimensions: Mapping[str, int]) -> dict[str, Shape]:
    """Infer the shapes of a checked model for a batch; nothing is run.

    Args:
        model: a checked model.
        batch: samples in one run.
        dimensions: symbolic axis name -> size, beside the batch.

    Returns:
        Tensor name -> shape, for the main graph's tensors whose shape does not depend on data.

    Raises:
        ModelRefused: an input whose size is not known, or shapes that contradict each other.
    """
    fixed = {given.name: given.shape for given in fix_shapes(model, batch, dimensions).inputs}
    light = without_weights(model)
    del light.graph.value_info[:]  # of another batch, perhaps
    for value in light.graph.input:
        for dim, size in zip(value.type.tensor_type.shape.dim, fixed.get(value.name, ()), strict=False):
            dim.dim_value = size
    for value in light.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        graph = onnx.shape_inference.infer_shapes(light, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        text = " ".join(str(error).split())[:300]
        raise ModelRefused(f"the shapes of the model do not fit a batch of {batch}: {text}") from None
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    shapes |= {sparse.values.name: tuple(sparse.dims) for sparse in model.graph.sparse_initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
            shapes[value.name] = tuple(dim.dim_value for dim in kind.shape.dim)
    return shapes
