"""Writing a graph and its weights as an ONNX file."""

import struct
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    OperatorSetIdProto,
    StringStringEntryProto,
    TensorProto,
    TensorShapeProto,
    TypeProto,
    ValueInfoProto,
)
from onnx.helper import np_dtype_to_tensor_dtype

from search_spaces.folding import Step, fold
from search_spaces.graph import Graph, GraphError, Value
from search_spaces.interchange import wire

OPSET = 20
IR_VERSION = 9
"""The IR version of operator set 20; ONNX Runtime reads both from 1.17 on."""
BATCH = "N"
CONSTANT = "constant"
"""Written where a parameter has its role, so that reading the file back tells the two apart."""

INPUT, OUTPUT = NodeProto.INPUT_FIELD_NUMBER, NodeProto.OUTPUT_FIELD_NUMBER
NAME, OPERATOR = NodeProto.NAME_FIELD_NUMBER, NodeProto.OP_TYPE_FIELD_NUMBER

Weights = Mapping[str, NDArray[np.generic]]


def model_bytes(graph: Graph, weights: Weights, metadata: Mapping[str, str] | None = None) -> bytes:
    """The ONNX file of a network: batch norm folded, dead nodes left out, axis 0 of inputs and outputs symbolic.

    Args:
        graph: the network.
        weights: an array for each of its parameters, by name, of the parameter's shape; float32 is written.
            Arrays may be views of larger ones.
        metadata: what to write into the model's `metadata_props`.

    Raises:
        ValueError: a parameter has no array or one of another shape.
        GraphError: a node cannot be written; the node and attribute are named.
    """
    writer = _Tensors(graph, weights)
    content: list[wire.Buffer] = []
    for step in fold(graph):
        inputs = writer.inputs(step)
        content.append(wire.data(GraphProto.NODE_FIELD_NUMBER, _node(step, inputs)))
    content.append(wire.text(GraphProto.NAME_FIELD_NUMBER, graph.name))
    content += [wire.data(GraphProto.INPUT_FIELD_NUMBER, _value_info(value)) for value in graph.inputs]
    content += [wire.data(GraphProto.OUTPUT_FIELD_NUMBER, _value_info(value)) for value in graph.outputs]
    content += writer.buffers
    opset = wire.integer(OperatorSetIdProto.VERSION_FIELD_NUMBER, OPSET)
    head: list[wire.Buffer] = [
        wire.integer(ModelProto.IR_VERSION_FIELD_NUMBER, IR_VERSION),
        wire.text(ModelProto.PRODUCER_NAME_FIELD_NUMBER, "nas"),
        wire.data(ModelProto.OPSET_IMPORT_FIELD_NUMBER, opset),
    ]
    for key, value in (metadata or {}).items():
        entry = wire.text(StringStringEntryProto.KEY_FIELD_NUMBER, key)
        entry += wire.text(StringStringEntryProto.VALUE_FIELD_NUMBER, value)
        head.append(wire.data(ModelProto.METADATA_PROPS_FIELD_NUMBER, entry))
    return b"".join([*head, *wire.message(ModelProto.GRAPH_FIELD_NUMBER, content)])


class _Tensors:
    """The initialisers, written as the nodes that read them come up."""

    def __init__(self, graph: Graph, weights: Weights) -> None:
        self.graph = graph
        self.weights = weights
        self.buffers: list[wire.Buffer] = []
        self.readers = Counter([name for node in graph.nodes for name in node.inputs if name in graph.parameters])
        self.written: set[str] = set()

    def inputs(self, step: Step) -> list[str]:
        """The input names of a step's node in the file, their tensors written."""
        node = step.node
        if step.norms:
            return [node.inputs[0], *self._folded(step)]
        for name in node.inputs:
            if name in self.written:
                continue
            if name in self.graph.parameters:
                self._write(name, self._weight(name), self.graph.parameters[name].role)
            elif name in self.graph.constants:
                data = self.graph.constants[name].data
                assert data is not None
                self._write(name, data, CONSTANT)
        return list(node.inputs)

    def _folded(self, step: Step) -> Iterator[str]:
        """Write weight and bias of a node that takes batch norms; named as weight and last norm's bias are."""
        node = step.node
        weight = self._weight(node.inputs[1])
        offset = self._weight(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else np.zeros(1, np.float32)
        columns = node.op == "Gemm" and not node.attributes.get("transB", 0)
        for norm in step.norms:
            scale, shift, mean, variance = [self._weight(name) for name in norm.inputs[1:5]]
            deviation = np.sqrt(variance.astype(np.float64) + norm.attributes.get("epsilon", 1e-5))
            factor = (scale / deviation).astype(np.float32)
            weight = weight * (factor if columns else factor.reshape(-1, *[1] * (weight.ndim - 1)))
            offset = shift + (offset - mean) * factor
        role = self.graph.parameters[node.inputs[1]].role
        yield self._write(self._own(node.inputs[1], node.name), weight, role)
        yield self._write(self._own(step.norms[-1].inputs[2], node.name), offset, "bias")

    def _own(self, name: str, node: str) -> str:
        """The name of a folded tensor; one that others read as well is not overwritten."""
        return name if self.readers[name] == 1 else f"{name}@{node}"

    def _weight(self, name: str) -> NDArray[np.float32]:
        array = self.weights.get(name)
        shape = self.graph.parameters[name].shape
        if array is None:
            raise ValueError(f"graph {self.graph.name!r}: no weights are given for parameter {name!r} {shape}")
        if array.shape != shape:
            raise ValueError(f"graph {self.graph.name!r}: parameter {name!r} is {shape}, its weights are {array.shape}")
        return array.astype(np.float32, copy=False)

    def _write(self, name: str, array: NDArray[np.generic], doc: str) -> str:
        self.written.add(name)
        content = np.ascontiguousarray(array).reshape(-1)
        if sys.byteorder == "big":
            content = content.byteswap()
        raw = wire.message(TensorProto.RAW_DATA_FIELD_NUMBER, [content.view(np.uint8).data])
        head = _tensor_head(name, array.shape, array.dtype, doc)
        self.buffers += wire.message(GraphProto.INITIALIZER_FIELD_NUMBER, [head, *raw])
        return name


@lru_cache(maxsize=16384)
def _tensor_head(name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic], doc: str) -> bytes:
    """Everything of a tensor but its content."""
    return (
        wire.integers(TensorProto.DIMS_FIELD_NUMBER, shape)
        + wire.integer(TensorProto.DATA_TYPE_FIELD_NUMBER, np_dtype_to_tensor_dtype(dtype))
        + wire.text(TensorProto.NAME_FIELD_NUMBER, name)
        + wire.text(TensorProto.DOC_STRING_FIELD_NUMBER, doc)
    )


