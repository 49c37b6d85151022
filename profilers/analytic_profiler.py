"""Computes what a model would take on hardware that is only described."""

import math
from collections.abc import Mapping

import numpy as np

from profilers.analytic import AnalyticDevice
from profilers.cancellation import Cancellation, cancelled
from profilers.device import Device
from profilers.errors import DeviceRefused, ModelRefused
from profilers.layers import layers
from profilers.limits import Limits
from profilers.measurement import Measurement
from profilers.model_check import check_model
from profilers.profiler import Profiler
from profilers.shapes import tensor_shapes
from profilers.timing import TimingRule


class AnalyticProfiler(Profiler):
    """Reads a model and adds up its layers. Nothing is run, so there is no lock, no process and no repetition.

    A model is parsed and checked in this process, by onnx's native code.

    Args:
        rule: not needed, because one answer is exact; there for all profilers to be opened alike.
        limits: size of a model and of its tensors; those on time and memory of a run do not apply.
    """

    def __init__(self, rule: TimingRule | None = None, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._closed = False

    def profile(
        self,
        model_bytes: bytes | memoryview,
        device: Device,
        *,
        dimensions: Mapping[str, int] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Measurement:
        """Compute latency, energy and utilisation of a model; see `profiler.Profiler.profile`."""
        if not isinstance(device, AnalyticDevice):
            raise DeviceRefused([f"the analytic profiler computes for described hardware (got {device.kind})"])
        if self._closed:
            raise ValueError("the profiler is closed; open a new one")
        if cancellation is not None and cancellation.cancelled:
            raise cancelled()
        try:
            model = check_model(bytes(model_bytes), self._limits)
            shapes = tensor_shapes(model, device.batch, dimensions or {})
            costs = tuple(device.cost(layer) for layer in layers(model.graph, shapes))
        except UnicodeDecodeError as error:
            raise ModelRefused(f"a name in the model is not UTF-8 text: {error}") from None
        latency_ms = math.fsum(cost.latency_ms for cost in costs)
        macs = sum(cost.macs for cost in costs)
        samples = np.array([latency_ms])
        samples.flags.writeable = False
        return Measurement(
            device=device.name,
            fingerprint=device.fingerprint,
            median_ms=latency_ms,
            p90_ms=latency_ms,
            p99_ms=latency_ms,
            spread=0.0,
            interval=0.0,
            stable=True,
            runs=1,
            warmup_runs=0,
            session_ms=0.0,
            queued_ms=0.0,
            peak_memory_bytes=None,
            samples_ms=samples,
            energy_mj=math.fsum(cost.energy_mj for cost in costs),
            utilisation=device.utilisation(macs, latency_ms / 1e3),
            computed=device.computed,
            layers=costs,
        )

    def close(self) -> None:
        """Refuse further models."""
        self._closed = True
