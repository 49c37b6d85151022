"""An exported network: computed by ONNX Runtime, or made one of 8-bit integers with the job's calibration samples."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.evaluation.scores import EvaluationData
from profilers.quantisation import quantise
from search_spaces.supernet.images import resize

CALIBRATION_SAMPLES = 128
_CALIBRATION_BATCH = 32


class OnnxNetwork:
    """An ONNX file as a network that ONNX Runtime computes.

    Args:
        model: the file.
        threads: of ONNX Runtime; 0 takes all cores.
    """

    def __init__(self, model: bytes, threads: int = 0) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0]

    def __call__(self, inputs: Tensor) -> Tensor:
        """Outputs for a batch; images are resized to the size that the model takes, as in evaluation."""
        given = _fitted(inputs, tuple(self._input.shape))
        return torch.from_numpy(self._session.run(None, {self._input.name: given})[0])


def quantised(model: bytes, data: EvaluationData) -> bytes:
    """The network as an ONNX file of 8-bit integers, its ranges taken from calibration samples.

    Raises:
        RuntimeError: ONNX Runtime cannot quantise it; the message says why.
    """
    parsed = onnx.load_model_from_string(model)
    value = parsed.graph.input[0]
    shape = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    samples = data.calibration[:CALIBRATION_SAMPLES]

    def batches() -> Iterator[dict[str, NDArray[Any]]]:
        for start in range(0, len(samples), _CALIBRATION_BATCH):
            part = torch.from_numpy(np.array(samples[start : start + _CALIBRATION_BATCH]))
            yield {value.name: _fitted(part, shape)}

    try:
        return quantise(parsed, batches())
    except Exception as error:  # ONNX Runtime's own exceptions have no common class
        text = " ".join(str(error).split())[:300] or type(error).__name__
        raise RuntimeError(f"the network cannot be quantised: {text}") from error


def _fitted(inputs: Tensor, shape: tuple[Any, ...]) -> NDArray[Any]:
    """Inputs as a model takes them: images of its size."""
    if inputs.dim() == 4:
        inputs = resize(inputs, *shape[2:])
    return np.ascontiguousarray(inputs.numpy())
