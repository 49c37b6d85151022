"""Logged-in browsers: each holds a cookie that names a session, and never the token itself."""

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

LIFETIME_S = 12 * 3600.0
MOST = 10_000
"""Sessions at a time; the oldest is ended for one more."""


class Sessions:
    """The sessions of one service, in its memory: when it ends, everybody logs in again.

    A cookie goes to every server of the same host, whatever its port; one that reads it there gets a session that
    ends, and not a token that may be good for ever.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def open(self, token: str) -> str:
        """Begin a session for who knows a token, and return its secret."""
        secret = secrets.token_urlsafe(32)
        with self._lock:
            self._open[_hash(secret)] = token, self._clock() + LIFETIME_S
            while len(self._open) > MOST:
                self._open.popitem(last=False)
        return secret

    def token(self, secret: str) -> str | None:
        """The token of a session; None when it is unknown or over."""
        with self._lock:
            found = self._open.get(_hash(secret))
            if found is None:
                return None
            token, end = found
            if end <= self._clock():
                del self._open[_hash(secret)]
                return None
            return token

    def close(self, secret: str) -> None:
        """End a session."""
        with self._lock:
            self._open.pop(_hash(secret), None)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
