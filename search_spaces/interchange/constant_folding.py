"""Nodes of a file whose outputs are known before it runs: arithmetic on shapes, as exporters write it.

Small tensors only, and operators that cannot make large ones of them, so that no file can ask for much work here.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto
from onnx.reference import ReferenceEvaluator

LARGEST = 4096
"""Elements of all inputs of a node that is folded, where the file is not trusted."""

FOLDED = frozenset(
    [
        "Add",
        "And",
        "Cast",
        "Ceil",
        "Concat",
        "Div",
        "Equal",
        "Floor",
        "Gather",
        "Greater",
        "Identity",
        "Less",
        "Max",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "ReduceProd",
        "ReduceSum",
        "Reshape",
        "Slice",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Transpose",
        "Unsqueeze",
        "Where",
    ]
)


def shape_content(node: NodeProto, shape: Sequence[int]) -> NDArray[np.generic]:
    """What a node `Shape` puts out for an input of this shape."""
    ends = {attribute.name: attribute.i for attribute in node.attribute}
    return np.array(shape[ends.get("start", 0) : ends.get("end", len(shape))], np.int64)


def folded(
    node: NodeProto, inputs: Sequence[NDArray[np.generic] | None], opset: int, *, largest: float = LARGEST
) -> NDArray[np.generic] | None:
    """The one output of a node whose inputs are all known; None where the node is not folded.

    Args:
        node: of the standard operators.
        inputs: the content of each input, None where one is not known.
        opset: of the file.
        largest: elements of all inputs together; a node with more is not folded.
    """
    if node.op_type not in FOLDED or len(node.output) != 1 or not all(node.input):
        return None
    known = [content for content in inputs if content is not None]
    if len(known) != len(node.input) or sum(content.size for content in known) > largest:
        return None
    names = [f"input{place}" for place in range(len(known))]
    alone = NodeProto()
    alone.CopyFrom(node)
    alone.input[:] = names
    untyped = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in names]
    output = onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.UNDEFINED, None)
    graph = onnx.helper.make_graph([alone], "folded", untyped, [output])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    try:
        with np.errstate(all="ignore"):
            (found,) = ReferenceEvaluator(model).run(None, dict(zip(names, known, strict=True)))
    except Exception:  # the reference raises whatever NumPy does; the node is read like any other then
        return None
    return np.asarray(found)
