"""Hardware that is described and not there: what its models share, and what they say about a layer."""

from abc import abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from profilers.device import Device, Fact, name_problems
from profilers.layers import Layer

MODEL_VERSION = 1
"""Part of every fingerprint; rises when a formula changes, so that figures of two formulas are never mixed."""

MAC_PJ = {1: 0.3, 2: 1.5, 4: 4.6}
"""Bytes of a value -> energy of a multiply-add in pJ, 45 nm, 0.9 V: int8 with a 32-bit sum, fp16, fp32.

Multiplication and addition, 0.2 + 0.1, 1.1 + 0.4 and 3.7 + 0.9 pJ (Horowitz, Computing's energy problem, ISSCC 2014,
figure 1.1.9); what moves operands is counted apart.
"""
BUFFER_PJ_PER_BYTE = 2.5
"""A 64-bit access to a 32 KiB memory on the chip, 20 pJ (Horowitz); 8 KiB take half of it, 1 MiB five times as much."""
DRAM_PJ_PER_BYTE = 162.5
"""A 64-bit access to DRAM, 1.3 nJ, the lower end (Horowitz: 1.3 to 2.6)."""

MAX_BATCH = 65_536
MAX_NUMBER = 1e30

Bound = Literal["compute", "memory", "overhead"]


@dataclass(frozen=True, slots=True)
class LayerCost:
    """What one layer costs on an analytic device.

    Attributes:
        name: of the layer's first node.
        op: operators, joined by `+` where they are fused.
        macs: multiply-adds.
        dram_bytes: read from and written to memory off the chip.
        latency_ms: time; layers run one after the other.
        energy_mj: energy.
        utilisation: multiply-adds divided by those that the device could do in the same time, in [0, 1].
        bound: what takes the longest.
    """

    name: str
    op: str
    macs: int
    dram_bytes: int
    latency_ms: float
    energy_mj: float
    utilisation: float
    bound: Bound


class AnalyticDevice(Device):
    """A device whose latency and energy are computed from a model's layers, which run one after the other.

    Implementations are frozen dataclasses with the fields that are declared here. Computing and moving overlap:

        latency = max(compute_s, DRAM bytes / bandwidth) + overhead
        energy  = (multiply-adds + operations) * energy_pj_per_mac + DRAM bytes * dram_pj_per_byte
                  + buffer bytes * buffer_pj_per_byte + static_mw * latency

    An operation of an operator that does not multiply costs as much energy as a multiply-add.
    """

    metrics: ClassVar[tuple[str, ...]] = ("latency_ms", "energy_mj", "utilisation")
    computed: ClassVar[bool] = True

    bandwidth_gb_s: float
    bytes_per_value: int
    overhead_us_per_op: float
    energy_pj_per_mac: float | None
    dram_pj_per_byte: float
    static_mw: float
    batch: int

    @property
    def family(self) -> str:
        """Nothing: computations do not disturb each other."""
        return ""

    @property
    def description(self) -> dict[str, Fact]:
        """All settings, defaults resolved, and the version of the formulas, as a JSON object."""
        return self.settings

    @property
    def settings(self) -> dict[str, Fact]:
        """What every analytic device puts into its description."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "name"}  # type: ignore[arg-type]
        return {"kind": self.kind, "model": MODEL_VERSION, **given, "energy_pj_per_mac": self.mac_pj}

    @property
    def mac_pj(self) -> float:
        """Energy of a multiply-add in pJ."""
        return MAC_PJ[self.bytes_per_value] if self.energy_pj_per_mac is None else self.energy_pj_per_mac

    @property
    @abstractmethod
    def macs_per_s(self) -> float:
        """Multiply-adds that the device does in a second when nothing holds it up."""

    @abstractmethod
    def compute_s(self, layer: Layer) -> float:
        """Seconds of a layer when nothing waits for memory."""

    @abstractmethod
    def dram_bytes(self, layer: Layer) -> int:
        """Bytes that a layer reads from memory off the chip and writes to it."""

    @abstractmethod
    def buffer_pj(self, layer: Layer) -> float:
        """Energy of a layer's accesses to memory on the chip, in pJ."""

    def cost(self, layer: Layer) -> LayerCost:
        """What a layer costs."""
        moved = self.dram_bytes(layer)
        times: dict[Bound, float] = {
            "compute": self.compute_s(layer),
            "memory": moved / (self.bandwidth_gb_s * 1e9),
            "overhead": self.overhead_us_per_op * 1e-6,
        }
        seconds = max(times["compute"], times["memory"]) + times["overhead"]
        work_pj = (layer.macs + layer.operations) * self.mac_pj
        picojoules = work_pj + moved * self.dram_pj_per_byte + self.buffer_pj(layer)
        return LayerCost(
            name=layer.name,
            op=layer.op,
            macs=layer.macs,
            dram_bytes=moved,
            latency_ms=seconds * 1e3,
            energy_mj=picojoules * 1e-9 + self.static_mw * seconds,
            utilisation=self.utilisation(layer.macs, seconds),
            bound=max(times, key=times.__getitem__),
        )

    def utilisation(self, macs: int, seconds: float) -> float:
        """Share of the multiply-adds that could be done in a time; at most 1, but for rounding, which is cut off."""
        return min(macs / (self.macs_per_s * seconds), 1.0) if seconds else 0.0


def count_problems(key: str, value: object, largest: int) -> list[str]:
    """What is wrong with a whole number from 1 on."""
    good = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= largest
    return [] if good else [f"{key} must be a whole number from 1 to {largest} (got {value!r})"]


def number_problems(key: str, value: object, *, zero: bool = False) -> list[str]:
    """What is wrong with a positive number, or one that may be 0."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else -1
    if 0 < number < MAX_NUMBER or (zero and number == 0):
        return []
    return [f"{key} must be a number {'from' if zero else 'above'} 0 and below {MAX_NUMBER:g} (got {value!r:.80})"]


def choice_problems(key: str, value: object, allowed: tuple[object, ...]) -> list[str]:
    """What is wrong with one of a few values."""
    if any(type(value) is type(each) and value == each for each in allowed):
        return []
    return [f"{key} must be one of {', '.join(map(str, allowed))} (got {value!r})"]


def shared_problems(device: AnalyticDevice) -> list[str]:
    """What is wrong with the fields that all analytic devices have."""
    problems = [
        *name_problems(device.name),
        *number_problems("bandwidth_gb_s", device.bandwidth_gb_s),
        *choice_problems("bytes_per_value", device.bytes_per_value, tuple(MAC_PJ)),
        *count_problems("batch", device.batch, MAX_BATCH),
    ]
    if device.energy_pj_per_mac is not None:
        problems += number_problems("energy_pj_per_mac", device.energy_pj_per_mac, zero=True)
    for key in ("overhead_us_per_op", "dram_pj_per_byte", "static_mw"):
        problems += number_problems(key, getattr(device, key), zero=True)
    return problems
