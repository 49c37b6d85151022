"""Where browsers join: who may, under which name, and who is there."""

import hmac
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Literal

from profilers.device import Fact, name_problems
from profilers.errors import DeviceRefused
from profilers.joined_browser import AWAY_S, SILENCE_S, JoinedBrowser, NotJoined

MAX_BROWSERS = 64

MAX_GUESSES = 10
"""Wrong codes within `GUESSING_S` seconds after which none is heard for a while."""

GUESSING_S = 60.0

_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # none that is taken for another
_CODE = re.compile(r"[0-9A-Za-z]{6,64}")

Refusal = Literal["code", "guessing", "name", "taken", "full"]


class JoinRefused(Exception):
    """A browser may not join; `reason` says why."""

    def __init__(self, message: str, reason: Refusal) -> None:
        self.reason: Refusal = reason
        super().__init__(message)


class Lobby:
    """The browsers of a service.

    Args:
        code: what has to be typed to join, 6 letters and digits or more; drawn if not given.

    Raises:
        DeviceRefused: no such code.
    """

    def __init__(self, code: str | None = None) -> None:
        drawn = "".join(secrets.choice(_LETTERS) for _ in range(8))
        self._code = _plain(drawn if code is None else code)
        if not _CODE.fullmatch(self._code):
            raise DeviceRefused(["a join code has 6 to 64 letters and digits (this one has not)"])
        self._browsers: dict[str, JoinedBrowser] = {}
        self._guesses: deque[float] = deque(maxlen=MAX_GUESSES)
        self._lock = threading.Lock()

    @property
    def code(self) -> str:
        """The code as it is shown, in groups of four."""
        return "-".join(self._code[i : i + 4] for i in range(0, len(self._code), 4))

    def join(self, code: str, name: str, facts: Mapping[str, Fact], previous_key: str = "") -> str:
        """Let a page in as a device.

        Args:
            code: as it was typed.
            name: what the device is to be called.
            facts: see `JoinedBrowser`.
            previous_key: the key that the browser had under this name, if it was there before.

        Returns:
            The key with which the page speaks for the browser.

        Raises:
            JoinRefused: wrong code, too many wrong codes, no name, or another browser of this name is there.
        """
        with self._lock:
            self._check(code)
            if problems := name_problems(name):
                raise JoinRefused(problems[0], "name")
            browser = self._browsers.get(name)
            if browser is None:
                self._make_room()
                browser = self._browsers[name] = JoinedBrowser(name)
            elif browser.silent_s < SILENCE_S and not browser.is_key(previous_key) and browser.present:
                raise JoinRefused(f"a device named {name!r} is there already; choose another name", "taken")
            return browser.join(facts)

    def browser(self, name: str) -> JoinedBrowser | None:
        """The browser of this name, if there is one that is not given up."""
        with self._lock:
            browser = self._browsers.get(name)
        return browser if browser and browser.silent_s < AWAY_S else None

    def speaker(self, key: str) -> JoinedBrowser:
        """The browser for which a page with this key speaks.

        Raises:
            NotJoined: none.
        """
        with self._lock:
            found = [browser for browser in self._browsers.values() if browser.is_key(key)]
        if not found:
            raise NotJoined
        return found[0]

    def close(self) -> None:
        """Turn all pages away, so that none waits for an answer."""
        with self._lock:
            for browser in self._browsers.values():
                browser.close()

    def _check(self, code: str) -> None:
        """Compare a code, unless there were too many wrong ones lately."""
        now = time.monotonic()
        if len(self._guesses) == MAX_GUESSES and now - self._guesses[0] < GUESSING_S:
            raise JoinRefused(f"too many wrong codes; wait {GUESSING_S:g} s and try again", "guessing")
        if not hmac.compare_digest(_plain(code).encode(), self._code.encode()):
            self._guesses.append(now)
            raise JoinRefused("this is not the code that the service shows", "code")

    def _make_room(self) -> None:
        """Forget the browser that was silent for longest when there are too many."""
        if len(self._browsers) >= MAX_BROWSERS:
            quietest = max(self._browsers.values(), key=lambda browser: browser.silent_s)
            if quietest.silent_s < AWAY_S:
                raise JoinRefused(f"{MAX_BROWSERS} devices are there already", "full")
            del self._browsers[quietest.name]


def _plain(code: str) -> str:
    """A code without what people put between its letters."""
    return re.sub(r"[\s-]", "", code).upper()
