"""Measures on the CPU of this machine, in a process of its own."""

import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from profilers.device import Device
from profilers.device_lock import lock_path, run_directory
from profilers.errors import REASONS, DeviceRefused, ModelRefused, ProfilingFailed, Reason
from profilers.frames import Frame
from profilers.host import HostDevice
from profilers.limits import Limits
from profilers.measurement import Measurement, summarise
from profilers.model_check import check_size
from profilers.timing import TimingRule
from profilers.worker_process import WorkerProcess


class HostProfiler:
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
        self, model_bytes: bytes, device: Device, *, dimensions: Mapping[str, int] | None = None
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
            },
            "rule": asdict(self._rule),
            "dimensions": dict(dimensions or {}),
        }
        with self._one_at_a_time:
            answer = self._ask(request, model_bytes)
        return self._read(answer, device)

    def close(self) -> None:
        """End the worker."""
        with self._one_at_a_time:
            self._closed = True
            worker, self._worker = self._worker, None
            if worker:
                worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, request: Mapping[str, object], model_bytes: bytes) -> Frame:
        """Give the model to the worker; a worker whose model failed is not used again."""
        if self._closed:
            raise ValueError("the profiler is closed; open a new one")
        try:
            worker = self._begin(request, model_bytes)
            answer = worker.finish(self._limits, 8 * self._rule.max_runs)
        except BaseException:
            self._drop()
            raise
        if answer.header.get("event") not in ("measured", "refused"):
            self._drop()
        return answer

    def _begin(self, request: Mapping[str, object], model_bytes: bytes) -> WorkerProcess:
        """Start the model on the worker, or on a fresh one when that one died while it was idle."""
        if self._worker is not None:
            try:
                self._worker.begin(request, model_bytes, self._limits)
            except ProfilingFailed as error:
                if error.reason != "start":
                    raise
                self._drop()
            else:
                return self._worker
        self._worker = WorkerProcess()
        self._worker.begin(request, model_bytes, self._limits)
        return self._worker

    def _drop(self) -> None:
        """Kill the worker; the next model gets a fresh one."""
        worker, self._worker = self._worker, None
        if worker:
            worker.kill()

    def _read(self, answer: Frame, device: HostDevice) -> Measurement:
        """Make the answer a measurement, or raise what it says. Nothing in it is taken on trust."""
        header = answer.header
        event = header.get("event")
        message = str(header.get("message"))[:2000]
        if event == "refused":
            raise ModelRefused(message)
        if event == "failed":
            raise ProfilingFailed(message, _reason(header.get("reason")))
        try:
            peak = header["peak_memory_bytes"]
            return summarise(
                np.frombuffer(answer.payload, dtype="<f8"),
                device=device.name,
                fingerprint=device.fingerprint,
                tolerance=self._rule.tolerance,
                settled=header["settled"] is True,
                warmup_runs=int(_number(header["warmup_runs"])),
                session_ms=_number(header["session_ms"]),
                queued_ms=_number(header["queued_ms"]),
                peak_memory_bytes=None if peak is None else int(_number(peak)),
            )
        except (KeyError, ValueError) as error:
            raise ProfilingFailed(f"the process that ran the model answered nonsense: {error}", "protocol") from None


def _reason(given: object) -> Reason:
    """Read the reason of a failure."""
    return next((reason for reason in REASONS if reason == given), "protocol")


def _number(value: object) -> float:
    """Read a number that counts or measures something."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**63:
        raise ValueError(f"a number is expected (got {value!r:.80})")
    return float(value)
