"""A web browser as a device, behind the service whose page it has open."""

from dataclasses import asdict, dataclass
from typing import ClassVar

from profilers.browser_settings import BrowserSettings
from profilers.device import Fact, name_problems
from profilers.errors import DeviceRefused
from profilers.remote import RemoteDevice


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserDevice(RemoteDevice):
    """A browser that has joined at `nas browser-agent serve`, and how it runs models.

    One browser can be several devices of a job, such as one thread and two; they take turns.

    Attributes:
        name: what a job calls the device.
        address: where the service waits for jobs, `HOST:PORT`.
        token_file: file with the service's token, mode 0600; or
        token_env: environment variable with the token.
        ca: PEM file with the certificate of the service or of who signed it, for one with `--tls-cert`.
        browser: the name that was typed in the browser; `name` if not given.
        backend: see `browser_settings.BrowserSettings`, as for
        threads,
        precision,
        optimisation,
        batch.

    Raises:
        DeviceRefused: any field asks for what is not there; every problem is listed.
    """

    kind: ClassVar[str] = "browser"
    tells_layers: ClassVar[bool] = False

    name: str = "browser"
    browser: str | None = None
    backend: str = "wasm"
    threads: int = 1
    precision: str = "fp32"
    optimisation: str = "all"
    batch: int = 1

    def __post_init__(self) -> None:
        problems = [f"browser: {problem}" for problem in name_problems(self.browser or self.name)]
        for check in (lambda: RemoteDevice.__post_init__(self), lambda: self._settings):
            try:
                check()
            except DeviceRefused as error:
                problems.extend(error.problems)
        if problems:
            raise DeviceRefused(problems)

    @property
    def family(self) -> str:
        """What two timings must not share: the browser; the service itself sees to that."""
        return f"browser-{self.address}-{self.browser or self.name}"

    @property
    def asked(self) -> dict[str, Fact]:
        """Which browser is meant, and how it runs models."""
        return {"browser": self.browser or self.name, **asdict(self._settings)}

    @property
    def _settings(self) -> BrowserSettings:
        return BrowserSettings(self.backend, self.threads, self.precision, self.optimisation, self.batch)
