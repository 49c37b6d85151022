"""A device that is two numbers: how much it computes and how much it moves in a second."""

from dataclasses import dataclass
from typing import ClassVar

from profilers.analytic import DRAM_PJ_PER_BYTE, AnalyticDevice, number_problems, shared_problems
from profilers.errors import DeviceRefused
from profilers.layers import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class RooflineDevice(AnalyticDevice):
    """A roofline (Williams et al., Roofline, CACM 2009) for each layer, and layers one after the other.

    A layer with W multiply-adds (an operation of an operator that does not multiply counts as one) and B bytes, each
    input, weight and output moved once, takes

        latency = max(W / peak_macs_per_s, B / bandwidth) + overhead
        energy  = W * energy_pj_per_mac + B * dram_pj_per_byte + static_mw * latency

    so no network is faster than its arithmetic or its memory allows.

    Attributes:
        name: what a job calls the device.
        peak_macs_per_s: multiply-adds in a second.
        bandwidth_gb_s: of the memory that holds weights and activations, in 10^9 bytes per second.
        bytes_per_value: 1, 2 or 4; every weight and activation takes as many. It changes no accuracy.
        overhead_us_per_op: added to each layer.
        energy_pj_per_mac: `analytic.MAC_PJ` of `bytes_per_value` if not given.
        dram_pj_per_byte: energy to move a byte.
        static_mw: power that is drawn all the time.
        batch: samples in one run; the size of the model's symbolic first axis.

    Raises:
        DeviceRefused: every problem is listed.
    """

    kind: ClassVar[str] = "roofline"
    searched: ClassVar[tuple[str, ...]] = (
        *("peak_macs_per_s", "bandwidth_gb_s", "bytes_per_value", "overhead_us_per_op"),
        *("energy_pj_per_mac", "dram_pj_per_byte", "static_mw"),
    )

    name: str = "npu"
    peak_macs_per_s: float
    bandwidth_gb_s: float
    bytes_per_value: int = 1
    overhead_us_per_op: float = 0.0
    energy_pj_per_mac: float | None = None
    dram_pj_per_byte: float = DRAM_PJ_PER_BYTE
    static_mw: float = 0.0
    batch: int = 1

    def __post_init__(self) -> None:
        problems = shared_problems(self) + number_problems("peak_macs_per_s", self.peak_macs_per_s)
        if problems:
            raise DeviceRefused(problems)

    @property
    def macs_per_s(self) -> float:
        """The peak."""
        return self.peak_macs_per_s

    def compute_s(self, layer: Layer) -> float:
        """Seconds of a layer when nothing waits for memory."""
        return (layer.macs + layer.operations) / self.peak_macs_per_s

    def dram_bytes(self, layer: Layer) -> int:
        """Each value of a layer once."""
        return layer.values * self.bytes_per_value

    def buffer_pj(self, layer: Layer) -> float:
        """Nothing: memory on the chip is not modelled."""
        return 0.0
