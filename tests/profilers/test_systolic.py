"""The systolic array: against SCALE-Sim itself, figures by hand, and what a job file may ask of it."""

import dataclasses
from typing import Any

import pytest

from profilers.analytic_profiler import AnalyticProfiler
from profilers.errors import DeviceRefused
from profilers.layers import Layer, Product
from profilers.registry import make_device
from profilers.systolic import DATAFLOWS, SystolicDevice
from tests.profilers import onnx_models

SHORT = {"os": "output_stationary", "ws": "weight_stationary", "is": "input_stationary"}

SCALE_SIM = [
    ("os", 8, 8, (8, 16, 8), 30, 128, 128, 64),
    ("ws", 8, 8, (8, 16, 8), 60, 128, 128, 128),
    ("is", 8, 8, (8, 16, 8), 60, 128, 128, 128),
    ("os", 8, 8, (20, 30, 12), 264, 1200, 1080, 240),
    ("ws", 8, 8, (20, 30, 12), 336, 1200, 360, 960),
    ("is", 8, 8, (20, 30, 12), 408, 600, 1080, 960),
    ("os", 16, 4, (20, 30, 12), 288, 1800, 720, 240),
    ("ws", 16, 4, (20, 30, 12), 324, 1800, 360, 480),
    ("is", 16, 4, (20, 30, 12), 460, 600, 1800, 480),
    ("os", 4, 16, (49, 27, 10), 585, 1323, 3510, 490),
    ("ws", 4, 16, (49, 27, 10), 497, 1323, 270, 3430),
    ("is", 4, 16, (49, 27, 10), 896, 1323, 1080, 3430),
    ("os", 32, 32, (100, 72, 24), 536, 7200, 6912, 2400),
    ("ws", 32, 32, (100, 72, 24), 582, 7200, 1728, 7200),
    ("is", 32, 32, (100, 72, 24), 1416, 7200, 6912, 7200),
    ("os", 8, 4, (5, 3, 1), 13, 15, 3, 5),
    ("ws", 8, 4, (5, 3, 1), 23, 15, 3, 5),
    ("is", 8, 4, (5, 3, 1), 38, 15, 6, 5),
]
"""Dataflow, rows, columns, (m, k, n), and what SCALE-Sim 3.0.0 of PyPI simulated for them cycle by cycle: length of its
demand matrices, and the entries in those of inputs, filters and outputs."""


def array(**settings: Any) -> SystolicDevice:
    """An 8 by 8 array at 100 MHz with buffers of 64 KiB and a memory that never holds it up, or as the settings say."""
    base = {"rows": 8, "columns": 8, "clock_mhz": 100, "bandwidth_gb_s": 1e9}
    buffers = {"input_buffer_kib": 64, "weight_buffer_kib": 64, "output_buffer_kib": 64}
    return SystolicDevice(**{**base, **buffers, **settings})


def product_layer(m: int, k: int, n: int, groups: int = 1) -> Layer:
    """A layer of matrices that are stored as they are multiplied."""
    return Layer("p", "MatMul", Product(groups, m, k, n), 0, groups * m * k, groups * k * n, groups * m * n)


@pytest.mark.parametrize("flow, rows, columns, product, cycles, inputs, weights, outputs", SCALE_SIM)
def test_agrees_with_scale_sim(
    flow: str, rows: int, columns: int, product: tuple[int, int, int], cycles: int, inputs: int, weights: int,
    outputs: int,
) -> None:  # fmt: skip
    """Cycles and accesses to the buffers are those of the simulator.

    With outputs that stay, SCALE-Sim 3.0.0 lets the next fold begin while the last one drains, so it is `rows` cycles
    shorter in each fold than the equation of its paper (ISPASS 2020, equation 4), which is used here.
    """
    device = array(rows=rows, columns=columns, dataflow=SHORT[flow])
    layer = product_layer(*product)
    placed = device.mapping(layer.product)  # type: ignore[arg-type]
    drained = rows * placed.folds if flow == "os" else 0
    assert device.cycles(layer) == cycles + drained
    read_back = 0 if flow == "os" else outputs * (placed.row_folds - 1) // placed.row_folds
    assert device.buffer_values(layer) == inputs + weights + outputs + read_back


