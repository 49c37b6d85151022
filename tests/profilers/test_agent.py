"""The remote agent: who may speak to it, and that every request is measured once, whatever is lost on the way."""

import fcntl
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

import profilers.agent_bench
import profilers.remote
from profilers.address import read_address, show_address
from profilers.agent import main
from profilers.agent_bench import Bench
from profilers.agent_link import AgentLink
from profilers.agent_protocol import HANDSHAKE_BYTES
from profilers.agent_server import AgentServer, only
from profilers.agent_token import Token, read_token
from profilers.cancellation import Cancellation
from profilers.connection import Connection
from profilers.errors import DeviceLost, DeviceRefused, ModelRefused, ProfilingFailed
from profilers.frames import Frame, FrameClosedError
from profilers.host import HostDevice
from profilers.limits import Limits
from profilers.registry import make_device
from profilers.remote import RemoteDevice
from profilers.remote_profiler import RemoteProfiler
from profilers.timing import TimingRule
from tests.profilers import onnx_models
from tests.profilers.agents import agent, end, start_agent, token_file, wait_until

RULE = TimingRule(min_runs=10, max_runs=10)
SMALL = onnx_models.conv_net(layers=1, channels=4)


class CountingBench(Bench):
    """Counts the measurements that were begun."""

    begun = 0

    def begin(self, *arguments):
        """Count it."""
        self.begun += 1
        return super().begin(*arguments)


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """A file with a token."""
    return token_file(tmp_path)


@pytest.fixture
def server(token: Path) -> Iterator[AgentServer]:
    """An agent in this process, so that its memory can be looked into."""
    bench = CountingBench(HostDevice(), Limits())
    served = AgentServer(("127.0.0.1", 0), only(bench, "here"), read_token(str(token), None), None)
    thread = threading.Thread(target=served.serve_forever, args=(0.01,))
    thread.start()
    with closing(bench), served:
        served.bench = bench
        yield served
        served.shutdown()
        thread.join()


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


def lose(server: AgentServer, token: Path, asked: dict[str, object], model: bytes) -> None:
    """Make a request, hand over the model, and lose the connection when it is measured."""
    with link_to(server, token) as link, ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: wait_until(lambda: server.bench.begun > 0) and link.interrupt())
        with pytest.raises(FrameClosedError):
            ask(link, asked, lambda: model)


def in_the_middle(folder: Path) -> bool:
    """Whether a model is being measured by an agent with its locks in this folder."""
    for ticket in folder.glob("nas-*/host-cpu.lock.[0-9]*"):
        with ticket.open() as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    return False


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


def test_one_at_a_time(server: AgentServer, token: Path) -> None:
    """Several clients wait for each other, the time in the queue is told apart, and patience with it has an end."""
    device = device_of(server.address, token)

    def profile(_: int) -> float:
        with RemoteProfiler(RULE) as profiler:
            return profiler.profile(SMALL, device).queued_ms

    with ThreadPoolExecutor(4) as pool:
        queued = sorted(pool.map(profile, range(4)))
    assert queued[0] < 50 < queued[-1]  # the first waits for nobody, the last for the start of the worker
    with link_to(server, token) as link:
        with server.bench.turn(1, lambda: None, 1):
            answer = ask(link, request(SMALL, limits=Limits(queue_s=0.01)), never)
        assert (answer.header["event"], answer.header["reason"]) == ("failed", "queue")
        assert ask(link, request(SMALL), lambda: SMALL).header["event"] == "measured"


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_agent_restarted_in_the_middle(token: Path, tmp_path: Path, sent: signal.Signals) -> None:
    """An agent that is killed in the middle of a model and started again measures it, and its worker is not left."""
    process, address = start_agent(token, folder=tmp_path)
    device = device_of(address, token)
    try:
        with RemoteProfiler(TimingRule(min_runs=200, max_runs=200)) as profiler, ThreadPoolExecutor(1) as pool:
            seen = pool.submit(profiler.profile, onnx_models.conv_net(layers=12, channels=64), device)
            assert wait_until(lambda: in_the_middle(tmp_path))
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


