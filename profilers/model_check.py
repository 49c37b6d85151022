"""Whether an ONNX file from outside may be run."""

import math
from collections.abc import Iterable, Iterator, Sequence

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto

from profilers.errors import ModelRefused
from profilers.limits import Limits

DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
"""Operator domains that ONNX itself defines; others could name code of anybody."""

RUNTIME_DOMAIN = "com.microsoft"
RUNTIME_OPERATORS = (
    "Attention", "BiasGelu", "BiasSplitGelu", "DequantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul",
    "EmbedLayerNormalization", "FastGelu", "FusedConv", "FusedGemm", "FusedMatMul", "Gelu", "GroupQueryAttention",
    "MatMulInteger16", "MatMulIntegerToFloat", "MatMulNBits", "MultiHeadAttention", "NhwcMaxPool", "QAttention",
    "QGemm", "QLinearAdd", "QLinearAveragePool", "QLinearConcat", "QLinearConv", "QLinearGlobalAveragePool",
    "QLinearLeakyRelu", "QLinearMul", "QLinearReduceMean", "QLinearSigmoid", "QLinearSoftmax", "QLinearWhere",
    "QuantizeLinear", "QuickGelu", "RotaryEmbedding", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization",
)  # fmt: skip
"""ONNX Runtime's own operators that may be used: what its optimiser and its quantisation put into files. The others
are refused, because some open files (`EPContext`) or run other code."""

_RUNTIME_DOMAINS = ("ai.onnx", "com.microsoft", "com.ms", "org.pytorch")
"""Domains of ONNX Runtime's own operators, some of which open files: a local function must not stand in for one."""

_SHAPE_BYTES = 1024
"""A stored tensor up to this size may hold a shape, which shape inference wants to read."""

_BITS: dict[int, int] = {
    TensorProto.BOOL: 8,
    TensorProto.INT8: 8,
    TensorProto.UINT8: 8,
    TensorProto.INT16: 16,
    TensorProto.UINT16: 16,
    TensorProto.FLOAT16: 16,
    TensorProto.BFLOAT16: 16,
    TensorProto.INT32: 32,
    TensorProto.UINT32: 32,
    TensorProto.FLOAT: 32,
    TensorProto.INT64: 64,
    TensorProto.UINT64: 64,
    TensorProto.DOUBLE: 64,
    TensorProto.COMPLEX64: 64,
    TensorProto.COMPLEX128: 128,
}
"""Bits of an element; types that are not listed count with the least, 4 bits."""


def check_model(model_bytes: bytes, limits: Limits | None = None) -> ModelProto:
    """Refuse a model that is malformed, not self-contained, or plainly too large.

    Parsing and checking run native code on the bytes, so a service calls this where a crash does no harm;
    the profilers do so in the process that runs the model.

    Args:
        model_bytes: the ONNX file.
        limits: size of the file and of a tensor that are allowed.

    Returns:
        The parsed model.

    Raises:
        ModelRefused: says what was found, what is allowed, and where.
    """
    try:
        return _checked(model_bytes, limits or Limits())
    except UnicodeDecodeError as error:  # names are decoded when they are read, and not by the parser
        raise ModelRefused(f"a name in the model is not UTF-8 text: {_one_line(error)}") from None


def check_size(model_bytes: bytes | memoryview, limits: Limits) -> None:
    """Refuse a file that is empty or too large.

    Raises:
        ModelRefused: says the size and what is allowed.
    """
    if not 0 < len(model_bytes) <= limits.model_bytes:
        raise ModelRefused(f"the model has {len(model_bytes):,} bytes; allowed are 1 to {limits.model_bytes:,}")


def _checked(model_bytes: bytes, limits: Limits) -> ModelProto:
    """Do the work of `check_model`, but for names that cannot be decoded."""
    model = _parse(model_bytes, limits)
    graphs = _graphs(model)
    scopes = [(f"graph {graph.name!r}", graph.node) for graph in graphs]
    scopes += [(f"function {function.name!r}", function.node) for function in model.functions]
    functions = {
        (function.domain, function.name)
        for function in model.functions
        if not f"{function.domain}.".startswith(tuple(f"{domain}." for domain in _RUNTIME_DOMAINS))
    }
    for scope, nodes in scopes:
        for node in nodes:
            if node.domain == RUNTIME_DOMAIN and node.op_type not in RUNTIME_OPERATORS:
                raise ModelRefused(
                    f"{_place(scope, node)} uses {node.domain}.{node.op_type}; of ONNX Runtime's own operators are "
                    f"allowed: {', '.join(RUNTIME_OPERATORS)}"
                )
            if node.domain not in (*DOMAINS, RUNTIME_DOMAIN) and (node.domain, node.op_type) not in functions:
                raise ModelRefused(
                    f"{_place(scope, node)} uses the custom operator {node.domain}.{node.op_type}; allowed are "
                    f"the operators of {', '.join(domain or 'ONNX' for domain in DOMAINS)}"
                )
            for where, tensor in _node_tensors(scope, node):
                _check_tensor(where, tensor, limits)
    for graph in graphs:
        for where, tensor in _graph_tensors(graph):
            _check_tensor(where, tensor, limits)
    inferred = _inferred(without_weights(model))
    for part in _graphs(inferred) if len(graphs) > 1 else [inferred.graph]:
        for value in (*part.input, *part.value_info, *part.output):
            _check_value(value, limits)
    return model