def _node(step: Step, inputs: list[str]) -> bytes:
    node = step.node
    parts = [wire.text(INPUT, name) for name in inputs]
    parts += [wire.text(OUTPUT, name) for name in step.outputs]
    parts += (wire.text(NAME, node.name), wire.text(OPERATOR, node.op))
    for name, value in node.attributes.items():
        try:
            parts.append(_attribute(name, tuple(value) if isinstance(value, list) else value, type(value).__name__))
        except TypeError as error:
            raise GraphError(f"node {node.name!r}: attribute {name!r} cannot be written: {value!r}") from error
    return b"".join(parts)


@lru_cache(maxsize=4096)
def _attribute(name: str, value: Any, kind: str) -> bytes:
    """A field of a node with one attribute. `kind` keeps 1 and 1.0 and True apart in the cache."""
    kinds = AttributeProto
    if isinstance(value, int):
        content = wire.integer(kinds.TYPE_FIELD_NUMBER, kinds.INT) + wire.integer(kinds.I_FIELD_NUMBER, value)
    elif isinstance(value, float):
        content = wire.integer(kinds.TYPE_FIELD_NUMBER, kinds.FLOAT)
        content += wire.tag(kinds.F_FIELD_NUMBER, wire.FIXED32) + struct.pack("<f", value)
    elif isinstance(value, str):
        content = wire.integer(kinds.TYPE_FIELD_NUMBER, kinds.STRING) + wire.text(kinds.S_FIELD_NUMBER, value)
    elif isinstance(value, tuple) and all(type(item) is int for item in value):
        content = wire.integer(kinds.TYPE_FIELD_NUMBER, kinds.INTS) + wire.integers(kinds.INTS_FIELD_NUMBER, value)
    elif isinstance(value, tuple) and all(isinstance(item, float | int) for item in value):
        content = wire.integer(kinds.TYPE_FIELD_NUMBER, kinds.FLOATS)
        content += wire.data(kinds.FLOATS_FIELD_NUMBER, struct.pack(f"<{len(value)}f", *value))
    else:
        raise TypeError(f"an attribute must be a number, a string or a list of numbers, got {value!r}")
    return wire.data(NodeProto.ATTRIBUTE_FIELD_NUMBER, wire.text(kinds.NAME_FIELD_NUMBER, name) + content)


def _value_info(value: Value) -> bytes:
    dimension = TensorShapeProto.Dimension
    sizes = [wire.text(dimension.DIM_PARAM_FIELD_NUMBER, BATCH)]
    sizes += [wire.integer(dimension.DIM_VALUE_FIELD_NUMBER, size) for size in value.shape[1:]]
    shape = b"".join([wire.data(TensorShapeProto.DIM_FIELD_NUMBER, size) for size in sizes])
    tensor = wire.integer(TypeProto.Tensor.ELEM_TYPE_FIELD_NUMBER, np_dtype_to_tensor_dtype(np.dtype(value.dtype)))
    tensor += wire.data(TypeProto.Tensor.SHAPE_FIELD_NUMBER, shape)
    kind = wire.data(TypeProto.TENSOR_TYPE_FIELD_NUMBER, tensor)
    return wire.text(ValueInfoProto.NAME_FIELD_NUMBER, value.name) + wire.data(ValueInfoProto.TYPE_FIELD_NUMBER, kind)
