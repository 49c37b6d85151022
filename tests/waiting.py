"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable


def until(done: Callable[[], bool], seconds: float = 400.0) -> None:
    """Look until something is so; fail after a time that is only there to end."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)
