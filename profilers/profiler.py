"""The interface of everything that measures."""

from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from profilers.cancellation import Cancellation
from profilers.device import Device
from profilers.measurement import Measurement


@runtime_checkable
class Profiler(Protocol):
    """Measures ONNX models on devices of one kind; a context manager that owns what it needs for that."""

    def profile(
        self,
        model_bytes: bytes | memoryview,
        device: Device,
        *,
        dimensions: Mapping[str, int] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Measurement:
        """Measure how long a model takes.

        Calls from several threads wait for each other. After an error the next call works as if nothing had
        been.

        Args:
            model_bytes: an ONNX file that holds all its data; it is not trusted.
            device: where to measure.
            dimensions: sizes of symbolic axes other than the batch, by name.
            cancellation: ends the measurement early when another thread asks it to.

        Raises:
            DeviceRefused: a device of another kind.
            ModelRefused: the model may not be run.
            ProfilingFailed: the model was tried and gave no measurement; as `DeviceLost` when no other model will.
            ValueError: the profiler is closed.
        """
        ...

    def close(self) -> None:
        """Let go of everything; again is harmless."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
