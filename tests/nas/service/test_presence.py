"""Whether devices answer: asked in the background, of real agents and of what only looks like one."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from waiting import until

from nas.service.presence import Presences
from nas.service.schemas import Presence
from profilers.agent_server import AgentServer
from profilers.agent_token import read_token
from profilers.device import fingerprint_of
from profilers.errors import DeviceAway
from profilers.host import HostDevice
from profilers.roofline import RooflineDevice
from storage.records import Device, JobStatus
from storage.store import ResultStore
from tests.profilers.agents import token_file

FACTS = {"kind": "remote", "agent": "pi5", "cores": 4}


class Agent:
    """An agent that greets, in this process; it may lose sight of its device."""

    def __init__(self, token: Path) -> None:
        self.away = False
        self.server = AgentServer(("127.0.0.1", 0), self.find, read_token(str(token), None), None)
        self.address = self.server.address
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def find(self, asked: object) -> tuple[object, dict[str, object]]:
        """Whom a client wants to measure on."""
        if self.away:
            raise DeviceAway("nobody has the page open")
        return object(), FACTS

    def close(self) -> None:
        """Be gone."""
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """Of the agents."""
    return token_file(tmp_path)


@pytest.fixture
def agent(token: Path) -> Iterator[Agent]:
    """One that answers."""
    started = Agent(token)
    with closing(started):
        yield started


def add(store: ResultStore, name: str, description: dict[str, object]) -> str:
    """A device that measured something once; its fingerprint."""
    store.add_device(Device(fingerprint_of(description), name, description))
    return fingerprint_of(description)


def found(presences: Presences, fingerprint: str) -> Presence:
    """What is known of a device now."""
    return next(each for each in presences.of_all() if each.fingerprint == fingerprint)


def test_a_remote_device(store: ResultStore, token: Path, agent: Agent) -> None:
    """Once it was asked it answers; it is away, answers again, and is gone."""
    pi5 = add(store, "pi5", FACTS)
    section = {"kind": "remote", "address": agent.address, "token_file": str(token)}
    job = store.create_job("waits", {"devices": {"edge": section}})
    presences = Presences(store, fresh_s=0.0)
    until(lambda: found(presences, pi5).answers is True)
    assert [(each.id, each.status) for each in found(presences, pi5).queue] == [(job.id, JobStatus.QUEUED)]
    agent.away = True
    until(lambda: found(presences, pi5).answers is False)
    assert found(presences, pi5).told == "nobody has the page open"
    agent.away = False
    until(lambda: found(presences, pi5).answers is True)
    agent.close()
    until(lambda: found(presences, pi5).answers is False)
    assert found(presences, pi5).told == f"nobody answers at {agent.address}"
    store.cancel(job.id)
    assert found(presences, pi5).queue == []


def test_nobody_waits_for_one_that_is_mute(store: ResultStore, token: Path) -> None:
    """What takes a connection and says nothing keeps nobody waiting, and is asked once at a time."""
    mute = add(store, "mute", FACTS)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        section = {"kind": "remote", "address": address, "token_file": str(token)}
        store.create_job("waits", {"devices": {"mute": section}})
        presences = Presences(store, fresh_s=0.0)
        for _ in range(3):
            told = found(presences, mute)
            assert (told.answers, told.asking, told.told) == (None, True, "it is being asked")
            assert [each.name for each in told.queue] == ["waits"]
        first, _ = listening.accept()
        listening.settimeout(0.0)
        with first, pytest.raises(BlockingIOError):
            listening.accept()


def test_devices_that_nobody_has_to_ask(store: ResultStore, client: TestClient) -> None:
    """This machine, one that is computed, another machine, and one of which no job says where it is."""
    here = add(store, "cpu", HostDevice().description)
    there = add(store, "far", {**HostDevice().description, "cpu": "another"})
    npu = RooflineDevice(name="npu", peak_macs_per_s=1e9, bandwidth_gb_s=1.0)
    computed = add(store, "npu", npu.description)
    lost = add(store, "lost", FACTS)
    section = {"kind": "host", "threads": [1], "optimisation": ["all", "basic"]}
    job = store.create_job("searches settings", {"devices": {"any": section}})
    told = {each["fingerprint"]: each for each in client.get("/presence").json()}
    assert {name: told[each]["answers"] for name, each in
            {"here": here, "there": there, "computed": computed, "lost": lost}.items()} == {
        "here": True, "there": None, "computed": True, "lost": None}  # fmt: skip
    assert [each["id"] for each in told[here]["queue"]] == [job.id]
    assert told[there]["queue"] == []
    assert not any(each["asking"] for each in told.values())
