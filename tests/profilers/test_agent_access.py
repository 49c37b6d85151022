"""Who may speak to an agent, and whom its clients believe."""

import shutil
import socket
import struct
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from profilers.address import read_address
from profilers.agent_protocol import HANDSHAKE_BYTES
from profilers.agent_server import AgentServer
from profilers.agent_token import Token
from profilers.cancellation import Cancellation
from profilers.errors import DeviceLost, ProfilingFailed
from profilers.remote_profiler import RemoteProfiler
from tests.profilers import onnx_models
from tests.profilers.agents import (
    RULE,
    SMALL,
    agent,
    ask_anew,
    device_of,
    end,
    greet,
    pretender,
    request,
    start_agent,
    token_file,
)


def test_agent_without_the_token_is_found_out(token: Path) -> None:
    """What listens at the agent's address and does not know the token gets no model and is not believed."""
    denied = pytest.raises(DeviceLost, match="no agent that knows the token")
    other = pretender(lambda connection: greet(connection, Token("x" * 64)))
    with other as address, RemoteProfiler(RULE) as profiler, denied as lost:
        profiler.profile(SMALL, device_of(address, token))
    assert lost.value.reason == "denied"


def test_client_without_the_token_is_denied(token: Path, tmp_path: Path) -> None:
    """A wrong token is denied at once, and no token stands in arguments, messages or the log."""
    wrong, log = token_file(tmp_path, "wrong"), tmp_path / "log"
    with log.open("w") as opened:
        process, address = start_agent(token, log=opened.fileno())
        with RemoteProfiler(RULE) as profiler, pytest.raises(DeviceLost, match="the token is not the agent's") as lost:
            profiler.profile(SMALL, device_of(address, wrong))
        device = device_of(address, token)
        with RemoteProfiler(RULE) as profiler:
            profiler.profile(SMALL, device)
        seen = " ".join(
            [*psutil.Process(process.pid).cmdline(), str(lost.value), repr(device), str(device.description)]
        )
        end(process)
    assert lost.value.reason == "denied"
    assert "was denied" in log.read_text()
    for secret in (token, wrong):
        assert secret.read_text().strip() not in seen + log.read_text()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        struct.pack(">IQ", HANDSHAKE_BYTES + 1, 0),
        struct.pack(">IQ", 2, 1) + b"{}",
        struct.pack(">IQ", 2, 0) + b"[]",
        struct.pack(">IQ", 2, 0) + b"{}" + struct.pack(">IQ", 29, 0) + b'{"ask":"measure","id":"0123"}',
    ],
    ids=["http", "long", "payload", "list", "unproven"],
)
def test_strangers_are_cut_off(server: AgentServer, token: Path, sent: bytes) -> None:
    """Before a client has proved who it is, the agent reads no more than a small header from it."""
    with socket.create_connection(read_address(server.address), timeout=5) as stranger:
        stranger.sendall(sent)
        heard = b""
        with suppress(OSError):  # it may be over already
            stranger.shutdown(socket.SHUT_WR)
            while got := stranger.recv(4096):
                heard += got
    assert b"welcome" not in heard
    assert ask_anew(server, token, request(SMALL), lambda: SMALL).header["event"] == "measured"


def certificate(folder: Path, name: str) -> tuple[str, str]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    files = str(folder / f"{name}.pem"), str(folder / f"{name}.key")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout", files[1]]
    subprocess.run(command, check=True, capture_output=True)
    return files


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make certificates with")
def test_tls(token: Path, tmp_path: Path) -> None:
    """An encrypted agent measures; a plain client and one with another certificate are told why it does not."""
    (own, key), (other, _) = certificate(tmp_path, "own"), certificate(tmp_path, "other")
    with agent(token, "--tls-cert", own, "--tls-key", key) as address, RemoteProfiler(RULE) as profiler:
        assert profiler.profile(SMALL, device_of(address, token, ca=own)).runs == 10
        with pytest.raises(DeviceLost, match="the agent speaks TLS alone; give its certificate as `ca`"):
            profiler.profile(SMALL, device_of(address, token))
        with pytest.raises(DeviceLost, match=r"the certificate is not one of .*other\.pem") as lost:
            profiler.profile(SMALL, device_of(address, token, ca=other))
        assert lost.value.reason == "denied"
        cancellation = Cancellation()
        threading.Timer(0.5, cancellation.cancel).start()
        with pytest.raises(ProfilingFailed, match="cancelled"):
            profiler.profile(onnx_models.endless_loop(), device_of(address, token, ca=own), cancellation=cancellation)
        assert profiler.profile(SMALL, device_of(address, token, ca=own)).runs == 10
