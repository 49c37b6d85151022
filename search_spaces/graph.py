"""A network as a graph of ONNX operators, shape-inferred while it is built.

The vocabulary is ONNX's own (`Conv`, `BatchNormalization`, `Gemm`, ...) with ONNX's attribute names, so one
definition serialises to a file, runs under torch, and can be costed. Shapes are those of one sample: axis 0 is
the batch and is 1 here, whatever the batch at run time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from search_spaces.operators import OPERATORS

Shape = tuple[int, ...]
Role = Literal["weight", "sparse_weight", "bias", "scale", "mean", "variance"]
"""What a parameter is; training learns a mask for a `sparse_weight`."""
Attributes = dict[str, Any]
V = TypeVar("V", bound="Value")


class Value:
    """A tensor of the graph: its name, shape for one sample, element type, and content if it is a constant."""

    __slots__ = ("data", "dtype", "name", "shape")

    def __init__(
        self, name: str, shape: Shape, dtype: str = "float32", data: NDArray[np.generic] | None = None
    ) -> None:
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.data = data

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.shape}, {self.dtype})"


class Parameter(Value):
    """A learned tensor or, with the role `mean` or `variance`, a batch-norm statistic."""

    __slots__ = ("role",)

    def __init__(self, name: str, shape: Shape, role: Role) -> None:
        self.name = name
        self.shape = shape
        self.dtype = "float32"
        self.data = None
        self.role = role

    @property
    def trainable(self) -> bool:
        """Whether gradients reach it; batch-norm statistics are measured, not learned."""
        return self.role not in ("mean", "variance")


class Node:
    """One operator: inputs and outputs by name, an empty input name where an optional one is left out."""

    __slots__ = ("attributes", "inputs", "name", "op", "outputs")

    def __init__(
        self, name: str, op: str, inputs: tuple[str, ...], outputs: tuple[str, ...], attributes: Attributes
    ) -> None:
        self.name = name
        self.op = op
        self.inputs = inputs
        self.outputs = outputs
        self.attributes = attributes

    def __repr__(self) -> str:
        return f"Node({self.name!r}, {self.op}, {self.inputs} -> {self.outputs}, {self.attributes})"


class GraphError(ValueError):
    """A graph that cannot be: shapes that do not agree, an unknown operator, a name used twice."""


class Graph:
    """Nodes in topological order over named values; built by `input`, `parameter`, `constant`, `add`, `output`."""

    __slots__ = ("constants", "inputs", "name", "nodes", "outputs", "parameters", "values")

    def __init__(self, name: str) -> None:
        self.name = name
        started = _STARTED.get()
        if started is not None:
            started.append(self)
        self.nodes: list[Node] = []
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self.parameters: dict[str, Parameter] = {}
        self.constants: dict[str, Value] = {}
        self.values: dict[str, Value] = {}

    def input(self, name: str, shape: Shape, dtype: str = "float32") -> Value:
        """Declare an input; `shape` is of one sample and starts with 1."""
        if not shape or shape[0] != 1 or min(shape) < 1:
            raise GraphError(f"input {name!r} of graph {self.name!r} must be (1, ...) and positive, got {shape}")
        value = self._register(Value(name, shape, dtype))
        self.inputs.append(value)
        return value

    def parameter(self, name: str, shape: Shape, role: Role = "weight") -> Parameter:
        """Declare a parameter, or name again one that is shared.

        Raises:
            GraphError: the name exists with another shape or role, or a size is not positive.
        """
        known = self.parameters.get(name)
        if known is not None:
            if known.shape != shape or known.role != role:
                raise GraphError(f"parameter {name!r} is {known.shape} {known.role} and again {shape} {role}")
            return known
        if min(shape, default=1) < 1:
            raise GraphError(f"parameter {name!r} of graph {self.name!r} must have positive sizes, got {shape}")
        value = Parameter(name, shape, role)
        self._register(value)
        self.parameters[name] = value
        return value

    def constant(self, name: str, data: NDArray[np.generic]) -> Value:
        """Declare a constant tensor, such as the target of a `Reshape`."""
        value = self._register(Value(name, data.shape, data.dtype.name, data))
        self.constants[name] = value
        return value

    def add(self, op: str, *inputs: Value | None, name: str, **attributes: Any) -> Value:
        """Append a node with one output, which takes the node's name.

        Args:
            op: the ONNX operator.
            inputs: its inputs in ONNX's order, None where an optional one is left out.
            name: unique in the graph; parameters are conventionally named below it (`name.weight`).
            attributes: ONNX attributes by name.

        Raises:
            GraphError: an operator outside the vocabulary, or inputs it cannot take.
        """
        return self.append(op, inputs, name, (name,), attributes)[0]

    def add_split(
        self, op: str, *inputs: Value | None, name: str, names: Sequence[str], **attributes: Any
    ) -> list[Value]:
        """Append a node with several outputs called `names`; otherwise as `add`."""
        return self.append(op, inputs, name, tuple(names), attributes)

    def add_foreign(
        self,
        op: str,
        *inputs: Value | None,
        name: str,
        outputs: Sequence[tuple[str, Shape, str]],
        attributes: Attributes,
    ) -> list[Value]:
        """Append a node whose shapes cannot be inferred here: an operator outside the vocabulary, say.

        Args:
            op: the operator.
            inputs: its inputs, None where an optional one is left out.
            name: unique in the graph.
            outputs: name, shape for one sample and element type of each output.
            attributes: ONNX attributes by name.
        """
        values = [self._register(Value(out, shape, dtype)) for out, shape, dtype in outputs]
        read = tuple(["" if value is None else value.name for value in inputs])
        self.nodes.append(Node(name, op, read, tuple([value.name for value in values]), attributes))
        return values

    def foreign(self) -> dict[str, list[str]]:
        """Operators outside the vocabulary, each with the names of the nodes that use it."""
        found: dict[str, list[str]] = {}
        for node in self.nodes:
            if node.op not in OPERATORS:
                found.setdefault(node.op, []).append(node.name)
        return found

    def append(
        self, op: str, inputs: Sequence[Value | None], name: str, names: tuple[str, ...], attributes: Attributes
    ) -> list[Value]:
        """Append a node; as `add_split`, with the attributes as they are kept."""
        operator = OPERATORS.get(op)
        if operator is None:
            raise GraphError(f"node {name!r}: operator {op!r} is not in the vocabulary; known: {', '.join(OPERATORS)}")
        try:
            shapes = operator.infer(attributes, inputs)
        except (ValueError, IndexError, AttributeError, TypeError) as error:
            given = [None if value is None else value.shape for value in inputs]
            raise GraphError(f"node {name!r}: {op} cannot take {given} with {attributes}: {error}") from error
        if len(shapes) != len(names):
            raise GraphError(f"node {name!r}: {op} makes {len(shapes)} outputs, {len(names)} names given")
        dtype = operator.dtype(attributes, inputs)
        outputs = []
        for out, shape in zip(names, shapes, strict=True):
            if out in self.values or not out:
                raise self._taken(out)
            self.values[out] = value = Value(out, shape, dtype)
            outputs.append(value)
        read = tuple(["" if value is None else value.name for value in inputs])
        self.nodes.append(Node(name, op, read, names, attributes))
        return outputs

    def output(self, value: Value) -> None:
        """Declare a value as an output of the graph."""
        if self.values.get(value.name) is not value:
            raise GraphError(f"output {value.name!r} is not a value of graph {self.name!r}")
        self.outputs.append(value)

    def _register(self, value: V) -> V:
        if value.name in self.values or not value.name:
            raise self._taken(value.name)
        self.values[value.name] = value
        return value

    def _taken(self, name: str) -> GraphError:
        return GraphError(f"graph {self.name!r} already has a value called {name!r}")


_STARTED: ContextVar[list[Graph] | None] = ContextVar("_STARTED", default=None)


@contextmanager
def started_graphs() -> Iterator[list[Graph]]:
    """The graphs that are begun inside the `with`, for a pick that adds nodes to the one under assembly."""
    graphs: list[Graph] = []
    token = _STARTED.set(graphs)
    try:
        yield graphs
    finally:
        _STARTED.reset(token)
