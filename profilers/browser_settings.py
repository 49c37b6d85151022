"""How a browser runs models."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from profilers.device import Fact
from profilers.errors import DeviceRefused
from profilers.host import MAX_BATCH, OPTIMISATIONS, PRECISIONS

BACKENDS = ("wasm", "webgpu")

MAX_THREADS = 256


@dataclass(frozen=True, slots=True)
class BrowserSettings:
    """What ONNX Runtime Web is told.

    Attributes:
        backend: `wasm`, on the processor, or `webgpu`.
        threads: of WebAssembly; more than one needs a page that is cross-origin isolated, which browsers grant to HTTPS
            and to localhost alone.
        precision: number format; fp32, or int8: models in 32-bit floats are quantised before they are sent.
        optimisation: graph optimisation level; a key of `host.OPTIMISATIONS`.
        batch: samples in one timed run; the size of the model's symbolic first axis.

    Raises:
        DeviceRefused: any field asks for what there is not; every problem is listed.
    """

    backend: str = "wasm"
    threads: int = 1
    precision: str = "fp32"
    optimisation: str = "all"
    batch: int = 1

    def __post_init__(self) -> None:
        problems = []
        if self.backend not in BACKENDS:
            problems.append(f"backend must be one of {', '.join(BACKENDS)} (got {self.backend!r:.80})")
        if self.precision not in PRECISIONS:
            problems.append(f"precision must be one of {', '.join(PRECISIONS)} (got {self.precision!r:.80})")
        if self.optimisation not in tuple(OPTIMISATIONS):
            problems.append(f"optimisation must be one of {', '.join(OPTIMISATIONS)} (got {self.optimisation!r:.80})")
        for name, largest in (("threads", MAX_THREADS), ("batch", MAX_BATCH)):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= largest:
                problems.append(f"{name} must be between 1 and {largest} (got {value!r:.80})")
        if self.backend == "webgpu" and self.threads != 1:
            problems.append(f"threads are those of wasm; leave them out with webgpu (got {self.threads!r:.80})")
        if problems:
            raise DeviceRefused(problems)

    @classmethod
    def read(cls, given: Mapping[str, object]) -> "BrowserSettings":
        """Make settings of JSON.

        Raises:
            DeviceRefused: they are none.
        """
        known = {field.name for field in fields(cls)}
        if set(given) != known:
            raise DeviceRefused([f"settings of a browser are {', '.join(sorted(known))} (got {sorted(given)!r:.80})"])
        return cls(**given)  # type: ignore[arg-type]  # the class checks every field itself

    def problems_with(self, facts: Mapping[str, Fact]) -> list[str]:
        """Say what a browser cannot do of it.

        Args:
            facts: what the browser says of itself, see `joined_browser.JoinedBrowser`.
        """
        cores = facts["cores"]
        assert isinstance(cores, int)
        if self.threads > 1 and not facts["isolated"]:
            return [
                "threads must be 1: the page is not cross-origin isolated, for which it has to be opened over HTTPS "
                f"or from localhost (got {self.threads})"
            ]
        if self.threads > cores:
            return [f"threads must be between 1 and {cores}, the cores that the browser tells of (got {self.threads})"]
        if self.backend == "webgpu" and not facts["gpu"]:
            return ["backend must be wasm: this browser, or this page without HTTPS, has no WebGPU"]
        return []
