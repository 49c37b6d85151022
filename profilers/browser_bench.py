"""The service's side of browsers as devices: what jobs ask for, and what measures it."""

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import ClassVar

from profilers.agent_bench import Bench
from profilers.answer import read_answer
from profilers.browser_lobby import Lobby
from profilers.browser_settings import BrowserSettings
from profilers.cancellation import Cancellation
from profilers.device import Device, Fact
from profilers.errors import DeviceAway, DeviceRefused
from profilers.joined_browser import JoinedBrowser, Task
from profilers.limits import GIB, Limits
from profilers.measurement import Measurement
from profilers.prepared_model import ModelPreparer, PreparedModel
from profilers.profiler import Profiler
from profilers.timing import TimingRule

BROWSER_LIMITS = Limits(model_bytes=GIB // 4, memory_bytes=2 * GIB)
"""What a model may use in a browser at most: WebAssembly addresses 4 GiB, and a phone has less."""


@dataclass(frozen=True, slots=True)
class JoinedDevice(Device):
    """A browser and how it runs models, as it was when a job asked for it."""

    kind: ClassVar[str] = "browser"

    name: str
    settings: BrowserSettings
    facts: Mapping[str, Fact]
    browser: JoinedBrowser = field(compare=False, repr=False)

    @property
    def family(self) -> str:
        """What two timings must not share."""
        return f"browser-{self.name}"

    @property
    def description(self) -> dict[str, Fact]:
        """Browser, machine, ONNX Runtime Web and its settings."""
        return {"kind": self.kind, "browser": self.name, **self.facts, **asdict(self.settings)}


class BrowserProfiler(Profiler):
    """Hands models to the page of a browser and hears how long they take.

    Processor time is not limited apart from the wall-clock time: a browser does not tell it.

    Args:
        rule: how many runs are taken.
        limits: what a model may use.
        preparer: reads models.
    """

    def __init__(self, rule: TimingRule, limits: Limits, preparer: ModelPreparer) -> None:
        self._rule = rule
        self._limits = limits
        self._preparer = preparer

    def profile(
        self,
        model_bytes: bytes | memoryview,
        device: Device,
        *,
        dimensions: Mapping[str, int] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Measurement:
        """Measure how long a model takes in a browser; see `profiler.Profiler.profile`."""
        if not isinstance(device, JoinedDevice):
            raise DeviceRefused([f"a browser that has joined is expected (got {device.name!r}, {device.kind})"])
        settings = device.settings
        model = self._preparer.prepare(model_bytes, self._limits, settings.precision, settings.batch, dimensions or {})
        task = Task(self._header(model, settings), _content(model), self._limits, device.facts)
        answer = device.browser.measure(task, cancellation or Cancellation())
        measured = read_answer(answer, device.name, device.fingerprint, self._rule)
        return replace(measured, queued_ms=measured.queued_ms + task.queued_ms)

    def close(self) -> None:
        """Nothing is held; the preparer belongs to who made it."""

    def _header(self, model: PreparedModel, settings: BrowserSettings) -> dict[str, object]:
        """What the page has to know of a model."""
        return {
            "rule": asdict(self._rule),
            "settings": asdict(settings),
            "memory_bytes": self._limits.memory_bytes,
            "wall_s": self._limits.wall_s,
            "sizes": model.sizes,
            "model_bytes": len(model.model),
            "inputs": [
                {"name": name, "type": array.dtype.name, "shape": array.shape, "bytes": array.nbytes}
                for name, array in model.inputs.items()
            ],
        }


class BrowserBenches:
    """The benches of all browsers, one for each way in which one runs models.

    Args:
        lobby: where browsers join.
        limits: what a model may use at most, whatever the client says.
        page: where the page is, for messages.
    """

    def __init__(self, lobby: Lobby, limits: Limits, page: str) -> None:
        self._lobby = lobby
        self._limits = limits
        self._page = page
        self._preparer = ModelPreparer()
        self._benches: dict[str, Bench] = {}  # fingerprint -> bench
        self._lock = threading.Lock()

    def find(self, asked: object) -> tuple[Bench, dict[str, Fact]]:
        """The bench of a browser with the settings that a client asks for; see `agent_server.Finder`."""
        if not isinstance(asked, dict) or not isinstance(asked.get("browser"), str):
            raise DeviceRefused(["here are browsers; a device of kind browser is expected"])
        name = asked["browser"]
        settings = BrowserSettings.read({key: value for key, value in asked.items() if key != "browser"})
        browser = self._lobby.browser(name)
        if browser is None:
            raise DeviceAway(f"no browser has joined as {name!r:.80}; open {self._page} there")
        device = JoinedDevice(name, settings, browser.facts, browser)
        if problems := settings.problems_with(device.facts):
            raise DeviceRefused([f"browser {name!r}: {problem}" for problem in problems])
        with self._lock:
            bench = self._benches.get(device.fingerprint)
            if bench is None or bench.device != device:
                bench = Bench(device, self._limits, self._open)
                self._benches[device.fingerprint] = bench
        return bench, device.description

    def close(self) -> None:
        """End all measurements."""
        with self._lock:
            benches = list(self._benches.values())
        for bench in benches:
            bench.close()
        self._preparer.close()

    def _open(self, rule: TimingRule, limits: Limits) -> BrowserProfiler:
        return BrowserProfiler(rule, limits, self._preparer)


def _content(model: PreparedModel) -> bytes:
    """The model and its inputs, one after the other."""
    return b"".join([bytes(model.model), *(array.tobytes() for array in model.inputs.values())])
