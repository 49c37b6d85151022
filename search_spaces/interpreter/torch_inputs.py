"""How a node's constants and attributes are read when it is made ready for torch."""

from collections.abc import Callable, Sequence
from typing import Any

from search_spaces.graph import GraphError, Node, Value

Function = Callable[..., Any]  # tensors in, a tensor out (a tuple of them for Split)
Values = Sequence[Value | None]
Builder = Callable[[Node, Values], tuple[Function, int]]


def integers(node: Node, value: Value | None, what: str) -> list[int]:
    """The numbers of a constant input.

    Raises:
        GraphError: it is left out, or not a constant.
    """
    if value is None or value.data is None:
        raise GraphError(f"node {node.name!r}: {node.op} needs a constant {what}")
    return [int(entry) for entry in value.data.reshape(-1)]


def given(values: Values, index: int) -> Value | None:
    """The optional input `index`, or None."""
    return values[index] if len(values) > index else None


def shape_of(values: Values, index: int = 0) -> tuple[int, ...]:
    """Shape of an input that must be there, for one sample."""
    value = values[index]
    assert value is not None
    return value.shape


def refuse(node: Node, *names: str) -> None:
    """Attributes of other opsets that the shape inference does not know either."""
    for name in names:
        if node.attributes.get(name) not in (None, 0, "NOTSET"):
            raise GraphError(f"node {node.name!r}: {node.op} with {name} is not supported")


def torch_padding(pads: Sequence[int]) -> list[int]:
    """ONNX's begins and ends, first axis first, as `torch.nn.functional.pad` takes them, last axis first."""
    rank = len(pads) // 2
    return [pad for axis in reversed(range(rank)) for pad in (pads[axis], pads[rank + axis])]
