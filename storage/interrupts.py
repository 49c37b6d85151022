"""Interrupts that wait for the end of a transaction.

A KeyboardInterrupt can come between any two steps of a program, so also when a transaction has begun and nobody holds
it yet who would end it. It would live as long as the exception's traceback, and keep all others from writing.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_depth = 0
_waiting = False


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let `interrupt` wait for the end of what is within; in other threads than the main one nothing interrupts.

    Raises:
        KeyboardInterrupt: at its end, when there was a signal meanwhile.
    """
    global _depth, _waiting
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if _waiting and not _depth:
            _waiting = False
            raise KeyboardInterrupt


def interrupt(number: int, frame: FrameType | None) -> None:
    """Handle a signal: raise KeyboardInterrupt, at the end of a transaction or, when it comes again, at once."""
    global _waiting
    _waiting = _depth > 0 and not _waiting
    if not _waiting:
        raise KeyboardInterrupt
