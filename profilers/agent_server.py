"""The wire before a bench: connections, who may speak on them, and what they may ask."""

import re
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from profilers.address import show_address
from profilers.agent_bench import Bench, Order, Running
from profilers.agent_protocol import (
    HANDSHAKE_BYTES,
    HANDSHAKE_S,
    HEARTBEAT_S,
    ID_PATTERN,
    SILENCE_S,
    VERSION,
    transfer_s,
)
from profilers.agent_token import Token, new_nonce
from profilers.answer import error_answer
from profilers.connection import Connection
from profilers.device import Fact
from profilers.errors import DeviceAway, DeviceRefused, ModelRefused, ProfilingFailed
from profilers.frames import Frame, FrameClosedError, FrameError, FrameTimeoutError
from profilers.limits import Limits
from profilers.timing import TimingRule

MAX_CONNECTIONS = 64
"""Connections at once; further ones are closed."""

IDLE_S = 3600.0
"""Seconds that a client may keep a connection without asking for anything."""

MAX_RUNS = 100_000
"""Timed runs that a client may ask for."""

_TLS_RECORD = b"\x16"  # what the first message of TLS begins with, and no frame

_Numbers = TypeVar("_Numbers", Limits, TimingRule)


Finder = Callable[[object], tuple[Bench, dict[str, Fact]]]
"""From what a client's device says of itself (`remote.RemoteDevice.asked`) to a bench, and how clients see its device.

It raises `DeviceRefused` when there is none, and `DeviceAway` when there is none now.
"""


def only(bench: Bench, name: str) -> Finder:
    """Let clients measure on one bench, of an agent with a name."""

    def find(asked: object) -> tuple[Bench, dict[str, Fact]]:
        if asked:
            raise DeviceRefused(["this agent measures on its own machine; a device of kind remote is expected"])
        return bench, {**bench.device.description, "kind": "remote", "agent": name}

    return find


class AgentServer(socketserver.ThreadingTCPServer):
    """Listens, and serves each connection in a thread.

    Args:
        address: host and port to listen on; port 0 takes a free one.
        find: finds what a client wants to measure on.
        token: what clients have to know.
        tls: for encrypted connections; None for plain ones.

    Raises:
        OSError: the address cannot be listened on.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], find: Finder, token: Token, tls: ssl.SSLContext | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._find = find
        self._token = token
        self._tls = tls
        self._free = threading.Semaphore(MAX_CONNECTIONS)
        super().__init__(address, _Handler)

    @property
    def address(self) -> str:
        """Where it listens, as `HOST:PORT`."""
        host, port = self.socket.getsockname()[:2]
        return show_address(host, port)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more connection."""
        return self._free.acquire(blocking=False)

    def serve(self, end: socket.socket, peer: str) -> None:
        """Serve one connection to its end."""
        try:
            end.settimeout(HANDSHAKE_S)
            encrypted = end.recv(1, socket.MSG_PEEK) == _TLS_RECORD
            if self._tls is not None and encrypted:
                end = self._tls.wrap_socket(end, server_side=True)
            connection = Connection(end)
            bench = self._admit(connection, self._tls is not None and not encrypted)
            if bench is None:
                _log(f"{peer} was denied")
                return
            while True:
                self._answer(bench, connection, connection.receive(HANDSHAKE_BYTES, timeout_s=IDLE_S), peer)
        except (FrameClosedError, FrameTimeoutError):
            pass  # it went away; what it waits for goes on for a while
        except (FrameError, OSError) as error:
            _log(f"{peer} was cut off: {error}")
        finally:
            end.close()
            self._free.release()

    def _admit(self, connection: Connection, plain: bool) -> Bench | None:
        """Find out whether the client knows the token, show that we do, and find the bench that it wants.

        One that should speak TLS is told so.
        """

        def heard() -> dict[str, object]:
            return connection.receive(0, timeout_s=HANDSHAKE_S, max_header_bytes=HANDSHAKE_BYTES).header

        hello = heard()
        if plain:
            message = "the agent speaks TLS alone; give its certificate as `ca`"
            connection.send({"event": "denied", "message": message}, timeout_s=HANDSHAKE_S)
            return None
        nonces = str(hello.get("nonce")), new_nonce()
        connection.send({"nonce": nonces[1]}, timeout_s=HANDSHAKE_S)
        proof = heard().get("proof")
        try:
            if not self._token.proves(proof, "client", nonces):
                raise DeviceRefused(["the token is not the agent's"])
            if hello.get("version") != VERSION:
                version = hello.get("version")
                raise DeviceRefused([f"the agent speaks version {VERSION} (asked for {version!r:.20})"])
            bench, description = self._find(hello.get("device"))
        except (DeviceRefused, DeviceAway) as error:
            event = "away" if isinstance(error, DeviceAway) else "denied"
            connection.send({"event": event, "message": str(error)}, timeout_s=HANDSHAKE_S)
            return None
        welcome = {"event": "welcome", "proof": self._token.proof("agent", nonces), "description": description}
        connection.send(welcome, timeout_s=HANDSHAKE_S)
        return bench

    def _answer(self, bench: Bench, connection: Connection, request: Frame, peer: str) -> None:
        """Do what the client asks."""
        ask, identity = request.header.get("ask"), request.header.get("id")
        if not isinstance(identity, str) or not re.fullmatch(ID_PATTERN, identity):
            raise FrameError(f"an id of 32 hex digits is expected (got {identity!r:.80})")
        if ask == "cancel":
            bench.cancel(identity)
            connection.send({"event": "cancelled"}, timeout_s=SILENCE_S)
        elif ask == "measure":
            try:
                answer = self._measured(bench, connection, read_order(request.header, bench.limits))
            except (ModelRefused, ProfilingFailed) as error:
                answer = error_answer(error)
            connection.send(answer.header, answer.payload, timeout_s=SILENCE_S)
            _log(f"{peer} {identity[:8]} {answer.header['event']}")
        else:
            raise FrameError(f"ask must be measure or cancel (got {ask!r:.80})")

    def _measured(self, bench: Bench, connection: Connection, order: Order) -> Frame:
        """The answer to a request: of its first time if it is not new, or else when its turn has come and gone."""

        def alive(event: str = "queued") -> None:
            connection.send({"event": event}, timeout_s=SILENCE_S)

        running = bench.find(order.identity)
        if running is None:
            running = self._begun(bench, connection, order, alive)
        with running.watched():
            while (answer := running.wait(HEARTBEAT_S)) is None:
                alive("running")
        if bench.closed:
            raise FrameClosedError("the agent ends")  # the client asks again when it is back
        return answer

    def _begun(self, bench: Bench, connection: Connection, order: Order, alive: Any) -> Running:
        """Wait for the turn, take the model, and start to measure it."""
        with bench.turn(order.limits.queue_s, alive, HEARTBEAT_S) as turn:
            running = bench.find(order.identity)  # an earlier connection of the same request may have been first
            if running is not None:
                return running
            connection.send({"event": "send"}, timeout_s=SILENCE_S)
            model = connection.borrow_payload(order.model_bytes, timeout_s=transfer_s(order.model_bytes))
            return bench.begin(turn, order, model)