def _parse(model_bytes: bytes, limits: Limits) -> ModelProto:
    """Read the protobuf message."""
    check_size(model_bytes, limits)
    try:
        model = onnx.load_model_from_string(model_bytes)
    except Exception as error:  # the protobuf runtimes raise unrelated classes
        raise ModelRefused(
            f"the {len(model_bytes):,} bytes are not an ONNX model, or a part of one is missing: {_one_line(error)}"
        ) from None
    if not model.graph.node:
        raise ModelRefused("the model has no nodes, so there is nothing to measure; an ONNX model is needed")
    return model


def _graphs(model: ModelProto) -> list[GraphProto]:
    """List all graphs: the model's, those of training, and those in attributes of nodes, functions included."""
    graphs = [model.graph]
    for training in model.training_info:
        graphs += [training.initialization, training.algorithm]
    for function in model.functions:
        graphs += _subgraphs(function.node)
    for graph in graphs:  # grows while it is walked
        graphs += _subgraphs(graph.node)
    return graphs


def _subgraphs(nodes: Iterable[NodeProto]) -> list[GraphProto]:
    """List the graphs in the attributes of some nodes."""
    found = []
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found.append(attribute.g)
            found.extend(attribute.graphs)
    return found


def _graph_tensors(graph: GraphProto) -> Iterator[tuple[str, TensorProto]]:
    """Yield the tensors that a graph stores, with the place where each stands."""
    for tensor in graph.initializer:
        yield f"initializer {tensor.name!r}", tensor
    for sparse in graph.sparse_initializer:
        yield from _sparse_parts(f"sparse initializer {sparse.values.name!r}", sparse)


def _node_tensors(scope: str, node: NodeProto) -> Iterator[tuple[str, TensorProto]]:
    """Yield the tensors in the attributes of a node, with the place where each stands."""
    for attribute in node.attribute:
        tensors = [attribute.t] if attribute.HasField("t") else []
        sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
        tensors.extend(attribute.tensors)
        sparse.extend(attribute.sparse_tensors)
        if tensors or sparse:
            where = f"attribute {attribute.name!r} of {_place(scope, node)}"
            yield from ((where, tensor) for tensor in tensors)
            for part in sparse:
                yield from _sparse_parts(where, part)


def _sparse_parts(where: str, sparse: onnx.SparseTensorProto) -> Iterator[tuple[str, TensorProto]]:
    """Yield the stored parts of a sparse tensor, and the dense tensor that it becomes."""
    yield where, sparse.values
    yield where, sparse.indices
    yield where, TensorProto(data_type=sparse.values.data_type, dims=sparse.dims)


def _check_tensor(where: str, tensor: TensorProto, limits: Limits) -> None:
    """Refuse a stored tensor whose data is elsewhere or that asks for too much."""
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "another file")
        raise ModelRefused(f"{where} keeps its data in {location!r}; allowed are models that hold all their data")
    _check_bytes(where, tensor.data_type, list(tensor.dims), limits)


def _check_bytes(where: str, data_type: int, dims: list[int], limits: Limits) -> None:
    """Refuse a tensor that is larger than the memory limit."""
    if dims and min(dims) < 0:
        raise ModelRefused(f"{where} has the shape {dims}; sizes must not be negative")
    needed = _size_bytes(data_type, dims)
    if needed > limits.memory_bytes:
        raise ModelRefused(
            f"{where} has the shape {dims} and asks for {needed:,} bytes; allowed are {limits.memory_bytes:,}"
        )


def _size_bytes(data_type: int, dims: Sequence[int]) -> int:
    """Count the bytes of a tensor."""
    return math.prod(dims) * _BITS.get(data_type, 4) // 8


def without_weights(model: ModelProto) -> ModelProto:
    """Copy a model with inputs in the place of its large weights.

    What is left takes a fraction of the time to check. Whether a weight's data have the length of its shape is
    seen by ONNX Runtime, which reads them anyway.
    """
    light = ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    light.training_info.extend(model.training_info)
    graph = light.graph
    graph.name = model.graph.name
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    graph.value_info.extend(model.graph.value_info)
    graph.sparse_initializer.extend(model.graph.sparse_initializer)
    declared = {value.name for value in graph.input}
    for tensor in model.graph.initializer:
        if _size_bytes(tensor.data_type, tensor.dims) <= _SHAPE_BYTES:
            graph.initializer.append(tensor)
        elif tensor.name not in declared:
            stand_in = graph.input.add(name=tensor.name).type.tensor_type
            stand_in.elem_type = tensor.data_type
            for size in tensor.dims:
                stand_in.shape.dim.add(dim_value=size)
    return light


def _inferred(model: ModelProto) -> ModelProto:
    """Check that a model is valid ONNX, and infer its shapes as far as they are fixed."""
    try:
        model_bytes = model.SerializeToString()
        onnx.checker.check_model(model_bytes)
        return onnx.shape_inference.infer_shapes(model_bytes, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise ModelRefused(f"the model is not valid ONNX: {_one_line(error)}") from None


def _check_value(value: ValueInfoProto, limits: Limits) -> None:
    """Refuse a tensor of the graph that is too large as far as its shape is known."""
    kind: TypeProto = value.type
    if kind.HasField("tensor_type") and kind.tensor_type.HasField("shape"):
        # An axis of unknown size, which reads as 0, counts as one: what is known is a lower bound.
        dims = [dim.dim_value or 1 for dim in kind.tensor_type.shape.dim]
        _check_bytes(f"tensor {value.name!r}", kind.tensor_type.elem_type, dims, limits)


def _place(scope: str, node: NodeProto) -> str:
    """Say where a node stands."""
    return f"node {node.name or node.op_type!r} of {scope}"


def _one_line(error: BaseException) -> str:
    """Shorten the message of a library to one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__
