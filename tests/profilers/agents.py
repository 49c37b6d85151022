"""Remote agents on loopback, in processes of their own or in this one, and what is asked of them."""

import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import pytest

from profilers.address import read_address, show_address
from profilers.agent_bench import Bench
from profilers.agent_link import AgentLink
from profilers.agent_server import AgentServer
from profilers.agent_token import Token, read_token
from profilers.connection import Connection
from profilers.frames import Frame, FrameClosedError
from profilers.limits import Limits
from profilers.remote import RemoteDevice
from profilers.timing import TimingRule
from tests.profilers import onnx_models

RULE = TimingRule(min_runs=10, max_runs=10)
SMALL = onnx_models.conv_net(layers=1, channels=4)


def token_file(folder: Path, name: str = "token") -> Path:
    """A file with a new token that only its owner can read."""
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32) + "\n")
    return path


def start_agent(
    token: Path, *options: str, serve: str = "127.0.0.1:0", log: int = subprocess.DEVNULL, folder: Path | None = None
) -> tuple[subprocess.Popen[str], str]:
    """Start an agent, with its locks in a folder of its own if one is given; it and its address, once it serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", "profilers.agent", "--serve", serve, "--name", "loop", "--token-file", token, *options],
        stdout=subprocess.PIPE,
        stderr=log,
        env=None if folder is None else {**os.environ, "TMPDIR": str(folder)},
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("agent loop serves "), line
    return process, line.split()[3].removesuffix(":")


@contextmanager
def agent(token: Path, *options: str) -> Iterator[str]:
    """The address of an agent that serves meanwhile."""
    process, address = start_agent(token, *options)
    try:
        yield address
    finally:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    """End an agent and wait for it."""
    process.terminate()
    process.communicate()


class CountingBench(Bench):
    """Counts the measurements that were begun."""

    begun = 0

    def begin(self, *arguments):
        """Count it."""
        self.begun += 1
        return super().begin(*arguments)


def device_of(address: str, token: Path, **more: str) -> RemoteDevice:
    """The device behind an agent."""
    return RemoteDevice(name="loop", address=address, token_file=str(token), **more)


def link_to(server: AgentServer, token: Path) -> AbstractContextManager[AgentLink]:
    """A connection to the agent in this process."""
    return closing(AgentLink(read_address(server.address), read_token(str(token), None), None, {}))


def ask_anew(server: AgentServer, token: Path, asked: dict[str, object], model: Callable[[], bytes]) -> Frame:
    """The answer to a request on a connection of its own."""
    with link_to(server, token) as link:
        return ask(link, asked, model)


def request(model: bytes, identity: str = "", limits: Limits | None = None) -> dict[str, object]:
    """What asks for a measurement."""
    return {
        "id": identity or secrets.token_hex(16),
        "model_bytes": len(model),
        "rule": asdict(RULE),
        "limits": asdict(limits or Limits()),
        "dimensions": {},
    }


def ask(link: AgentLink, asked: dict[str, object], model: Callable[[], bytes]) -> Frame:
    """The answer to a request."""
    return link.measure(asked, model, 8 * RULE.max_runs, lambda: None)


def never() -> bytes:
    """A model that must not be asked for."""
    pytest.fail("the model was asked for again")


@contextmanager
def pretender(behave: Callable[[Connection], None]) -> Iterator[str]:
    """The address of something that behaves on every connection as it is told, and then ends it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    accepted, _ = listener.accept()
                    with accepted, suppress(FrameClosedError):
                        behave(Connection(accepted))

        thread = threading.Thread(target=serve)
        thread.start()
        yield show_address(*listener.getsockname())
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def greet(connection: Connection, token: Token) -> None:
    """Begin a connection as an agent with this token does."""
    hello = connection.receive(0, timeout_s=10).header
    connection.send({"nonce": "n"}, timeout_s=10)
    connection.receive(0, timeout_s=10)
    proof = token.proof("agent", (str(hello["nonce"]), "n"))
    connection.send({"event": "welcome", "proof": proof, "description": {"kind": "remote"}}, timeout_s=10)