def test_a_convolution_by_hand() -> None:
    """28x28 places, 3x3x16 weights, 32 filters on 16 by 16, weights stay: ceil(144/16) * ceil(32/16) = 18 folds.

    Each takes 2 * 16 + 16 + 784 - 2 = 830 cycles, so 14,940 together (equation 4 of the paper): 3,612,672 multiply-adds
    of 3,824,640 possible ones.
    """
    layer = Layer("c", "Conv", Product(1, 784, 144, 32), 0, 30 * 30 * 16, 144 * 32, 784 * 32)
    cost = array(rows=16, columns=16).cost(layer)
    assert cost.latency_ms == pytest.approx(14_940 / 100e3)
    assert cost.utilisation == pytest.approx(3_612_672 / 3_824_640)
    assert cost.bound == "compute"


def test_depthwise_convolution_fills_one_column() -> None:
    """Groups follow each other, and each has one filter: at most one column of eight is at work."""
    device = array(dataflow="output_stationary")
    depthwise, dense = product_layer(49, 9, 1, groups=32), product_layer(49, 9 * 32, 32)
    assert device.cycles(depthwise) == 32 * (2 * 8 + 8 + 9 - 2) * 7
    assert device.cost(depthwise).utilisation < 1 / 8
    assert device.cost(depthwise).utilisation < device.cost(dense).utilisation


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_large_buffers_move_everything_once(dataflow: str) -> None:
    """What fits passes DRAM once, and no buffer makes it less."""
    layer = product_layer(100, 200, 60)
    assert array(dataflow=dataflow).dram_bytes(layer) == layer.values
    for kib in (1, 4, 16):
        small = array(dataflow=dataflow, input_buffer_kib=kib, weight_buffer_kib=kib, output_buffer_kib=kib)
        assert small.dram_bytes(layer) >= layer.values


def test_memory_traffic_by_hand() -> None:
    """m, k, n = 100, 200, 60 on 8 by 8 with weights that stay: 25 row folds over k, 8 column folds over n.

    With the column folds outside, a column fold sums 8 * 100 outputs, which fit into half of 2 KiB, so outputs pass
    once; all 20,000 inputs do not fit into half of 16 KiB, so they pass 8 times. With the row folds outside, a row fold
    reads 8 * 100 inputs, which fit, but all 6,000 sums do not, so they are written 25 times and read back 24 times. The
    first moves less: 12,000 + 8 * 20,000 + 6,000 against 12,000 + 20,000 + 49 * 6,000.
    """
    layer = product_layer(100, 200, 60)
    settings = {"input_buffer_kib": 16, "weight_buffer_kib": 1, "output_buffer_kib": 2}
    assert array(**settings).dram_bytes(layer) == 12_000 + 8 * 20_000 + 6_000
    # 12 KiB hold all 6,000 sums in their half, so the row folds go outside and everything passes once.
    assert array(**{**settings, "output_buffer_kib": 12}).dram_bytes(layer) == 38_000
    # 1 KiB does not hold 800 sums in its half: the inputs once, the sums 49 times, is then the lesser evil of
    # 12,000 + 8 * 20,000 + 49 * 6,000.
    assert array(**{**settings, "output_buffer_kib": 1}).dram_bytes(layer) == 12_000 + 20_000 + 49 * 6_000


def test_memory_bound_layer() -> None:
    """A layer that moves for longer than it computes takes as long as it moves; more bandwidth is never slower."""
    layer = product_layer(1, 1000, 1000)
    times = [array(bandwidth_gb_s=bandwidth).cost(layer).latency_ms for bandwidth in (0.01, 0.1, 1, 10, 100)]
    assert times == sorted(times, reverse=True)
    slow = array(bandwidth_gb_s=0.01).cost(layer)
    assert (slow.bound, slow.latency_ms) == ("memory", pytest.approx(1_002_000 / 1e4))


