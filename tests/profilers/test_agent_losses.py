"""Agents that are killed, gone, changed, or taken down by a model."""

import fcntl
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from waiting import until

import profilers.remote
from profilers.agent_token import read_token
from profilers.connection import Connection
from profilers.errors import DeviceLost, ProfilingFailed
from profilers.remote_profiler import RemoteProfiler
from profilers.timing import TimingRule
from tests.profilers import onnx_models
from tests.profilers.agents import RULE, SMALL, agent, device_of, end, greet, pretender, start_agent


def in_the_middle(folder: Path) -> bool:
    """Whether a model is being measured by an agent with its locks in this folder."""
    for ticket in folder.glob("nas-*/host-cpu.lock.[0-9]*"):
        with ticket.open() as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    return False


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_agent_restarted_in_the_middle(token: Path, tmp_path: Path, sent: signal.Signals) -> None:
    """An agent that is killed in the middle of a model and started again measures it, and its worker is not left."""
    process, address = start_agent(token, folder=tmp_path)
    device = device_of(address, token)
    try:
        with RemoteProfiler(TimingRule(min_runs=200, max_runs=200)) as profiler, ThreadPoolExecutor(1) as pool:
            seen = pool.submit(profiler.profile, onnx_models.conv_net(layers=12, channels=64), device)
            until(lambda: in_the_middle(tmp_path))
            workers = psutil.Process(process.pid).children()
            process.send_signal(sent)
            process.communicate()
            psutil.wait_procs(workers, 30)
            process, _ = start_agent(token, serve=address, folder=tmp_path)
            assert seen.result().runs == 200
            assert workers
            assert not any(worker.is_running() for worker in workers)
    finally:
        end(process)


def test_agent_that_is_gone(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing was heard of the agent for long enough, the message says where it should be."""
    monkeypatch.setattr(profilers.remote, "PATIENCE_S", 0.3)
    with agent(token) as address:
        device = device_of(address, token)
        assert device.description["agent"] == "loop"
    with (
        RemoteProfiler(RULE) as profiler,
        pytest.raises(DeviceLost, match=f"for 0.3 s: nothing was heard of the agent at {address}") as lost,
    ):
        profiler.profile(SMALL, device)
    assert lost.value.reason == "lost"


def test_agent_that_changed(token: Path) -> None:
    """An agent that comes back with other settings is another device."""
    process, address = start_agent(token)
    try:
        with RemoteProfiler(RULE) as profiler:
            device = device_of(address, token)
            before = profiler.profile(SMALL, device).fingerprint
            assert before == device.fingerprint
            end(process)
            process, _ = start_agent(token, "--optimisation", "basic", serve=address)
            assert device.fingerprint != before
            with pytest.raises(DeviceLost, match="optimisation was 'all' and is 'basic'") as lost:
                profiler.profile(SMALL, device)
            assert lost.value.reason == "changed"
    finally:
        end(process)


def test_model_that_takes_the_agent_down(token: Path) -> None:
    """A model with which the agent was lost three times is not sent a fourth time."""
    models = []

    def fall(connection: Connection) -> None:
        greet(connection, read_token(str(token), None))
        if connection.receive(0, timeout_s=10).header["ask"] == "measure":
            connection.send({"event": "send"}, timeout_s=10)
            models.append(connection.receive(1 << 20, timeout_s=10).payload)

    lost = pytest.raises(ProfilingFailed, match="the agent was lost 3 times while it had the model")
    with pretender(fall) as address, RemoteProfiler(RULE) as profiler, lost as failed:
        profiler.profile(SMALL, device_of(address, token))
    assert failed.value.reason == "crash"
    assert models == [SMALL] * 3
