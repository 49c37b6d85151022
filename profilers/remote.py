"""A device on another machine, behind a remote agent."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import ClassVar, TypeVar

from profilers.address import read_address
from profilers.agent_link import LOST, AgentLink
from profilers.agent_token import read_token
from profilers.device import Device, Fact, name_problems
from profilers.errors import DeviceAway, DeviceLost, DeviceRefused

PATIENCE_S = 60.0
"""Seconds without any contact after which an agent is given up: a restart, or a network that was lost, is shorter."""

_PAUSE_S = 0.2

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteDevice(Device):
    """A machine that runs `nas agent`; the agent says what the device is and how models are run.

    Attributes:
        name: what a job calls the device.
        address: where the agent serves, `HOST:PORT`.
        token_file: file with the agent's token, mode 0600; or
        token_env: environment variable with the token.
        ca: PEM file with the certificate of the agent or of who signed it, for an agent with `--tls-cert`; without
            it the connection is not encrypted.

    Raises:
        DeviceRefused: any field asks for what is not there; every problem is listed.
    """

    kind: ClassVar[str] = "remote"
    paths: ClassVar[tuple[str, ...]] = ("token_file", "ca")

    name: str = "remote"
    address: str
    token_file: str | None = None
    token_env: str | None = None
    ca: str | None = None

    def __post_init__(self) -> None:
        problems = name_problems(self.name)
        texts = {key: getattr(self, key) for key in ("token_file", "token_env", "ca")}
        wrong = [f"{key} must be text (got {given!r})" for key, given in texts.items() if not _text_or_none(given)]
        if not wrong and self.ca is not None and not Path(self.ca).is_file():
            wrong.append(f"ca {self.ca!r} is not a file")
        checks: list[Callable[[], object]] = [lambda: read_address(self.address)]
        if not wrong:
            checks.append(lambda: read_token(self.token_file, self.token_env))
        for check in checks:
            try:
                check()
            except DeviceRefused as error:
                problems.extend(error.problems)
        if problems or wrong:
            raise DeviceRefused([*problems, *wrong])

    @property
    def family(self) -> str:
        """What two timings must not share; the agent itself sees to that."""
        return f"agent-{self.address}"

    @property
    def description(self) -> dict[str, Fact]:
        """What the agent says of its machine; it is asked each time.

        Raises:
            DeviceLost: it does not answer.
        """

        def ask(_: Callable[[], None]) -> dict[str, Fact]:
            link = self.open()
            link.close()
            return link.description

        return self.patiently(ask)

    @property
    def asked(self) -> dict[str, Fact]:
        """Which device of the agent is meant; nothing where it has one."""
        return {}

    def open(self) -> AgentLink:
        """Connect to the agent, see `AgentLink`; what is of no use to try again names the device.

        Raises:
            FrameClosedError, FrameTimeoutError, OSError: nobody answers, now.
            DeviceLost: nobody will.
        """
        try:
            return AgentLink(
                read_address(self.address), read_token(self.token_file, self.token_env), self.ca, self.asked
            )
        except DeviceLost as error:
            raise DeviceLost(f"device {self.name!r} at {self.address}: {error}", error.reason) from None

    def patiently(self, attempt: Callable[[Callable[[], None]], Result]) -> Result:
        """Try until the agent answers, for as long as a restart or a lost network may last.

        Args:
            attempt: uses the agent; it calls what it is given whenever it hears of it.

        Raises:
            DeviceLost: nothing was heard of the agent for `PATIENCE_S`.
        """
        last, pause = time.monotonic(), Event()

        def heard() -> None:
            nonlocal last
            last = time.monotonic()

        while True:
            try:
                return attempt(heard)
            except LOST as error:
                if time.monotonic() - last > PATIENCE_S:
                    silent = f"nothing was heard of the agent at {self.address} ({error}); is it running there?"
                    why = str(error) if isinstance(error, DeviceAway) else silent
                    raise DeviceLost(f"device {self.name!r}, for {PATIENCE_S:g} s: {why}", "lost") from None
                pause.wait(_PAUSE_S)


def _text_or_none(value: object) -> bool:
    """Say whether a value of a job file is text, or left out."""
    return value is None or (isinstance(value, str) and bool(value))
