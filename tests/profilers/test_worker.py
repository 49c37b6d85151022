"""The process that runs the models: used again, replaced after harm, never left behind."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import psutil
import pytest
from waiting import until

from profilers.device import Device, Fact
from profilers.device_lock import device_lock, lock_path, run_directory, tickets
from profilers.errors import DeviceRefused, ModelRefused, ProfilingFailed
from profilers.host import HostDevice, usable_cores
from profilers.host_profiler import HostProfiler
from profilers.limits import Limits
from profilers.timing import TimingRule
from tests.profilers import onnx_models

DEVICE = HostDevice()
RULE = TimingRule(min_runs=10, max_runs=10)
SMALL = onnx_models.conv_net(layers=1, channels=4)

PARENT = """
import sys
from pathlib import Path
from profilers.host import HostDevice, usable_cores
from profilers.host_profiler import HostProfiler
profiler = HostProfiler(directory=Path(sys.argv[3]))
profiler.profile(Path(sys.argv[1]).read_bytes(), HostDevice())
print(profiler.worker_pid, flush=True)
profiler.profile(Path(sys.argv[2]).read_bytes(), HostDevice())
"""

HOLDER = """
import sys
from pathlib import Path
from profilers.device_lock import device_lock
with device_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def profiler(tmp_path: Path) -> Iterator[HostProfiler]:
    """A profiler with its locks apart from those of the machine."""
    with HostProfiler(RULE, directory=tmp_path) as opened:
        yield opened


def gone(pid: int) -> bool:
    """Say whether a process has ended; one that nobody has waited for has."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_worker_is_used_again(profiler: HostProfiler) -> None:
    """Models and refusals share one process; its heap does not grow with them."""
    profiler.profile(SMALL, DEVICE)
    pid = profiler.worker_pid
    assert pid
    before = psutil.Process(pid).memory_info().rss
    for _ in range(30):
        profiler.profile(SMALL, DEVICE)
    with pytest.raises(ModelRefused):
        profiler.profile(onnx_models.custom_operator(), DEVICE)
    profiler.profile(SMALL, HostDevice(optimisation="basic"))
    assert profiler.worker_pid == pid
    assert psutil.Process(pid).memory_info().rss - before < 20e6


def test_close_ends_the_worker(tmp_path: Path) -> None:
    """Nothing is left after the context."""
    with HostProfiler(RULE, directory=tmp_path) as opened:
        opened.profile(SMALL, DEVICE)
        pid = opened.worker_pid
    assert pid
    assert not psutil.pid_exists(pid)


def test_worker_killed_between_models(profiler: HostProfiler) -> None:
    """A worker that died while it was idle is replaced, and nobody notices."""
    profiler.profile(SMALL, DEVICE)
    pid = profiler.worker_pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    profiler.profile(SMALL, DEVICE)
    assert profiler.worker_pid != pid


@pytest.mark.parametrize("sent", [signal.SIGSEGV, signal.SIGABRT])
def test_crash_is_a_failed_measurement(profiler: HostProfiler, sent: signal.Signals) -> None:
    """A crash in the middle of a model names the signal; the next model gets a fresh worker."""
    profiler.profile(SMALL, DEVICE)
    pid = profiler.worker_pid
    assert pid
    process = psutil.Process(pid)
    used = process.cpu_times().user

    def crash() -> None:
        until(lambda: process.cpu_times().user > used + 0.1)  # it is in the loop
        os.kill(pid, sent)

    killer = threading.Thread(target=crash)
    killer.start()
    with pytest.raises(ProfilingFailed, match=f"died: {sent.name}") as failed:
        profiler.profile(onnx_models.endless_loop(), DEVICE)
    killer.join()
    assert failed.value.reason == "crash"
    assert profiler.profile(SMALL, DEVICE).runs == 10
    assert profiler.worker_pid != pid


def test_processor_time_limit(tmp_path: Path) -> None:
    """A model that burns more processor time than it may is ended by the system."""
    with HostProfiler(RULE, Limits(cpu_s=0.5), tmp_path) as profiler:
        with pytest.raises(ProfilingFailed, match=r"more than 0\.5 s of processor time") as failed:
            profiler.profile(onnx_models.endless_loop(), DEVICE)
        assert failed.value.reason == "cpu_time"
        profiler.profile(SMALL, DEVICE)


def test_operator_that_fails(profiler: HostProfiler) -> None:
    """What ONNX Runtime says of a model that it cannot run is passed on."""
    with pytest.raises(ProfilingFailed, match=r"the model fails when it runs: .*Gather") as failed:
        profiler.profile(onnx_models.bad_index(), DEVICE)
    assert failed.value.reason == "run"


def test_model_that_onnxruntime_cannot_load(profiler: HostProfiler) -> None:
    """A type that an operator does not take is told at loading."""
    with pytest.raises(ProfilingFailed, match=r"ONNX Runtime cannot load the model: .*INVALID_GRAPH") as failed:
        profiler.profile(onnx_models.relu([4], 12), DEVICE)  # 12 is uint32
    assert failed.value.reason == "load"


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "in a run"])
def test_no_orphan_after_kill_of_the_parent(tmp_path: Path, busy: bool) -> None:
    """A parent that is killed with -9 takes its worker along, while it waits and in the middle of a run."""
    (tmp_path / "small.onnx").write_bytes(SMALL)
    (tmp_path / "loop.onnx").write_bytes(onnx_models.endless_loop())
    command = [sys.executable, "-c", PARENT, str(tmp_path / "small.onnx"), str(tmp_path / "loop.onnx"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        worker = psutil.Process(int(parent.stdout.readline()))
        if busy:
            used = worker.cpu_times().user
            until(lambda: worker.cpu_times().user > used + 0.1)
        assert worker.is_running()
        parent.kill()
        until(lambda: gone(worker.pid))


def test_environment_is_clean(profiler: HostProfiler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of the parent are not in the worker's environment."""
    monkeypatch.setenv("NAS_SECRET", "sesame")
    profiler.profile(SMALL, DEVICE)
    assert "NAS_SECRET" not in psutil.Process(profiler.worker_pid).environ()


