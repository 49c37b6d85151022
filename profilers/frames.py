"""Messages between processes: a JSON object and raw bytes, never a pickle.

A frame is the length of the header (4 bytes, big-endian), the length of the payload (8 bytes), the header as
UTF-8 JSON, and the payload. Lengths are checked before anything is read, so a peer that was taken over by a
hostile model can send nonsense and nothing more.
"""

import json
import os
import select
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass

MAX_HEADER_BYTES = 1 << 20

_LENGTHS = struct.Struct(">IQ")
LENGTHS_BYTES = _LENGTHS.size
_CHUNK_BYTES = 1 << 20


class FrameClosedError(EOFError):
    """The other side is gone."""


class FrameTimeoutError(TimeoutError):
    """The other side took too long."""


class FrameError(ValueError):
    """The other side sent what is no frame, or one that is too large."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

    header: dict[str, object]
    payload: bytes


def send(fd: int, header: Mapping[str, object], payload: bytes = b"", deadline: float | None = None) -> None:
    """Write one frame.

    Args:
        fd: file descriptor of a pipe or socket; with a deadline it must not block.
        header: a JSON object.
        payload: raw bytes.
        deadline: `time.monotonic()` after which to give up; None waits for ever.

    Raises:
        FrameClosedError: nobody reads.
        FrameTimeoutError: the deadline has passed.
    """
    for part in (pack(header, len(payload)), payload):
        view = memoryview(part)
        while view:
            _wait(fd, select.POLLOUT, deadline)
            try:
                view = view[os.write(fd, view[:_CHUNK_BYTES]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise FrameClosedError(f"the other side no longer reads: {error}") from error


def receive(fd: int, max_payload_bytes: int, deadline: float | None = None) -> Frame:
    """Read one frame.

    Args:
        fd: file descriptor of a pipe or socket.
        max_payload_bytes: largest payload that is accepted.
        deadline: `time.monotonic()` after which to give up; None waits for ever.

    Raises:
        FrameClosedError: the other side ended before or inside a frame.
        FrameTimeoutError: the deadline has passed.
        FrameError: a header that is no JSON object, or a length over the limit.
    """
    header_bytes, payload_bytes = unpack_lengths(_read(fd, LENGTHS_BYTES, deadline), max_payload_bytes)
    header = unpack_header(_read(fd, header_bytes, deadline))
    return Frame(header, bytes(_read(fd, payload_bytes, deadline)))


def pack(header: Mapping[str, object], payload_bytes: int) -> bytes:
    """Write all of a frame that comes before its payload."""
    text = json.dumps(header).encode()
    return _LENGTHS.pack(len(text), payload_bytes) + text


def unpack_lengths(
    start: bytes | bytearray, max_payload_bytes: int, max_header_bytes: int = MAX_HEADER_BYTES
) -> tuple[int, int]:
    """Read the lengths of header and payload from the first `LENGTHS_BYTES` bytes of a frame.

    Raises:
        FrameError: one of them is over its limit.
    """
    header_bytes, payload_bytes = _LENGTHS.unpack(start)
    if header_bytes > max_header_bytes or payload_bytes > max_payload_bytes:
        raise FrameError(
            f"a frame of {header_bytes:,} + {payload_bytes:,} bytes; "
            f"allowed are {max_header_bytes:,} + {max_payload_bytes:,}"
        )
    return header_bytes, payload_bytes


def unpack_header(text: bytes | bytearray) -> dict[str, object]:
    """Read the header of a frame.

    Raises:
        FrameError: it is no JSON object.
    """
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"the header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise FrameError(f"the header must be a JSON object (got {type(header).__name__})")
    return header


def _read(fd: int, count: int, deadline: float | None) -> bytearray:
    """Read exactly `count` bytes."""
    buffer = bytearray(count)
    view = memoryview(buffer)
    while view:
        _wait(fd, select.POLLIN, deadline)
        try:
            got = os.readv(fd, [view[:_CHUNK_BYTES]])
        except BlockingIOError:
            continue
        except OSError as error:
            raise FrameClosedError(f"the other side is gone: {error}") from error
        if got == 0:
            raise FrameClosedError("the other side ended")
        view = view[got:]
    return buffer


def _wait(fd: int, event: int, deadline: float | None) -> None:
    """Wait until the descriptor is ready; without a deadline the call itself may block."""
    if deadline is None:
        return
    poll = select.poll()
    poll.register(fd, event)
    remaining = deadline - time.monotonic()
    if remaining <= 0 or not poll.poll(remaining * 1000):
        raise FrameTimeoutError("the other side took too long")
