"""Models that are measured together on a host: two processes take turns, and neither disturbs the runs of the other."""

import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from profilers.cancellation import Cancellation
from profilers.device_lock import lock_path, tickets
from profilers.errors import ModelRefused, ProfilingFailed
from profilers.host import HostDevice
from profilers.host_profiler import HostProfiler
from profilers.limits import Limits
from profilers.measurement import Measurement
from profilers.timing import TimingRule
from profilers.worker_process import WorkerProcess
from tests.profilers import onnx_models

DEVICE = HostDevice()
RULE = TimingRule(min_runs=10, max_runs=10)
SMALL = onnx_models.conv_net(layers=1, channels=4)


@pytest.fixture
def profiler(tmp_path: Path) -> Iterator[HostProfiler]:
    """A profiler with its locks apart from those of the machine."""
    with HostProfiler(RULE, directory=tmp_path) as opened:
        yield opened


def test_each_outcome_is_its_own(tmp_path: Path) -> None:
    """Models that are refused, fail, or take their process down stand between others that are measured."""
    bad = onnx_models.custom_operator(), onnx_models.bad_index(), onnx_models.endless_loop(), b""
    models = [SMALL, bad[0], bad[1], SMALL, bad[2], SMALL, SMALL, bad[3], SMALL]
    with HostProfiler(RULE, Limits(cpu_s=0.5), tmp_path) as profiler:
        outcomes = list(profiler.profile_all(models, DEVICE))
    for model, outcome in zip(models, outcomes, strict=True):
        assert isinstance(outcome, Measurement) == (model is SMALL), outcome
    assert isinstance(outcomes[1], ModelRefused)
    assert isinstance(outcomes[2], ProfilingFailed)
    assert isinstance(outcomes[4], ProfilingFailed)
    assert (outcomes[2].reason, outcomes[4].reason) == ("run", "cpu_time")
    assert isinstance(outcomes[7], ModelRefused)


def test_nothing_runs_beside_timed_runs(profiler: HostProfiler, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next model is read when the one before has the device and waits, or before; never beside its runs."""
    said: list[tuple[str, WorkerProcess]] = []

    def watched(name: str) -> None:
        real = getattr(WorkerProcess, name)

        def step(worker: WorkerProcess, *arguments: object) -> object:
            said.append((name, worker))
            answer = real(worker, *arguments)
            said.append((f"{name} is over", worker))
            return answer

        monkeypatch.setattr(WorkerProcess, name, step)

    for name in ("check", "load", "finish"):
        watched(name)
    assert len(list(profiler.profile_all([SMALL] * 3, DEVICE))) == 3
    workers = list(dict.fromkeys(worker for _, worker in said))
    assert [(step, workers.index(worker)) for step, worker in said if step != "load is over"] == [
        ("check", 0), ("check is over", 0),
        ("load", 0), ("check", 1), ("check is over", 1), ("finish", 0), ("finish is over", 0),
        ("load", 1), ("check", 0), ("check is over", 0), ("finish", 1), ("finish is over", 1),
        ("load", 0), ("finish", 0), ("finish is over", 0),
    ]  # fmt: skip


def test_device_is_free_between_models(profiler: HostProfiler, tmp_path: Path) -> None:
    """Others get their turn after each model."""
    path = lock_path(DEVICE.family, tmp_path)
    for outcome in profiler.profile_all([SMALL] * 3, DEVICE):
        assert isinstance(outcome, Measurement)
        assert tickets(path) == []


def test_cancelled_in_the_middle(profiler: HostProfiler) -> None:
    """A cancellation ends what is left of all models, and the next ones are measured."""
    cancellation = Cancellation()
    outcomes = profiler.profile_all([SMALL, onnx_models.endless_loop(), SMALL], DEVICE, cancellation=cancellation)
    assert isinstance(next(outcomes), Measurement)
    killer = threading.Timer(0.3, cancellation.cancel)
    killer.start()
    with pytest.raises(ProfilingFailed, match="cancelled") as failed:
        next(outcomes)
    killer.join()
    assert failed.value.reason == "cancelled"
    assert profiler.profile(SMALL, DEVICE).runs == 10


def test_given_up_in_the_middle(profiler: HostProfiler) -> None:
    """Who wants no more of the outcomes leaves the profiler as it was."""
    outcomes = profiler.profile_all([SMALL] * 3, DEVICE)
    assert isinstance(next(outcomes), Measurement)
    pid = profiler.worker_pid
    outcomes.close()
    assert profiler.profile(SMALL, DEVICE).runs == 10
    assert profiler.worker_pid == pid


def test_next_process_died_in_the_queue(profiler: HostProfiler) -> None:
    """A process that dies with a model that it has read costs that model alone."""
    outcomes = profiler.profile_all([SMALL] * 3, DEVICE)
    assert isinstance(next(outcomes), Measurement)
    waiting = profiler._workers[1]
    assert waiting is not None
    waiting.interrupt()
    lost, measured = outcomes
    assert isinstance(lost, ProfilingFailed)
    assert lost.reason == "start"
    assert isinstance(measured, Measurement)


def test_both_processes_end(tmp_path: Path) -> None:
    """Nothing is left after the context."""
    with HostProfiler(RULE, directory=tmp_path) as opened:
        assert len(list(opened.profile_all([SMALL] * 2, DEVICE))) == 2
        pids = {worker.pid for worker in opened._workers if worker}
    assert len(pids) == 2
    assert not any(psutil.pid_exists(pid) for pid in pids)
