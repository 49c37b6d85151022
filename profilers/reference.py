"""A small network that says how fast a device is now: what is measured between candidates to notice drift."""

import functools

import numpy as np
from onnx import TensorProto, helper, numpy_helper

_CHANNELS = 32
_LAYERS = 3
_SIDE = 16


@functools.cache
def reference_model() -> bytes:
    """An ONNX file: convolutions 3x3 with activations, a pooling and a product, the same bytes every time.

    About 5 million multiply-adds: long enough for the noise of timers not to matter, short beside what it watches. Of a
    batch only the first sample is computed, so that the reference of a large batch takes no longer.
    """
    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(np.array([end], np.int64), name) for end, name in enumerate(("start", "end"))]
    nodes, given = [helper.make_node("Slice", ["images", "start", "end"], ["image"])], "image"
    for layer in range(_LAYERS):
        shape = (_CHANNELS, _CHANNELS if layer else 3, 3, 3)
        values = rng.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))
        weights.append(numpy_helper.from_array(values, f"weight{layer}"))
        nodes.append(helper.make_node("Conv", [given, f"weight{layer}"], [f"conv{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"conv{layer}"], [f"relu{layer}"]))
        given = f"relu{layer}"
    weights.append(numpy_helper.from_array(rng.standard_normal((_CHANNELS, 10), dtype=np.float32), "classifier"))
    nodes.append(helper.make_node("GlobalAveragePool", [given], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["features"]))
    nodes.append(helper.make_node("Gemm", ["features", "classifier"], ["logits"]))
    graph = helper.make_graph(
        nodes,
        "reference",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, _SIDE, _SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 10])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type.lower()}{number}"
    serialised: bytes = model.SerializeToString()
    return serialised