def test_one_timing_at_a_time(tmp_path: Path) -> None:
    """While another process holds the device a measurement waits, and it says how long."""
    path = lock_path(DEVICE.family, tmp_path)
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with (
            HostProfiler(RULE, Limits(queue_s=0.3), tmp_path) as impatient,
            pytest.raises(ProfilingFailed, match=r"busy with other measurements for 0\.3 s") as failed,
        ):
            impatient.profile(SMALL, DEVICE)
        assert failed.value.reason == "queue"
        with HostProfiler(RULE, directory=tmp_path) as patient, ThreadPoolExecutor(1) as pool:
            others = set(tickets(path))
            measured = pool.submit(patient.profile, SMALL, DEVICE)
            until(lambda: not others.issuperset(tickets(path)))
            since = time.monotonic()
            until(lambda: time.monotonic() - since > 0.1)
            held_ms = (time.monotonic() - since) * 1e3
            holder.kill()
            assert measured.result().queued_ms >= held_ms


def test_run_directory_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of locks belongs to the user alone, or it is not used."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = run_directory()
    assert path.stat().st_mode & 0o777 == 0o700
    assert run_directory() == path
    path.chmod(0o777)
    with pytest.raises(PermissionError, match="mode 0700"):
        run_directory()
    path.rmdir()
    path.symlink_to(tmp_path)
    with pytest.raises(PermissionError, match="mode 0700"):
        run_directory()


def test_lock_is_no_link(tmp_path: Path) -> None:
    """A lock file that is a link to something else is not opened."""
    (tmp_path / "host-cpu.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"), device_lock(tmp_path / "host-cpu.lock"):
        pass


def test_other_kinds_of_devices_are_refused(profiler: HostProfiler) -> None:
    """The host profiler does not pretend to be another device."""

    class Toaster(Device):
        kind = "toaster"
        name = "kitchen"
        family = "kitchen"
        description: ClassVar[dict[str, Fact]] = {}

    with pytest.raises(DeviceRefused, match=r"devices of kind host \(got 'kitchen', toaster\)"):
        profiler.profile(SMALL, Toaster())


def test_summary_is_json(profiler: HostProfiler) -> None:
    """A measurement without its samples goes into JSON as it is."""
    summary = profiler.profile(SMALL, DEVICE).summary()
    assert json.loads(json.dumps(summary)) == summary


def test_axes_without_sizes(profiler: HostProfiler) -> None:
    """A batch axis without a name and a named length are both fixed before the model runs."""
    model = onnx_models.relu([None, "length"])
    assert profiler.profile(model, HostDevice(batch=3), dimensions={"length": 7}).runs == 10
    with pytest.raises(ModelRefused, match="axis 1 of input 'x', 'length', has no size"):
        profiler.profile(model, DEVICE)


@pytest.mark.skipif(usable_cores() < 2, reason="the host has one core")
def test_threads_reach_onnxruntime(profiler: HostProfiler) -> None:
    """The worker has one thread more while a session with two threads runs."""
    profiler.profile(SMALL, DEVICE)
    process = psutil.Process(profiler.worker_pid)
    quiet = process.num_threads()
    most = quiet

    def watched() -> bool:
        nonlocal most
        most = max(most, process.num_threads())
        return most > quiet or done.is_set()

    done = threading.Event()
    watcher = threading.Thread(target=until, args=(watched,))
    watcher.start()
    profiler.profile(onnx_models.conv_net(layers=8, channels=64), HostDevice(threads=2))
    done.set()
    watcher.join()
    assert most == quiet + 1
