"""Reading an ONNX file into a graph.

Axis 0 of every input is taken for the batch. What `onnx_file` writes comes back as the deployed network it is: batch
norm is folded, so the graph has fewer nodes than the one it was written from.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, get_args

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.helper import get_attribute_value

from search_spaces.graph import Graph, GraphError, Role, Shape, Value
from search_spaces.interchange.constant_folding import FOLDED, folded, shape_content
from search_spaces.interchange.onnx_file import CONSTANT
from search_spaces.interchange.onnx_outline import outline
from search_spaces.interchange.onnx_shapes import infer_node, infer_shapes, tensor_shape
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


_ROLES: dict[str, Role] = {role: role for role in get_args(Role)}


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
    reader.read()
    return OnnxModel(reader.graph, reader.weights, {entry.key: entry.value for entry in model.metadata_props})


def read_graph(content: bytes) -> Graph:
    """Read the graph of an ONNX file without its weights, many times as fast; what onnx's checker finds is not seen.

    Raises:
        ValueError: as for `read_model`.
    """
    if len(content) > LARGEST_FILE:
        raise ValueError(f"an ONNX file may have {LARGEST_FILE} bytes, got {len(content)}")
    reader = _Reader(_parsed(outline(content), checked=False), contents=False)
    try:
        reader.read()
    except (KeyError, IndexError, TypeError, AttributeError, RuntimeError) as error:  # what the checker would find
        raise ValueError(f"not a valid ONNX model: {error!r}") from error
    return reader.graph


def _parsed(content: bytes, *, checked: bool = True) -> ModelProto:
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
        if checked:
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
            kind = attribute.type
            if kind in _PLAIN:
                continue
            if kind in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
                raise ValueError(f"node {node.name or node.output[0]!r} ({node.op_type}) has a sub-graph inside")
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


class _Reader:
    """Reads a model into a graph; without the weights' content where that is not asked for."""

    def __init__(self, model: ModelProto, *, contents: bool = True) -> None:
        self.model = model
        self._contents = contents
        self.graph = Graph(model.graph.name or "model")
        self.weights: dict[str, NDArray[np.float32]] = {}
        self.values: dict[str, Value] = {}
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self._opset = next(entry.version for entry in model.opset_import if entry.domain == "")
        self._computed: set[str] = set()
        self._inferred: dict[str, tuple[Shape, str]] | None = None
        for info in model.graph.input:
            if info.name not in self.initializers:
                shape, dtype = tensor_shape(info)
                if not shape:
                    raise ValueError(f"input {info.name!r} has no axis for the batch")
                self.values[info.name] = self.graph.input(info.name, (1, *shape[1:]), dtype)

    def read(self) -> None:
        """Append all nodes and name the outputs."""
        for node in self.model.graph.node:
            self.node(node)
        for output in self.model.graph.output:
            if output.name not in self.values:
                raise ValueError(f"output {output.name!r} of the model is made by no node")
            self.graph.output(self.values[output.name])

    def node(self, node: NodeProto) -> None:
        """Append one node."""
        op, domain, name, outputs = node.op_type, node.domain, node.name, list(node.output)
        if not name or name in self.graph.values:
            name = outputs[0]
        if op == "Constant" and not domain:
            self.values[outputs[0]] = self.graph.constant(outputs[0], _constant(node))
            return
        inputs = [self._input(node, op, place, read) for place, read in enumerate(node.input)]
        if domain not in ("", "ai.onnx"):
            op = f"{domain}.{op}"
        elif (known := self._folded(node, op, inputs)) is not None:
            self.values[outputs[0]] = self.graph.constant(outputs[0], known)
            self._computed.add(outputs[0])
            return
        if op == "Reshape" and node.input[1] in self._computed:
            inputs[1] = self._any_batch(inputs[0], inputs[1])
        attributes = {attribute.name: _attribute(attribute) for attribute in node.attribute}
        while outputs and not outputs[-1]:
            outputs.pop()
        for value in self._add(op, inputs, name, outputs, attributes, node):
            self.values[value.name] = value

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
                return self.graph.append(op, inputs, name, tuple(outputs), attributes)
            except GraphError:
                pass  # used in a way the vocabulary does not know, such as a `Reshape` to a computed shape
        known = self._known(node, inputs, outputs)
        return self.graph.add_foreign(op, *inputs, name=name, outputs=known, attributes=attributes)

    def _folded(self, node: NodeProto, op: str, inputs: list[Value | None]) -> NDArray[np.generic] | None:
        """The content of a node's output, where that is known: arithmetic on shapes and other small constants."""
        if op == "Shape" and inputs[0] is not None:
            return shape_content(node, inputs[0].shape)
        if op not in FOLDED:
            return None
        return folded(node, [None if value is None else value.data for value in inputs], self._opset)

    def _any_batch(self, x: Value | None, target: Value | None) -> Value | None:
        """A computed target of `Reshape` that keeps the batch, which is 1 only here, whatever it is at run time."""
        if x is None or target is None or target.data is None or not target.data.size or x.shape[:1] != (1,):
            return target
        sizes = np.array(target.data)
        if sizes.reshape(-1)[0] != 1:
            return target
        sizes.reshape(-1)[0] = 0
        name = f"{target.name}.any_batch"
        return self.graph.constants[name] if name in self.graph.constants else self.graph.constant(name, sizes)

    def _input(self, node: NodeProto, op: str, place: int, name: str) -> Value | None:
        if not name:
            return None
        value = self.values.get(name)
        if value is None:
            if name not in self.initializers:
                raise ValueError(f"node {node.name or node.output[0]!r} reads {name!r}, which nothing makes")
            self.values[name] = value = self._initializer(self.initializers[name], name, op, place)
        return value

    def _initializer(self, tensor: TensorProto, name: str, op: str, place: int) -> Value:
        written, shape = tensor.doc_string, tuple(tensor.dims)
        role: Role | None = _ROLES.get(written)
        if role is None and written != CONSTANT and math.prod(shape) > 1:
            role = ROLES.get((op, place))
        single = tensor.data_type == TensorProto.FLOAT
        if single and not self._contents and (role is not None or _is_outline(tensor)):
            return self.graph.parameter(name, shape, role or "weight")
        data = numpy_helper.to_array(tensor).copy()  # the file's memory is read-only
        if role is None or not single:
            return self.graph.constant(name, data)
        self.weights[name] = data
        return self.graph.parameter(name, data.shape, role)

    def _known(self, node: NodeProto, inputs: list[Value | None], outputs: list[str]) -> list[tuple[str, Shape, str]]:
        """Name, shape and type of each output of a node, as onnx infers them from what is known of the inputs."""
        found = infer_node(node, inputs, self._opset)
        if not found.keys() >= set(outputs):
            found = {**self._whole(), **found}
        for output in outputs:
            if output not in found:
                what = f"node {node.name or output!r}: the shape of its output {output!r} is not known, because"
                if node.op_type not in OPERATORS:
                    raise ValueError(f"{what} its operator {node.op_type!r} is not in the vocabulary")
                raise ValueError(f"{what} {node.op_type} computes it from values that are only known at run time")
        return [(output, *found[output]) for output in outputs]

    def _whole(self) -> dict[str, tuple[Shape, str]]:
        """Shapes and types that onnx infers for the whole model, with a batch of one."""
        if self._inferred is None:
            model = ModelProto()
            model.CopyFrom(self.model)
            for info in model.graph.input:
                if info.name not in self.initializers:
                    info.type.tensor_type.shape.dim[0].dim_value = 1
            for info in model.graph.output:
                info.type.tensor_type.ClearField("shape")
            del model.graph.value_info[:]
            self._inferred = infer_shapes(model)
        return self._inferred


