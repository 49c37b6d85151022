"""Frames over a socket, plain or TLS; every call has an end in time."""

import socket
import time
from collections.abc import Mapping

from profilers import frames
from profilers.frames import MAX_HEADER_BYTES, Frame, FrameClosedError, FrameTimeoutError

_SPARE_BYTES = 64 << 20  # memory that is kept beyond what the payload needs


class Connection:
    """One end of a connection; used by one thread at a time, but for `interrupt`."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._spare = bytearray()
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, header: Mapping[str, object], payload: bytes = b"", *, timeout_s: float) -> None:
        """Write one frame.

        Args:
            header: a JSON object.
            payload: raw bytes.
            timeout_s: for all of it.

        Raises:
            FrameClosedError: nobody reads.
            FrameTimeoutError: it took too long.
        """
        deadline = time.monotonic() + timeout_s
        for part in (frames.pack(header, len(payload)), payload):
            try:
                self._socket.settimeout(_remaining(deadline))
                self._socket.sendall(part)
            except TimeoutError as error:
                raise FrameTimeoutError("the other side took too long") from error
            except OSError as error:
                raise FrameClosedError(f"the other side no longer reads: {error}") from error

    def receive(self, max_payload_bytes: int, *, timeout_s: float, max_header_bytes: int = MAX_HEADER_BYTES) -> Frame:
        """Read one frame.

        Args:
            max_payload_bytes: largest payload that is accepted.
            timeout_s: for all of it, however slowly it drips in.
            max_header_bytes: largest header that is accepted.

        Raises:
            FrameClosedError: the other side ended before or inside a frame.
            FrameTimeoutError: it took too long.
            FrameError: a header that is no JSON object, or a length over the limit.
        """
        deadline = time.monotonic() + timeout_s
        header, payload_bytes = self._header(max_payload_bytes, max_header_bytes, deadline)
        return Frame(header, bytes(self._read(payload_bytes, deadline)))

    def borrow_payload(self, max_payload_bytes: int, *, timeout_s: float) -> memoryview:
        """Read one frame as `receive` does, and lend its payload: the next call here may overwrite it.

        Memory that was used before takes a third of the time of fresh memory.
        """
        deadline = time.monotonic() + timeout_s
        _, payload_bytes = self._header(max_payload_bytes, MAX_HEADER_BYTES, deadline)
        if not payload_bytes <= len(self._spare) <= payload_bytes + _SPARE_BYTES:
            self._spare = bytearray(payload_bytes)
        payload = memoryview(self._spare)[:payload_bytes]
        self._fill(payload, deadline)
        return payload

    def interrupt(self) -> None:
        """End the connection from another thread; the one that waits in it gets `FrameClosedError`."""
        try:
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # TLS's own is not for two threads
        except OSError:
            return  # it is over already

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def _header(self, max_payload_bytes: int, max_header_bytes: int, deadline: float) -> tuple[dict[str, object], int]:
        """Read a frame up to its payload, and how long that is."""
        start = self._read(frames.LENGTHS_BYTES, deadline)
        header_bytes, payload_bytes = frames.unpack_lengths(start, max_payload_bytes, max_header_bytes)
        return frames.unpack_header(self._read(header_bytes, deadline)), payload_bytes

    def _read(self, count: int, deadline: float) -> bytearray:
        """Read exactly `count` bytes."""
        buffer = bytearray(count)
        self._fill(memoryview(buffer), deadline)
        return buffer

    def _fill(self, view: memoryview, deadline: float) -> None:
        """Read until a buffer is full."""
        while view:
            try:
                self._socket.settimeout(_remaining(deadline))
                got = self._socket.recv_into(view)
            except TimeoutError as error:
                raise FrameTimeoutError("the other side took too long") from error
            except OSError as error:
                raise FrameClosedError(f"the other side is gone: {error}") from error
            if got == 0:
                raise FrameClosedError("the other side ended")
            view = view[got:]


def _remaining(deadline: float) -> float:
    """Seconds that are left; none is an error."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("no time is left")
    return remaining
