"""A client's end of a connection to an agent."""

import socket
import ssl
from collections.abc import Callable, Mapping

from profilers.agent_protocol import HANDSHAKE_BYTES, HANDSHAKE_S, SILENCE_S, VERSION, transfer_s
from profilers.agent_token import Token, new_nonce
from profilers.connection import Connection
from profilers.device import Fact
from profilers.errors import DeviceAway, DeviceLost
from profilers.frames import Frame, FrameClosedError, FrameError, FrameTimeoutError

LOST = (FrameClosedError, FrameTimeoutError, OSError, DeviceAway)
"""What a connection raises that is worth another try."""

_ANSWERS = ("measured", "refused", "failed")


class AgentLink:
    """An authenticated connection; used by one thread at a time, but for `interrupt`.

    Args:
        address: host and port.
        token: the secret that the agent knows.
        ca: PEM file with the certificates that the agent's is checked against; None for a plain connection.
        device: which device of the agent is meant; empty where it has one.

    Raises:
        FrameClosedError, FrameTimeoutError, OSError: nobody answers, now; it may be tried again.
        DeviceAway: the agent does, without the device; it may be tried again too.
        DeviceLost: trying again is of no use: the token or the certificate is not right, or this is no agent.
    """

    def __init__(self, address: tuple[str, int], token: Token, ca: str | None, device: Mapping[str, Fact]) -> None:
        end = socket.create_connection(address, timeout=HANDSHAKE_S)
        try:
            if ca is not None:
                end = ssl.create_default_context(cafile=ca).wrap_socket(end, server_hostname=address[0])
            self._connection = Connection(end)
            self.description = self._greet(token, device)
        except ssl.SSLCertVerificationError as error:
            end.close()
            raise DeviceLost(f"the certificate is not one of {ca}: {error.verify_message}", "denied") from None
        except FrameError as error:
            end.close()
            raise DeviceLost(f"what answers is no agent: {error}", "denied") from None
        except BaseException:
            end.close()
            raise

    def measure(
        self,
        request: Mapping[str, object],
        model: Callable[[], bytes],
        max_payload_bytes: int,
        heard: Callable[[], None],
    ) -> Frame:
        """Ask for a measurement and wait for what comes of it.

        Args:
            request: see `profilers.agent_protocol`.
            model: called when the agent wants the model.
            max_payload_bytes: the longest answer.
            heard: called at each sign of life.

        Raises:
            FrameClosedError, FrameTimeoutError: the connection is lost.
            FrameError: the agent says what makes no sense.
        """
        self._connection.send({"ask": "measure", **request}, timeout_s=SILENCE_S)
        while True:
            frame = self._connection.receive(max_payload_bytes, timeout_s=SILENCE_S)
            heard()
            event = frame.header.get("event")
            if event in _ANSWERS:
                return frame
            if event == "send":
                content = model()
                self._connection.send({"event": "model"}, content, timeout_s=transfer_s(len(content)))
            elif event not in ("queued", "running"):
                raise FrameError(f"an event is expected (got {frame.header!r:.80})")

    def cancel(self, identity: str) -> None:
        """End the measurement of a request, or see to it that it never begins.

        Raises:
            FrameClosedError, FrameTimeoutError: the connection is lost.
        """
        self._connection.send({"ask": "cancel", "id": identity}, timeout_s=SILENCE_S)
        self._connection.receive(0, timeout_s=SILENCE_S)

    def interrupt(self) -> None:
        """End the connection from another thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _greet(self, token: Token, device: Mapping[str, Fact]) -> dict[str, Fact]:
        """Show that we know the token, find out whether the agent does, and hear what the device is."""

        def heard() -> dict[str, object]:
            return self._connection.receive(0, timeout_s=HANDSHAKE_S, max_header_bytes=HANDSHAKE_BYTES).header

        nonce = new_nonce()
        self._connection.send({"version": VERSION, "nonce": nonce, "device": dict(device)}, timeout_s=HANDSHAKE_S)
        answer = heard()
        nonces = nonce, str(answer.get("nonce"))
        if answer.get("event") != "denied":
            self._connection.send({"proof": token.proof("client", nonces)}, timeout_s=HANDSHAKE_S)
            answer = heard()
        if answer.get("event") == "denied":
            raise DeviceLost(f"the agent denies us: {str(answer.get('message'))[:200]}", "denied")
        if answer.get("event") == "away":
            raise DeviceAway(str(answer.get("message"))[:500])
        if answer.get("event") != "welcome" or not token.proves(answer.get("proof"), "agent", nonces):
            raise DeviceLost("what answers is no agent that knows the token", "denied")
        description = answer.get("description")
        if not isinstance(description, dict) or not all(
            isinstance(fact, str | int | float | bool) for fact in description.values()
        ):
            raise FrameError(f"a description is expected (got {description!r:.80})")
        return description