def test_energy_by_hand() -> None:
    """One fold of 8 by 8 by 8 with int8: 512 multiply-adds, 192 buffer accesses, 192 DRAM bytes through buffers."""
    cost = array().cost(product_layer(8, 8, 8))
    assert cost.energy_mj == pytest.approx((512 * 0.3 + (192 + 192) * 2.5 + 192 * 162.5) * 1e-9)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_never_faster_than_its_own_roofline(dataflow: str) -> None:
    """No layer beats the peak of the array or the bandwidth."""
    device = array(dataflow=dataflow, bandwidth_gb_s=0.5, input_buffer_kib=2, weight_buffer_kib=2, output_buffer_kib=2)
    with AnalyticProfiler() as profiler:
        seen = profiler.profile(onnx_models.conv_net(), device)
    for layer in seen.layers:
        assert layer.latency_ms >= max(layer.macs / device.macs_per_s, layer.dram_bytes / 0.5e9) * 1e3
        assert 0 <= layer.utilisation <= 1


def test_fingerprint_covers_every_setting_but_the_name() -> None:
    """Another value of any field is another device; a default that is written out is the same one."""
    device = array()
    assert array(name="tpu").fingerprint == device.fingerprint
    assert array(energy_pj_per_mac=0.3, vector_lanes=8).fingerprint == device.fingerprint
    changed = {"dataflow": "output_stationary", "bytes_per_value": 2, "vector_lanes": 3, "energy_pj_per_mac": 9.0}
    fingerprints = {device.fingerprint}
    names = [field.name for field in dataclasses.fields(device) if field.name != "name"]
    for name in names:
        value = changed.get(name) or getattr(device, name) + 1
        fingerprints.add(dataclasses.replace(device, **{name: value}).fingerprint)
    assert len(fingerprints) == len(names) + 1


GOOD = {
    "kind": "systolic", "rows": 16, "columns": 16, "clock_mhz": 400, "bandwidth_gb_s": 3.2,
    "input_buffer_kib": 64, "weight_buffer_kib": 64, "output_buffer_kib": 64,
}  # fmt: skip


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"rows": 0}, "rows must be a whole number from 1 to 65536 (got 0)"),
        ({"columns": 2.5}, "columns must be a whole number from 1 to 65536 (got 2.5)"),
        ({"rows": True}, "(got True)"),
        ({"clock_mhz": "fast"}, "clock_mhz must be a number above 0 and below 1e+30 (got 'fast')"),
        ({"bandwidth_gb_s": -1}, "bandwidth_gb_s must be a number above 0"),
        ({"bandwidth_gb_s": None}, "(got None)"),
        ({"dataflow": "rows"}, "dataflow must be one of output_stationary, weight_stationary, input_stationary"),
        ({"dataflow": ["ws"]}, "(got ['ws'])"),
        ({"bytes_per_value": 3}, "bytes_per_value must be one of 1, 2, 4 (got 3)"),
        ({"bytes_per_value": True}, "(got True)"),
        ({"static_mw": -0.5}, "static_mw must be a number from 0"),
        ({"vector_lanes": 0}, "vector_lanes must be a whole number from 1"),
        ({"energy_pj_per_mac": "1"}, "energy_pj_per_mac must be a number from 0"),
        ({"batch": 0}, "batch must be a whole number from 1 to 65536 (got 0)"),
        ({"name": "a@b"}, "name must be 1 to 64 letters"),
        ({"depth": 3}, "unknown key 'depth'; known: kind, name, rows, columns"),
        (
            {"weight_buffer_kib": 0.25},
            "weight_buffer_kib must be at least 0.5, twice 16 x 16 values of 1 bytes, to hold one tile and the next "
            "with dataflow weight_stationary (got 0.25)",
        ),
        (
            {"dataflow": "output_stationary", "bytes_per_value": 4, "output_buffer_kib": 1},
            "output_buffer_kib must be at least 2, twice 16 x 16 values of 4 bytes",
        ),
    ],
)  # fmt: skip
def test_bad_sections_say_what_is_allowed(changes: dict[str, object], message: str) -> None:
    """Every problem names the place, what was given and what is allowed."""
    with pytest.raises(DeviceRefused) as refused:
        make_device({**GOOD, **changes}, "devices.npu")
    assert message in str(refused.value)
    assert str(refused.value).startswith("devices.npu: ")


@pytest.mark.parametrize("key", [key for key in GOOD if key != "kind"])
def test_missing_settings(key: str) -> None:
    """What has no default must be given."""
    with pytest.raises(DeviceRefused) as refused:
        make_device({name: value for name, value in GOOD.items() if name != key}, "devices.npu")
    assert refused.value.problems == (f"devices.npu: {key} is missing, and there is no default",)