class _Handler(socketserver.BaseRequestHandler):
    """Hands a connection to the server."""

    server: AgentServer

    def handle(self) -> None:
        """Serve it."""
        self.server.serve(self.request, show_address(*self.client_address[:2]))


def read_order(header: Mapping[str, object], limits: Limits) -> Order:
    """Read what a client asks for; of two limits the smaller one holds.

    Raises:
        ModelRefused: the model is too large.
        ProfilingFailed: the request makes no sense; the reason is protocol.
    """
    try:
        asked = _filled(Limits, header["limits"])
        rule = _filled(TimingRule, header["rule"])
        dimensions = header["dimensions"]
        if not isinstance(dimensions, dict) or any(type(size) is not int for size in dimensions.values()):
            raise ValueError(f"dimensions must be whole numbers by name (got {dimensions!r:.80})")
        if rule.max_runs > MAX_RUNS:
            raise ValueError(f"max_runs must be at most {MAX_RUNS:,} (got {rule.max_runs:,})")
        size = header["model_bytes"]
        if type(size) is not int:
            raise ValueError(f"model_bytes must be a whole number (got {size!r:.80})")
    except (KeyError, ValueError) as error:
        raise ProfilingFailed(f"the agent does not understand the request: {error}", "protocol") from None
    allowed = replace(
        asked, **{field.name: min(getattr(asked, field.name), getattr(limits, field.name)) for field in fields(Limits)}
    )
    if not 0 < size <= allowed.model_bytes:
        raise ModelRefused(f"the model has {size:,} bytes; allowed are 1 to {allowed.model_bytes:,}")
    return Order(str(header["id"]), size, rule, allowed, dimensions)


def _filled(kind: type[_Numbers], given: object) -> _Numbers:
    """Make limits or a rule of JSON, with numbers of the right type."""
    if not isinstance(given, dict) or set(given) != {field.name for field in fields(kind)}:
        raise ValueError(f"{kind.__name__} must have the keys {', '.join(field.name for field in fields(kind))}")
    for field in fields(kind):
        if type(given[field.name]) not in ((int,) if field.type is int else (int, float)):
            raise ValueError(f"{field.name} must be a number (got {given[field.name]!r:.80})")
    return kind(**given)


def _log(line: str) -> None:
    """Tell the operator; no line holds what a client must keep to itself."""
    print(line, file=sys.stderr, flush=True)
