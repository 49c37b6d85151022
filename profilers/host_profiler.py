"""Measures on the CPU of this machine, in processes of their own."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path

from profilers.answer import read_answer
from profilers.cancellation import Cancellation, cancelled
from profilers.device import Device
from profilers.device_lock import lock_path, run_directory
from profilers.errors import DeviceRefused, ModelRefused, ProfilingFailed
from profilers.frames import Frame
from profilers.host import HostDevice
from profilers.limits import Limits
from profilers.measurement import Measurement
from profilers.model_check import check_size
from profilers.profiler import Outcome, Profiler
from profilers.timing import TimingRule
from profilers.worker_process import WorkerProcess


@dataclass(frozen=True, slots=True)
class _Order:
    """What is the same for all models that are measured together."""

    request: Mapping[str, object]
    lock: Path
    cancellation: Cancellation


_Answer = Frame | ModelRefused | ProfilingFailed
"""What a worker says of a model, or why none said anything."""


class HostProfiler(Profiler):
    """Keeps the worker process that runs the models, and replaces it when a model took it down.

    The worker costs its start once and not once a model. It checks the model, holds the lock of the device
    while it works, and is killed when a model outstays its wall-clock limit.

    Of several models the next is read and checked by a second worker while the first makes its session; the first waits
    for that before its first run, so that nothing of ours runs beside one.

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
        self._workers: list[WorkerProcess | None] = [None, None]
        self._closed = False
        self._one_at_a_time = threading.Lock()

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker of single models; None before the first one and after a failure."""
        worker = self._workers[0]
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
        (outcome,) = self.profile_all([model_bytes], device, dimensions=dimensions, cancellation=cancellation)
        if not isinstance(outcome, Measurement):
            raise outcome from None
        return outcome

    def profile_all(
        self,
        models: Sequence[bytes | memoryview],
        device: Device,
        *,
        dimensions: Mapping[str, int] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Iterator[Outcome]:
        """Measure models one after the other; see `profiler.Profiler.profile_all`."""
        if not isinstance(device, HostDevice):
            raise DeviceRefused(
                [f"the host profiler measures devices of kind host (got {device.name!r}, {device.kind})"]
            )
        request = {
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
        order = _Order(request, lock_path(device.family, self._directory), cancellation or Cancellation())
        with self._one_at_a_time:
            if self._closed:
                raise ValueError("the profiler is closed; open a new one")
            try:
                for answer in self._answers(order, models):
                    yield self._outcome(answer, device)
            except GeneratorExit:  # between two models no worker is at work
                raise
            except BaseException:
                self._drop(0)
                self._drop(1)
                raise

    def close(self) -> None:
        """End the workers."""
        with self._one_at_a_time:
            self._closed = True
            workers, self._workers = self._workers, [None, None]
            for worker in workers:
                if worker:
                    worker.close()

    def _outcome(self, answer: _Answer, device: HostDevice) -> Outcome:
        """Read what came of a model."""
        if not isinstance(answer, Frame):
            return answer
        try:
            return read_answer(answer, device.name, device.fingerprint, self._rule)
        except (ModelRefused, ProfilingFailed) as error:
            return error

    def _answers(self, order: _Order, models: Sequence[bytes | memoryview]) -> Iterator[_Answer]:
        """What comes of each model. Two workers take turns, and one reads the next model while the other loads its own.

        Raises:
            ProfilingFailed: it was cancelled.
        """
        ahead: _Answer | None = None
        for place, (model, following) in enumerate(zip_longest(models, models[1:])):
            slot = place % 2
            if ahead is None:
                answer, lock = self._read(slot, order, model, order.lock), None
            else:
                answer, lock, ahead = ahead, order.lock, None
            if isinstance(answer, Frame) and answer.header.get("event") == "checked":
                answer, ahead = self._run(slot, order, lock, following)
            yield answer

    def _read(self, slot: int, order: _Order, model: bytes | memoryview, lock: Path | None) -> _Answer:
        """Let a worker check a model, once it has the device where a lock is given."""
        try:
            check_size(model, self._limits)
            worker = self._worker(slot, order, lock)
            with order.cancellation.calls(self._interrupt):
                return self._kept(slot, worker.check(order.request, model, self._limits))
        except ModelRefused as error:
            return error
        except ProfilingFailed as error:
            return self._failed(slot, order, error)

    def _run(
        self, slot: int, order: _Order, lock: Path | None, following: bytes | memoryview | None
    ) -> tuple[_Answer, _Answer | None]:
        """Let a worker load the model that it has checked and, when the other one has checked the next, time it."""
        ahead = None
        try:
            worker = self._workers[slot]
            assert worker is not None
            with order.cancellation.calls(self._interrupt):
                worker.take(lock, self._limits)
                worker.load()
            if following is not None:
                ahead = self._read(1 - slot, order, following, None)
            with order.cancellation.calls(self._interrupt):
                return self._kept(slot, worker.finish(self._rule.answer_bytes)), ahead
        except ProfilingFailed as error:
            return self._failed(slot, order, error), ahead

    def _worker(self, slot: int, order: _Order, lock: Path | None) -> WorkerProcess:
        """A worker that has the device where a lock is given: a fresh one when the last one died while it was idle."""
        worker = self._workers[slot]
        if worker is not None:
            try:
                with order.cancellation.calls(self._interrupt):
                    worker.take(lock, self._limits)
            except ProfilingFailed as error:
                if error.reason != "start" or order.cancellation.cancelled:
                    raise
                self._drop(slot)
            else:
                return worker
        worker = self._workers[slot] = WorkerProcess()
        with order.cancellation.calls(self._interrupt):
            worker.take(lock, self._limits)
        return worker

    def _interrupt(self) -> None:
        """End what the workers do, from another thread."""
        for worker in self._workers:
            if worker:
                worker.interrupt()

    def _kept(self, slot: int, answer: Frame) -> Frame:
        """Pass an answer on; a worker whose model failed is not used again."""
        if answer.header.get("event") not in ("checked", "measured", "refused"):
            self._drop(slot)
        return answer

    def _failed(self, slot: int, order: _Order, error: ProfilingFailed) -> ProfilingFailed:
        """Let go of a worker that gave no answer, and pass on why."""
        self._drop(slot)
        if order.cancellation.cancelled:
            raise cancelled() from None
        return error

    def _drop(self, slot: int) -> None:
        """Kill a worker; the next model gets a fresh one."""
        worker, self._workers[slot] = self._workers[slot], None
        if worker:
            worker.kill()