@pytest.mark.parametrize(
    "options, message",
    [
        ([], "one of the arguments --token-file --token-env is required"),
        (["--token-file", "nowhere"], "token_file 'nowhere' cannot be read: No such file"),
        (["--token-file", "open"], "token_file 'open' can be read by everybody (mode 0644); make it 0600"),
        (["--token-file", "short"], "a token has at least 16 printable ASCII characters"),
        (["--token-env", "NAS_NO_TOKEN"], "the environment variable 'NAS_NO_TOKEN' is not set"),
        (["--token-file", "token", "--serve", "pi5"], "address must be HOST:PORT"),
        (["--token-file", "token", "--threads", "5000"], "threads must be between 1 and"),
        (["--token-file", "token", "--tls-cert", "token"], "--tls-cert and --tls-key belong together"),
        (["--token-file", "token", "--tls-cert", "token", "--tls-key", "token"], "TLS cannot be had with token"),
        (["--token-file", "token", "--name", "a b"], "name must be 1 to 64 letters"),
        (["--token-file", "token", "--max-cpu-s", "0"], "cpu_s must be a positive number"),
    ],
)
def test_bad_options(
    token: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options, message
) -> None:
    """An agent that cannot serve as it is told does not start, and says why; a token is never optional."""
    monkeypatch.chdir(tmp_path)
    for name, mode, text in (("open", 0o644, "x" * 20), ("short", 0o600, "secret")):
        Path(name).write_text(text)
        Path(name).chmod(mode)
    with pytest.raises(SystemExit) as ended:
        main(["--name", "pi5", "--serve", "0.0.0.0:0", *options])
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert message in said.err
    assert "secret" not in said.err.replace("the secret", "")
    assert not said.out


@pytest.mark.parametrize(
    "section, message",
    [
        ({}, "device: address is missing, and there is no default"),
        ({"address": "pi5:7411"}, "exactly one of token_file and token_env must be given"),
        ({"address": "pi5:7411", "token_file": "a", "token_env": "b"}, "exactly one of token_file and token_env"),
        ({"address": "pi5", "token_env": "NAS_NO_TOKEN"}, "got 'pi5'.*'NAS_NO_TOKEN' is not set"),
        ({"address": 7411, "token_env": 3}, "HOST:PORT.*token_env must be text"),
        ({"address": "pi5:7411", "token_env": "HOME", "ca": "nowhere"}, "ca 'nowhere' is not a file"),
        ({"address": "pi5:7411", "token": "x" * 20}, "unknown key 'token'; known: kind, name, address, token_file"),
    ],
)
def test_bad_devices(section: dict[str, object], message: str) -> None:
    """What is wrong with a remote device is said before any work starts."""
    with pytest.raises(DeviceRefused, match=message):
        make_device({"kind": "remote", **section})


@pytest.mark.parametrize("text, address", [("pi5.local:1", ("pi5.local", 1)), ("[::1]:7411", ("::1", 7411))])
def test_addresses(text: str, address: tuple[str, int]) -> None:
    """Addresses are read and written alike."""
    assert read_address(text) == address
    assert show_address(*address) == text


@pytest.mark.parametrize("text", ["", "pi5", "pi5:", ":7411", "pi5:65536", "::1:7411", "http://pi5:80", "[pi5:1", None])
def test_bad_addresses(text: object) -> None:
    """What is no address is shown as it was given."""
    with pytest.raises(DeviceRefused, match="address must be HOST:PORT"):
        read_address(text)


def test_light_install() -> None:
    """An agent starts where only numpy, onnx, onnxruntime and psutil are installed."""
    script = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in "torch ray sqlalchemy pydantic typer yaml rich scipy sympy nas storage".split():
            raise ModuleNotFoundError(f"no module {name}")

sys.meta_path.insert(0, Missing())
from onnxruntime.quantization import quantize_static
from profilers.agent import main
main(["--help"])
"""
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert "--token-file" in said
