"""Inputs for a model: every axis gets a size, every input deterministic data."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto

from profilers.errors import ModelRefused

INPUT_TYPES = (
    "float",
    "float16",
    "double",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
)
"""Element types of inputs that can be generated, as ONNX calls them in lower case."""

_BATCH_NAME = "__batch__"


@dataclass(frozen=True, slots=True)
class InputShape:
    """The shape of one input with every size known."""

    name: str
    data_type: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class InputShapes:
    """All inputs of a model, and the sizes that its symbolic axes get.

    Attributes:
        inputs: the inputs that must be given.
        sizes: symbolic axis name -> size, for ONNX Runtime's free dimension overrides.
        renamed: an axis without a name was given one, so the model must be serialised again.
    """

    inputs: tuple[InputShape, ...]
    sizes: dict[str, int]
    renamed: bool


def fix_shapes(model: ModelProto, batch: int, dimensions: Mapping[str, int]) -> InputShapes:
    """Give every symbolic axis of the inputs a size.

    The first axis of an input, when it is symbolic, is the batch. Other symbolic axes take their size from
    `dimensions`, which may also name the first axis. A model whose sizes are all fixed is measured as it
    is when `batch` is 1.

    Args:
        model: a checked model; a first axis without a name is named in place.
        batch: samples in one run.
        dimensions: symbolic axis name -> size.

    Raises:
        ModelRefused: an axis whose size is not known, a name in `dimensions` that the model lacks, a fixed
            batch that is not the one asked for, or an input that cannot be generated.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    stored |= {sparse.values.name for sparse in model.graph.sparse_initializer}
    values = [value for value in model.graph.input if value.name not in stored]
    renamed = _name_batch_axes(values)
    sizes = _sizes(values, batch, dimensions)
    inputs = tuple(_fixed(value, sizes) for value in values)
    if batch != 1 and not any(shape.shape[:1] == (batch,) for shape in inputs):
        shapes = ", ".join(f"{shape.name} {list(shape.shape)}" for shape in inputs) or "none"
        raise ModelRefused(
            f"the device measures batches of {batch}, but no input has a first axis that is symbolic or {batch} "
            f"(inputs: {shapes}); export the model with a symbolic first axis, or use batch 1"
        )
    return InputShapes(inputs, sizes, renamed)


def make_inputs(shapes: InputShapes) -> dict[str, NDArray[np.generic]]:
    """Make the same data every time: normal floats, and integers of 0 and 1, which are safe as indices.

    Returns:
        Input name -> array of the input's shape.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    for index, given in enumerate(shapes.inputs):
        rng = np.random.default_rng([index])
        dtype = onnx.helper.tensor_dtype_to_np_dtype(given.data_type)
        if np.issubdtype(dtype, np.floating):
            arrays[given.name] = rng.standard_normal(given.shape, dtype=np.float32).astype(dtype, copy=False)
        else:
            arrays[given.name] = rng.integers(0, 2, given.shape, dtype=np.uint8).astype(dtype)
    return arrays


def _name_batch_axes(values: list[ValueInfoProto]) -> bool:
    """Name first axes that have neither size nor name; say whether there were any."""
    renamed = False
    for value in values:
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].HasField("dim_value") and not dims[0].dim_param:
            dims[0].dim_param = _BATCH_NAME
            renamed = True
    return renamed


def _sizes(values: list[ValueInfoProto], batch: int, dimensions: Mapping[str, int]) -> dict[str, int]:
    """Choose a size for every symbolic axis name of the inputs."""
    names = {dim.dim_param for value in values for dim in value.type.tensor_type.shape.dim if dim.dim_param}
    unknown = sorted(set(dimensions) - names)
    if unknown:
        known = ", ".join(sorted(names - {_BATCH_NAME})) or "none"
        raise ModelRefused(f"the model has no symbolic axis {', '.join(map(repr, unknown))}; it has: {known}")
    for name, size in dimensions.items():
        if type(size) is not int or size < 1:
            raise ModelRefused(f"the size of axis {name!r} must be a positive integer (got {size!r})")
    sizes = dict(dimensions)
    for value in values:
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].dim_param:
            sizes.setdefault(dims[0].dim_param, batch)
    return sizes


def _fixed(value: ValueInfoProto, sizes: Mapping[str, int]) -> InputShape:
    """Read the shape of one input with the sizes put in."""
    kind = value.type
    if not kind.HasField("tensor_type"):
        raise ModelRefused(
            f"input {value.name!r} is a {kind.WhichOneof('value') or 'value without a type'}; allowed are tensors"
        )
    data_type = kind.tensor_type.elem_type
    types = onnx.TensorProto.DataType
    type_name = types.Name(data_type).lower() if data_type in types.values() else f"type {data_type}"
    if type_name not in INPUT_TYPES:
        raise ModelRefused(f"input {value.name!r} has elements of {type_name}; allowed: {', '.join(INPUT_TYPES)}")
    if not kind.tensor_type.HasField("shape"):
        raise ModelRefused(f"input {value.name!r} has no shape; give every axis of the input a size or a name")
    shape = []
    for axis, dim in enumerate(kind.tensor_type.shape.dim):
        size = sizes.get(dim.dim_param) if dim.dim_param else dim.dim_value
        if not size:
            called = f"{dim.dim_param!r}" if dim.dim_param else "without a name"
            raise ModelRefused(
                f"axis {axis} of input {value.name!r}, {called}, has no size; only the first axis is taken for the "
                f"batch, so give the size of the others"
            )
        shape.append(size)
    return InputShape(value.name, data_type, tuple(shape))
