"""8-bit integers in the place of 32-bit floats: static quantisation by ONNX Runtime.

Weights become int8 with a scale for each channel, activations uint8 with the ranges that calibration samples show, and
the file says so with pairs of `QuantizeLinear` and `DequantizeLinear`, which every runtime fuses as far as it can.
Unsigned activations are what ONNX Runtime advises for x86 with VNNI; processors without it may saturate.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from profilers.errors import ModelRefused

QUANTISED = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")
"""Operators that no model in 32-bit floats has."""

_PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")  # what ONNX Runtime's own preparation leaves in a file

Inputs = Mapping[str, NDArray[Any]]


def is_quantised(model: ModelProto) -> bool:
    """Whether a model computes with integers already, at least in part."""
    return any(node.op_type in QUANTISED for node in model.graph.node)


def quantise(model: ModelProto, calibration: Iterable[Inputs]) -> bytes:
    """Make a model compute with 8-bit integers.

    Args:
        model: in 32-bit floats, with batch normalisation folded.
        calibration: inputs by name, one batch after the other; activations keep the ranges that these have.

    Returns:
        The ONNX file.

    Raises:
        ModelRefused: the model is quantised already.
        Exception: ONNX Runtime's, which have no common class.
    """
    if is_quantised(model):
        raise ModelRefused("the model is quantised already; allowed are models in 32-bit floats")
    # Takes a tenth of a second to import, which a process that quantises nothing need not spend.
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    given = ModelProto()
    given.CopyFrom(model)
    onnx.helper.set_model_props(given, {_PREPARED[0]: _PREPARED[1]})  # there is nothing left to fold or to fuse
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "quantised.onnx")
        quantize_static(
            given,
            path,
            _Reader(calibration),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            extra_options={"CalibMaxIntermediateOutputs": 16},  # memory for as many batches and not for all
        )
        made = onnx.load_model(path)
    del made.metadata_props[:]
    made.metadata_props.extend(model.metadata_props)
    content: bytes = made.SerializeToString()
    return content


class _Reader:
    """Calibration data as ONNX Runtime asks for them: one after the other, then None."""

    def __init__(self, batches: Iterable[Inputs]) -> None:
        self._batches: Iterator[Inputs] = iter(batches)

    def get_next(self) -> Inputs | None:
        """The next batch."""
        return next(self._batches, None)
