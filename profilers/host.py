"""The host CPU as a device: ONNX Runtime in a process on this machine."""

import functools
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import onnxruntime as ort

from profilers.device import Device, Fact, name_problems
from profilers.errors import DeviceRefused

PRECISIONS = ("fp32", "int8")

OPTIMISATIONS = {
    "disable": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
"""Graph optimisation levels, and what ONNX Runtime calls them."""

PROVIDERS = {
    "CPUExecutionProvider": "host-cpu",
    "CoreMLExecutionProvider": "host-coreml",
    "CUDAExecutionProvider": "host-gpu",
    "OpenVINOExecutionProvider": "host-cpu",
    "TensorrtExecutionProvider": "host-gpu",
    "XnnpackExecutionProvider": "host-cpu",
}
"""Execution providers that can be asked for, where they are installed, and what their timings share."""

MAX_BATCH = 65_536


@functools.cache
def cpu_model() -> str:
    """Name the processor, with its family, model and stepping where the system tells them.

    Virtual machines shorten the name (`AMD EPYC`), so the name alone does not tell two generations apart.
    """
    facts: dict[str, str] = {}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            facts.setdefault(key.strip().lower(), value.strip())
    name = facts.get("model name") or platform.processor() or platform.machine()
    keys = ("cpu family", "model", "stepping", "cpu implementer", "cpu part", "cpu variant", "cpu revision")
    details = ", ".join(f"{key} {facts[key]}" for key in keys if key in facts)
    return f"{name} ({details})" if details else name


def usable_cores() -> int:
    """Count the logical cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def usable_providers() -> list[str]:
    """List the execution providers that are both known here and installed."""
    return [provider for provider in ort.get_available_providers() if provider in PROVIDERS]


@dataclass(frozen=True, slots=True)
class HostDevice(Device):
    """The CPU of this machine through ONNX Runtime.

    Attributes:
        name: what a job calls the device.
        threads: threads of ONNX Runtime inside one operator; at most the cores this process may use.
        precision: number format; fp32, or int8: models in 32-bit floats are quantised before they are measured.
        optimisation: graph optimisation level; a key of `OPTIMISATIONS`.
        batch: samples in one timed run; the size of the model's symbolic first axis.
        provider: ONNX Runtime's execution provider; a key of `PROVIDERS`. A model of which it leaves a part to
            another provider is refused.

    Raises:
        DeviceRefused: any field asks for what is not there; every problem is listed.
    """

    kind: ClassVar[str] = "host"
    searched: ClassVar[tuple[str, ...]] = ("threads", "precision", "optimisation", "provider")

    name: str = "cpu"
    threads: int = 1
    precision: str = "fp32"
    optimisation: str = "all"
    batch: int = 1
    provider: str = "CPUExecutionProvider"

    def __post_init__(self) -> None:
        problems = _problems(self)
        if problems:
            raise DeviceRefused(problems)

    @property
    def family(self) -> str:
        """What two timings must not share: the processor."""
        return PROVIDERS[self.provider]

    @property
    def description(self) -> dict[str, Fact]:
        """Processor, system, ONNX Runtime and its settings, as a JSON object."""
        return {
            "kind": self.kind,
            "cpu": cpu_model(),
            "cores": os.cpu_count() or 1,
            "system": platform.system(),
            "architecture": platform.machine(),
            "onnxruntime": str(ort.__version__),
            "provider": self.provider,
            "threads": self.threads,
            "precision": self.precision,
            "optimisation": self.optimisation,
            "batch": self.batch,
        }


def _problems(device: HostDevice) -> list[str]:
    """List everything that is wrong with a device's fields."""
    problems = name_problems(device.name)
    cores = usable_cores()
    if not _is_count(device.threads, cores):
        problems.append(f"threads must be between 1 and {cores}, the cores of this host (got {device.threads!r})")
    if _text(device.precision) not in PRECISIONS:
        problems.append(f"precision must be one of {', '.join(PRECISIONS)} (got {device.precision!r})")
    if _text(device.optimisation) not in OPTIMISATIONS:
        problems.append(f"optimisation must be one of {', '.join(OPTIMISATIONS)} (got {device.optimisation!r})")
    if not _is_count(device.batch, MAX_BATCH):
        problems.append(f"batch must be between 1 and {MAX_BATCH} (got {device.batch!r})")
    if _text(device.provider) not in usable_providers():
        problems.append(
            f"provider {device.provider!r} is not available with onnxruntime {ort.__version__} on this host; "
            f"allowed: {', '.join(usable_providers())}"
        )
    return problems


def _text(value: object) -> str:
    """Read a value of a job file that should be text; anything else reads as nothing."""
    return value if isinstance(value, str) else ""


def _is_count(value: object, largest: int) -> bool:
    """Say whether a value is an integer between 1 and `largest`; True is not an integer here."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= largest
