"""Messages between processes, and what a peer that lies can do with them."""

import os
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from profilers.frames import FrameClosedError, FrameError, FrameTimeoutError, receive, send


@pytest.fixture
def pipe() -> Iterator[list[int]]:
    """Both ends of a pipe; an end that a test has closed is set to -1."""
    ends = list(os.pipe())
    yield ends
    for end in ends:
        if end >= 0:
            os.close(end)


def test_round_trip(pipe: list[int]) -> None:
    """A frame larger than the pipe's buffer arrives as it was sent."""
    payload = os.urandom(3_000_000)
    os.set_blocking(pipe[1], False)
    deadline = time.monotonic() + 60
    sender = threading.Thread(target=send, args=(pipe[1], {"event": "ä", "n": 1}, payload, deadline))
    sender.start()
    frame = receive(pipe[0], len(payload), deadline)
    sender.join()
    assert frame.header == {"event": "ä", "n": 1}
    assert frame.payload == payload


@pytest.mark.parametrize(
    "sent, message",
    [
        (struct.pack(">IQ", 1 << 30, 0), "a frame of 1,073,741,824"),
        (struct.pack(">IQ", 2, 1 << 60) + b"{}", "allowed are 1,048,576 [+] 10"),
        (struct.pack(">IQ", 2, 0) + b"[]", "must be a JSON object"),
        (struct.pack(">IQ", 3, 0) + b"\x80\x04N", "not JSON"),
        (struct.pack(">IQ", 100_000, 0) + b"[" * 65_000, "allowed|ended|not JSON"),
    ],
)
def test_lies_are_refused(pipe: list[int], sent: bytes, message: str) -> None:
    """Absurd lengths, pickles and deep nesting are refused before they do harm."""
    os.write(pipe[1], sent)
    os.close(pipe[1])
    pipe[1] = -1
    with pytest.raises((FrameError, FrameClosedError), match=message):
        receive(pipe[0], 10)


def test_silence_ends_at_the_deadline(pipe: list[int]) -> None:
    """Neither side waits longer than it wants to."""
    with pytest.raises(FrameTimeoutError):
        receive(pipe[0], 10, time.monotonic() + 0.01)
    os.set_blocking(pipe[1], False)
    with pytest.raises(FrameTimeoutError):
        send(pipe[1], {}, bytes(1 << 20), time.monotonic() + 0.01)


def test_closed_pipe(pipe: list[int]) -> None:
    """A side that is gone is told from one that is slow."""
    os.close(pipe[0])
    pipe[0] = -1
    with pytest.raises(FrameClosedError, match="no longer reads"):
        send(pipe[1], {})
