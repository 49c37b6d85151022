"""Ends a measurement early, from another thread."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from profilers.errors import ProfilingFailed


class Cancellation:
    """Given to `profile`, it ends that measurement, whether it has begun or not; `profile` then says so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._action: Callable[[], None] | None = None

    @property
    def cancelled(self) -> bool:
        """Whether somebody has asked for the end."""
        return self._cancelled

    def cancel(self) -> None:
        """Ask for the end; again is harmless."""
        with self._lock:
            first, self._cancelled = not self._cancelled, True
            if first and self._action is not None:
                self._action()

    @contextmanager
    def calls(self, action: Callable[[], None]) -> Iterator[None]:
        """Say what `cancel` has to call while the body runs; it is called at most once and must not block.

        Raises:
            ProfilingFailed: it was cancelled before; the reason is cancelled.
        """
        with self._lock:
            if self._cancelled:
                raise cancelled()
            self._action = action
        try:
            yield
        finally:
            with self._lock:
                self._action = None


def cancelled() -> ProfilingFailed:
    """The error of a measurement that was cancelled."""
    return ProfilingFailed("the measurement was cancelled", "cancelled")
