"""What is asked of an agent is measured once, whatever becomes of the connection, and within its limits."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest
from waiting import until

import profilers.agent_bench
from profilers.agent_server import AgentServer
from profilers.errors import ModelRefused, ProfilingFailed
from profilers.frames import FrameClosedError
from profilers.host_profiler import HostProfiler
from profilers.limits import Limits
from profilers.measurement import Measurement
from profilers.remote_profiler import RemoteProfiler
from tests.profilers import onnx_models
from tests.profilers.agents import RULE, SMALL, agent, ask, ask_anew, device_of, link_to, never, request


def lose(server: AgentServer, token: Path, asked: dict[str, object], model: bytes) -> None:
    """Make a request, hand over the model, and lose the connection when it is measured."""
    with link_to(server, token) as link, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, link, asked, lambda: model)
        until(lambda: server.bench.begun > 0)
        link.interrupt()
        with pytest.raises(FrameClosedError):
            answer.result()


def test_lost_connection_is_measured_once(server: AgentServer, token: Path) -> None:
    """Who asks again under the same id gets the answer of the first time, and as often as wanted."""
    asked = request(SMALL)
    lose(server, token, asked, SMALL)
    first, second = (ask_anew(server, token, asked, never) for _ in range(2))
    assert first.header["event"] == "measured"
    assert first == second
    assert server.bench.begun == 1


def test_abandoned_measurement_is_cancelled(server: AgentServer, token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement whose client never comes back gives the device free."""
    monkeypatch.setattr(profilers.agent_bench, "ABANDONED_S", 0.0)
    asked = request(onnx_models.endless_loop())
    lose(server, token, asked, onnx_models.endless_loop())
    assert ask_anew(server, token, request(SMALL), lambda: SMALL).header["event"] == "measured"
    assert ask_anew(server, token, asked, never).header["reason"] == "cancelled"


def test_cancelled_before_it_begins(server: AgentServer, token: Path) -> None:
    """A cancellation that overtakes its request holds."""
    asked = request(SMALL)
    with link_to(server, token) as link:
        link.cancel(str(asked["id"]))
        assert ask(link, asked, lambda: SMALL).header["reason"] == "cancelled"


def test_answers_are_forgotten(server: AgentServer, token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are kept for a while and not for ever."""
    asked = request(SMALL)
    ask_anew(server, token, asked, lambda: SMALL)
    assert server.bench.find(str(asked["id"]))
    monkeypatch.setattr(profilers.agent_bench, "REMEMBERED_BYTES", 100)
    assert server.bench.find(str(asked["id"])) is None


def test_one_at_a_time(server: AgentServer, token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several clients wait for each other, the time in the queue is told apart, and patience with it has an end."""
    device, real, inside, most = device_of(server.address, token), HostProfiler.profile, 0, 0

    def watched(*arguments: object, **more: object) -> Measurement:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        try:
            return real(*arguments, **more)
        finally:
            inside -= 1

    def profile() -> float:
        with RemoteProfiler(RULE) as profiler:
            return profiler.profile(SMALL, device).queued_ms

    monkeypatch.setattr(HostProfiler, "profile", watched)
    with ThreadPoolExecutor(3) as pool:
        with server.bench.turn(1, lambda: None, 1):
            clients = [pool.submit(profile) for _ in range(3)]
            until(lambda: len(server.bench._queue) == 4)
            since = time.monotonic()
            until(lambda: time.monotonic() - since > 0.1)
            held_ms = (time.monotonic() - since) * 1e3
        assert all(client.result() >= held_ms for client in clients)
    assert (server.bench.begun, most) == (3, 1)
    with link_to(server, token) as link:
        with server.bench.turn(1, lambda: None, 1):
            answer = ask(link, request(SMALL, limits=Limits(queue_s=0.01)), never)
        assert (answer.header["event"], answer.header["reason"]) == ("failed", "queue")
        assert ask(link, request(SMALL), lambda: SMALL).header["event"] == "measured"


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model_bytes": 1 << 40}, "1,099,511,627,776 bytes; allowed are 1 to"),
        ({"model_bytes": "1"}, "model_bytes must be a whole number"),
        ({"rule": {"min_runs": 5}}, "TimingRule must have the keys min_runs, max_runs"),
        ({"rule": {**asdict(RULE), "max_runs": 10**9}}, "max_runs must be at most 100,000"),
        ({"rule": {**asdict(RULE), "max_runs": True}}, "max_runs must be a number"),
        ({"limits": {**asdict(Limits()), "cpu_s": -1}}, "cpu_s must be a positive number"),
        ({"limits": {**asdict(Limits()), "memory_bytes": 1e9}}, "memory_bytes must be a number"),
        ({"dimensions": {"T": "long"}}, "dimensions must be whole numbers"),
        ({"dimensions": None}, "dimensions must be whole numbers"),
    ],
)
def test_bad_requests(server: AgentServer, token: Path, change: dict[str, object], message: str) -> None:
    """A request that makes no sense is answered before the model is asked for, and the next one is measured."""
    with link_to(server, token) as link:
        assert message in str(ask(link, {**request(SMALL), **change}, never).header["message"])
        assert ask(link, request(SMALL), lambda: SMALL).header["event"] == "measured"


def test_limits_of_the_agent_hold(token: Path) -> None:
    """Of the agent's limits and the client's, the smaller ones hold."""
    with RemoteProfiler(RULE, Limits(wall_s=60)) as profiler:
        with agent(token, "--max-model-bytes", "100") as address, pytest.raises(ModelRefused, match="are 1 to 100"):
            profiler.profile(SMALL, device_of(address, token))
        late = pytest.raises(ProfilingFailed, match=r"did not end within 0\.5 s")
        with agent(token, "--max-wall-s", "0.5") as address, late:
            profiler.profile(onnx_models.endless_loop(), device_of(address, token))
