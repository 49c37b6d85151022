"""Measures on the CPU of this machine, in a process of its own."""

import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from profilers.answer import read_answer
from profilers.cancellation import Cancellation, cancelled
from profilers.device import Device
from profilers.device_lock import lock_path, run_directory
from profilers.errors import DeviceRefused, ProfilingFailed
from profilers.frames import Frame
from profilers.host import HostDevice
from profilers.limits import Limits
from profilers.measurement import Measurement
from profilers.model_check import check_size
from profilers.profiler import Profiler
from profilers.timing import TimingRule
from profilers.worker_process import WorkerProcess


class HostProfiler(Profiler):
    """Keeps one worker process that runs the models, and replaces it when a model took it down.

    The worker costs its start once and not once a model. It checks the model, holds the lock of the device
    while it works, and is killed when a model outstays its wall-clock limit.

    Args:
        rule: how many runs are taken.
        limits: what a model may use.
        directory: where lock files are; the user's private run directory when it is not given.
    """

    def __init__(
        self, rule: TimingRule | None = None, limits: Limits | None = None, directory: Path | None = None
    ) -> None:
        self._rule = rule or TimingRule()
        self._limits = limits or Limits()
        self._directory = directory or run_directory()
        self._worker: WorkerProcess | None = None
        self._closed = False
        self._one_at_a_time = threading.Lock()

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker; None before the first model and after a failure."""
        worker = self._worker
        return worker.pid if worker else None

    def profile(
        self,
        model_bytes: bytes | memoryview,
        device: Device,
        *,
        dimensions: Mapping[str, int] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Measurement:
        """Measure how long a model takes on the host CPU; see `profiler.Profiler.profile`."""
        if not isinstance(device, HostDevice):
            raise DeviceRefused(
                [f"the host profiler measures devices of kind host (got {device.name!r}, {device.kind})"]
            )
        check_size(model_bytes, self._limits)
        request = {
            "lock": str(lock_path(device.family, self._directory)),
            "limits": asdict(self._limits),
            "session": {
                "threads": device.threads,
                "optimisation": device.optimisation,
                "batch": device.batch,
                "provider": device.provider,
                "precision": device.precision,
            },
            "rule": asdict(self._rule),
            "dimensions": dict(dimensions or {}),
        }
        with self._one_at_a_time:
            answer = self._ask(request, model_bytes, cancellation or Cancellation())
        return read_answer(answer, device.name, device.fingerprint, self._rule)

    def close(self) -> None:
        """End the worker."""
        with self._one_at_a_time:
            self._closed = True
            worker, self._worker = self._worker, None
            if worker:
                worker.close()

    def _ask(self, request: Mapping[str, object], model_bytes: bytes | memoryview, cancellation: Cancellation) -> Frame:
        """Give the model to the worker; a worker whose model failed is not used again."""
        if self._closed:
            raise ValueError("the profiler is closed; open a new one")
        try:
            worker = self._begin(request, model_bytes, cancellation)
            with cancellation.calls(worker.interrupt):
                answer = worker.finish(self._limits, self._rule.answer_bytes)
        except BaseException as error:
            self._drop()
            if isinstance(error, ProfilingFailed) and cancellation.cancelled:
                raise cancelled() from None
            raise
        if answer.header.get("event") not in ("measured", "refused"):
            self._drop()
        return answer

    def _begin(
        self, request: Mapping[str, object], model_bytes: bytes | memoryview, cancellation: Cancellation
    ) -> WorkerProcess:
        """Start the model on the worker, or on a fresh one when that one died while it was idle."""
        if self._worker is not None:
            try:
                with cancellation.calls(self._worker.interrupt):
                    self._worker.begin(request, model_bytes, self._limits)
            except ProfilingFailed as error:
                if error.reason != "start" or cancellation.cancelled:
                    raise
                self._drop()
            else:
                return self._worker
        self._worker = WorkerProcess()
        with cancellation.calls(self._worker.interrupt):
            self._worker.begin(request, model_bytes, self._limits)
        return self._worker

    def _drop(self) -> None:
        """Kill the worker; the next model gets a fresh one."""
        worker, self._worker = self._worker, None
        if worker:
            worker.kill()
