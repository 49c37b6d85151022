"""The interface of everything that measures."""

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from profilers.cancellation import Cancellation
from profilers.device import Device
from profilers.errors import DeviceLost, ModelRefused, ProfilingFailed
from profilers.measurement import Measurement

Outcome = Measurement | ModelRefused | ProfilingFailed
"""What comes of a model among others: refused and failed are data, since the others go on."""


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

    def profile_all(
        self,
        models: Sequence[bytes | memoryview],
        device: Device,
        *,
        dimensions: Mapping[str, int] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Iterator[Outcome]:
        """Measure models in their order; a profiler that knows the next one may get it ready before its turn.

        The profiler measures nothing else until all outcomes were taken, or the iterator is closed.

        Args:
            models: ONNX files.
            device: where to measure.
            dimensions: as in `profile`, the same for all.
            cancellation: ends what is left.

        Yields:
            What came of each.

        Raises:
            DeviceRefused: a device of another kind.
            DeviceLost: the device measures nothing any more.
            ProfilingFailed: it was cancelled.
            ValueError: the profiler is closed.
        """
        for model in models:
            try:
                yield self.profile(model, device, dimensions=dimensions, cancellation=cancellation)
            except DeviceLost:
                raise
            except (ModelRefused, ProfilingFailed) as error:
                if cancellation and cancellation.cancelled:
                    raise
                yield error

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
