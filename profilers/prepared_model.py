"""A model from outside, checked in a process with limits and given its inputs, for runtimes that are not Python's."""

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from onnx.helper import tensor_dtype_to_np_dtype

from profilers.answer import read_reason
from profilers.device_lock import lock_path
from profilers.errors import ModelRefused, ProfilingFailed
from profilers.frames import Frame
from profilers.limits import Limits
from profilers.model_check import check_size
from profilers.model_inputs import InputShape, InputShapes, make_inputs
from profilers.worker_process import WorkerProcess

MAX_INPUT_BYTES = 256 << 20
"""The inputs travel with the model, so they must not be larger."""


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A model that may be run.

    Attributes:
        model: the ONNX file.
        sizes: symbolic axis name -> size.
        inputs: name -> data, the same each time.
    """

    model: bytes | memoryview
    sizes: dict[str, int]
    inputs: dict[str, NDArray[np.generic]]


class ModelPreparer:
    """Keeps one worker process that reads models, and replaces it when a model took it down."""

    def __init__(self) -> None:
        self._worker: WorkerProcess | None = None
        self._one_at_a_time = threading.Lock()

    def prepare(
        self, model: bytes | memoryview, limits: Limits, precision: str, batch: int, dimensions: Mapping[str, int]
    ) -> PreparedModel:
        """Check a model, quantise it where the precision is int8, and make its inputs.

        Raises:
            ModelRefused: it may not be run.
            ProfilingFailed: it took the process down or too long to read.
        """
        check_size(model, limits)
        header = {
            "limits": asdict(limits),
            "session": None,
            "precision": precision,
            "batch": batch,
            "dimensions": dict(dimensions),
        }
        with self._one_at_a_time:
            answer = self._asked(header, model, limits)
        if answer.header.get("event") == "refused":
            raise ModelRefused(str(answer.header["message"]))
        if answer.header.get("event") == "failed":
            raise ProfilingFailed(str(answer.header["message"]), read_reason(answer.header.get("reason")))
        given = answer.header
        assert isinstance(given["inputs"], list)
        assert isinstance(given["sizes"], dict)
        inputs = tuple(InputShape(name, data_type, tuple(shape)) for name, data_type, shape in given["inputs"])
        shapes = InputShapes(inputs, given["sizes"], bool(answer.payload))
        size = sum(np.dtype(tensor_dtype_to_np_dtype(each.data_type)).itemsize * prod(each.shape) for each in inputs)
        if size > MAX_INPUT_BYTES:
            raise ModelRefused(f"the inputs of the model have {size:,} bytes; allowed are {MAX_INPUT_BYTES:,}")
        return PreparedModel(answer.payload or model, shapes.sizes, make_inputs(shapes))

    def close(self) -> None:
        """End the process."""
        with self._one_at_a_time:
            worker, self._worker = self._worker, None
            if worker:
                worker.close()

    def _asked(self, header: Mapping[str, object], model: bytes | memoryview, limits: Limits) -> Frame:
        """What the process says of a model; one that fails is not used again."""
        lock = lock_path("model-check")
        worker, self._worker = self._worker, None
        if worker is not None:
            try:
                worker.take(lock, limits)
            except ProfilingFailed as error:
                worker.kill()
                if error.reason != "start":  # it died while it was idle, so a fresh one is tried
                    raise
                worker = None
        try:
            if worker is None:
                worker = WorkerProcess()
                worker.take(lock, limits)
            answer = worker.check(header, model, limits, 2 * len(model) + (1 << 20))
        except BaseException:
            if worker:
                worker.kill()
            raise
        if answer.header.get("event") == "failed":
            worker.kill()
        else:
            self._worker = worker
        return answer
