"""Reading an ONNX file into a graph.

Axis 0 of every input is taken for the batch. What `onnx_file` writes comes back as the deployed network it is: batch
norm is folded, so the graph has fewer nodes than the one it was written from.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper
from onnx.helper import get_attribute_value, tensor_dtype_to_np_dtype

from search_spaces.graph import Graph, GraphError, Role, Shape, Value
from search_spaces.onnx_file import CONSTANT
from search_spaces.operators import OPERATORS

LARGEST_FILE = 2**31
"""Bytes; a protocol buffer cannot be larger."""
MOST_NODES = 100_000
OLDEST_OPSET = 13
CONVERTED_BELOW = 18
"""Files of older operator sets are converted to this one: in it, axes became inputs."""

ROLES: dict[tuple[str, int], Role] = {
    ("Conv", 1): "weight",
    ("Conv", 2): "bias",
    ("Gemm", 1): "weight",
    ("Gemm", 2): "bias",
    ("MatMul", 0): "weight",
    ("MatMul", 1): "weight",
    ("Gather", 0): "weight",
    ("BatchNormalization", 1): "scale",
    ("BatchNormalization", 2): "bias",
    ("BatchNormalization", 3): "mean",
    ("BatchNormalization", 4): "variance",
    ("LayerNormalization", 1): "scale",
    ("LayerNormalization", 2): "bias",
    ("Mul", 0): "scale",
    ("Mul", 1): "scale",
    ("Add", 0): "bias",
    ("Add", 1): "bias",
}
"""What an initialiser of several float32 numbers is that says nothing of itself, by operator and input."""


class OnnxModel(NamedTuple):
    """A graph, the weights of its parameters by name, and the metadata of the file."""

    graph: Graph
    weights: dict[str, NDArray[np.float32]]
    metadata: dict[str, str]


def read_model(content: bytes) -> OnnxModel:
    """Read an ONNX file.

    A node whose operator the vocabulary does not know, or that is used in a way it does not know, is kept with the
    shapes that onnx infers, so that costs, features and profiling work; `Graph.foreign` names those operators.

    Raises:
        ValueError: not an ONNX model, a file that is too large or has too many nodes, external or sparse tensors,
            an operator set before 13, a shape that is not known, sub-graphs in attributes.
    """
    model = _parsed(content)
    reader = _Reader(model)
    for node in model.graph.node:
        reader.node(node)
    for output in model.graph.output:
        if output.name not in reader.values:
            raise ValueError(f"output {output.name!r} of the model is made by no node")
        reader.graph.output(reader.values[output.name])
    return OnnxModel(reader.graph, reader.weights, {entry.key: entry.value for entry in model.metadata_props})


def _parsed(content: bytes) -> ModelProto:
    if len(content) > LARGEST_FILE:
        raise ValueError(f"an ONNX file may have {LARGEST_FILE} bytes, got {len(content)}")
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's and onnx's own errors have no common base
        raise ValueError(f"not an ONNX model: {error}") from error
    if not model.graph.node and not model.graph.output:
        raise ValueError(f"not an ONNX model: no graph in these {len(content)} bytes")
    if len(model.graph.node) > MOST_NODES:
        raise ValueError(f"an ONNX model may have {MOST_NODES} nodes, got {len(model.graph.node)}")
    _refuse_outside_data(model)
    versions = {entry.domain: entry.version for entry in model.opset_import}
    opset = versions.get("", 0)
    if opset < OLDEST_OPSET:
        raise ValueError(f"the model is of operator set {opset}; {OLDEST_OPSET} is the oldest that is read")
    try:
        onnx.checker.check_model(model)
        if opset < CONVERTED_BELOW:
            model = onnx.version_converter.convert_version(model, CONVERTED_BELOW)
    except Exception as error:  # onnx raises errors of several kinds here, RuntimeError among them
        raise ValueError(f"not a valid ONNX model: {error}") from error
    return model


def _refuse_outside_data(model: ModelProto) -> None:
    if model.graph.sparse_initializer:
        raise ValueError("the model has sparse initialisers, which are not read")
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise ValueError(f"tensor {tensor.name!r} lies outside the file; external data is refused")


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
                raise ValueError(f"node {node.name or node.output[0]!r} ({node.op_type}) has a sub-graph inside")
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


class _Reader:
    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.graph = Graph(model.graph.name or "model")
        self.weights: dict[str, NDArray[np.float32]] = {}
        self.values: dict[str, Value] = {}
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self._inferred: dict[str, tuple[Shape, str]] | None = None
        for info in model.graph.input:
            if info.name not in self.initializers:
                shape, dtype = _shape(info)
                if not shape:
                    raise ValueError(f"input {info.name!r} has no axis for the batch")
                self.values[info.name] = self.graph.input(info.name, (1, *shape[1:]), dtype)

    def node(self, node: NodeProto) -> None:
        """Append one node."""
        name = node.name if node.name and node.name not in self.graph.values else node.output[0]
        if node.op_type == "Constant" and not node.domain:
            data = _constant(node)
            self.values[node.output[0]] = self.graph.constant(node.output[0], data)
            return
        inputs = [self._input(node, place) for place in range(len(node.input))]
        attributes = {attribute.name: _attribute(attribute) for attribute in node.attribute}
        op = f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
        outputs = list(node.output)
        while outputs and not outputs[-1]:
            outputs.pop()
        self.values.update((value.name, value) for value in self._add(op, inputs, name, outputs, attributes, node))

    def _add(
        self,
        op: str,
        inputs: list[Value | None],
        name: str,
        outputs: list[str],
        attributes: dict[str, Any],
        node: NodeProto,
    ) -> list[Value]:
        if op in OPERATORS:
            try:
                return self.graph.add_split(op, *inputs, name=name, names=outputs, **attributes)
            except GraphError:
                pass  # used in a way the vocabulary does not know, such as a `Reshape` to a computed shape
        known = [(output, *self._known(output, node)) for output in outputs]
        return self.graph.add_foreign(op, *inputs, name=name, outputs=known, attributes=attributes)

    def _input(self, node: NodeProto, place: int) -> Value | None:
        name = node.input[place]
        if not name:
            return None
        if name not in self.values:
            if name not in self.initializers:
                raise ValueError(f"node {node.name or node.output[0]!r} reads {name!r}, which nothing makes")
            self.values[name] = self._initializer(self.initializers[name], node.op_type, place)
        return self.values[name]

    def _initializer(self, tensor: TensorProto, op: str, place: int) -> Value:
        data = numpy_helper.to_array(tensor).copy()  # the file's memory is read-only
        written = tensor.doc_string
        role: Role | None = next((role for role in get_args(Role) if role == written), None)
        if role is None and written != CONSTANT and data.size > 1:
            role = ROLES.get((op, place))
        if role is None or data.dtype != np.float32:
            return self.graph.constant(tensor.name, data)
        self.weights[tensor.name] = data
        return self.graph.parameter(tensor.name, data.shape, role)

    def _known(self, output: str, node: NodeProto) -> tuple[Shape, str]:
        """Shape and type of a value as onnx infers them with a batch of one."""
        if self._inferred is None:
            model = ModelProto()
            model.CopyFrom(self.model)
            for info in model.graph.input:
                if info.name not in self.initializers:
                    info.type.tensor_type.shape.dim[0].dim_value = 1
            for info in model.graph.output:
                info.type.tensor_type.ClearField("shape")
            del model.graph.value_info[:]
            try:
                inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
            except Exception as error:  # onnx raises errors of several kinds here
                raise ValueError(f"the shapes of the model cannot be inferred: {error}") from error
            self._inferred = {}
            for info in (*inferred.graph.value_info, *inferred.graph.output):
                if all(size.HasField("dim_value") for size in info.type.tensor_type.shape.dim):
                    self._inferred[info.name] = _shape(info)
        if output not in self._inferred:
            what = f"node {node.name or output!r}: operator {node.op_type!r}"
            raise ValueError(f"{what} is not in the vocabulary and the shape of its output {output!r} is not known")
        return self._inferred[output]


def _shape(info: ValueInfoProto) -> tuple[Shape, str]:
    tensor = info.type.tensor_type
    sizes = tuple([dim.dim_value for dim in tensor.shape.dim])
    if not info.type.HasField("tensor_type") or not tensor.HasField("shape"):
        raise ValueError(f"{info.name!r} is not a tensor with a shape")
    if any(size < 1 for size in sizes[1:]):
        raise ValueError(f"{info.name!r} must have fixed sizes behind the batch axis, got {list(tensor.shape.dim)}")
    return sizes, tensor_dtype_to_np_dtype(tensor.elem_type).name


def _constant(node: NodeProto) -> NDArray[np.generic]:
    attribute = node.attribute[0]
    if attribute.name == "value":
        return numpy_helper.to_array(attribute.t).copy()
    dtype = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32, "value_floats": np.float32}
    if attribute.name not in dtype:
        raise ValueError(f"constant {node.output[0]!r} holds {attribute.name!r}, which is not read")
    return np.array(get_attribute_value(attribute), dtype[attribute.name])


def _attribute(attribute: AttributeProto) -> Any:
    value = get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str | int | float | TensorProto):
        return value
    return [item.decode() if isinstance(item, bytes) else item for item in value]
