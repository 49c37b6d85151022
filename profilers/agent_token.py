"""The secret that an agent and its clients share, and how each proves to the other that it has it.

The token itself is never sent: each side draws a nonce, and shows the HMAC of both nonces under the token. So one
that listens learns nothing that can be used again, and one that poses as an agent is found out.
"""

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import Literal

from profilers.errors import DeviceRefused

MIN_CHARACTERS = 16
_MAX_BYTES = 4096

Role = Literal["agent", "client"]


class Token:
    """A shared secret.

    Args:
        text: at least 16 printable ASCII characters without spaces.

    Raises:
        DeviceRefused: it is none; the message does not show it.
    """

    def __init__(self, text: str) -> None:
        if len(text) < MIN_CHARACTERS or not text.isascii() or not text.isprintable() or " " in text:
            raise DeviceRefused(
                [f"a token has at least {MIN_CHARACTERS} printable ASCII characters and no spaces (this one has not)"]
            )
        self._key = text.encode()

    def proof(self, role: Role, nonces: tuple[str, str]) -> str:
        """What shows that `role` has the token: 64 hex digits.

        Args:
            role: who shows it, so that nobody can be answered with his own words.
            nonces: the client's and the agent's.
        """
        return hmac.new(self._key, "\n".join((role, *nonces)).encode(), hashlib.sha256).hexdigest()

    def proves(self, given: object, role: Role, nonces: tuple[str, str]) -> bool:
        """Say whether a proof is right, in a time that does not depend on it."""
        return isinstance(given, str) and given.isascii() and hmac.compare_digest(given, self.proof(role, nonces))


def new_nonce() -> str:
    """Draw a nonce: 64 hex digits."""
    return secrets.token_hex(32)


def read_token(file: str | None, variable: str | None) -> Token:
    """Read the token from a file or from an environment variable, whichever is given.

    Args:
        file: path of a text file that others must not be able to read.
        variable: name of an environment variable.

    Raises:
        DeviceRefused: both or neither are given, there is no token, or others can read it.
    """
    if (file is None) == (variable is None):
        raise DeviceRefused(["exactly one of token_file and token_env must be given"])
    if file is None:
        text = os.environ.get(str(variable))
        if text is None:
            raise DeviceRefused([f"token_env: the environment variable {variable!r} is not set"])
        return _token(text, f"token_env {variable!r}")
    try:
        with Path(file).open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            content = opened.read(_MAX_BYTES)
    except OSError as error:
        raise DeviceRefused([f"token_file {file!r} cannot be read: {error.strerror}"]) from None
    if mode & 0o007:
        raise DeviceRefused([f"token_file {file!r} can be read by everybody (mode {mode:04o}); make it 0600"])
    return _token(content.decode("ascii", errors="replace"), f"token_file {file!r}")


def _token(text: str, where: str) -> Token:
    """Make a token of a text, and say where it came from if it is none."""
    try:
        return Token(text.strip())
    except DeviceRefused as error:
        raise DeviceRefused([f"{where}: {error}"]) from None