def _is_outline(tensor: TensorProto) -> bool:
    """Whether the content of a tensor of single precision was left out."""
    return not tensor.raw_data and not tensor.float_data and math.prod(tensor.dims) > 0


def _constant(node: NodeProto) -> NDArray[np.generic]:
    attribute = node.attribute[0]
    if attribute.name == "value":
        return numpy_helper.to_array(attribute.t).copy()
    dtype = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32, "value_floats": np.float32}
    if attribute.name not in dtype:
        raise ValueError(f"constant {node.output[0]!r} holds {attribute.name!r}, which is not read")
    return np.array(get_attribute_value(attribute), dtype[attribute.name])


_PLAIN: dict[int, Callable[[AttributeProto], Any]] = {
    AttributeProto.INT: lambda attribute: attribute.i,
    AttributeProto.INTS: lambda attribute: list(attribute.ints),
    AttributeProto.FLOAT: lambda attribute: attribute.f,
    AttributeProto.FLOATS: lambda attribute: list(attribute.floats),
    AttributeProto.STRING: lambda attribute: attribute.s.decode(),
    AttributeProto.STRINGS: lambda attribute: [text.decode() for text in attribute.strings],
}
"""How attributes that hold no tensor and no graph are read, many times as fast as by onnx's own function."""


def _attribute(attribute: AttributeProto) -> Any:
    read = _PLAIN.get(attribute.type)
    if read is not None and not attribute.ref_attr_name:
        return read(attribute)
    value = get_attribute_value(attribute)
    return value if isinstance(value, TensorProto) else list(value)
