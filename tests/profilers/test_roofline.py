"""The roofline: figures by hand, its limits, and what a job file may ask of it."""

import numpy as np
import pytest

from profilers.analytic_profiler import AnalyticProfiler
from profilers.errors import DeviceRefused
from profilers.layers import Layer, Product
from profilers.measurement import Measurement
from profilers.registry import make_device
from profilers.roofline import RooflineDevice
from tests.profilers import onnx_models

NETWORKS = [onnx_models.conv_net(layers, channels) for layers, channels in ((2, 8), (2, 32), (8, 32))]


def measured(model: bytes, **settings: float) -> Measurement:
    """A model on a device of a teraMAC and 10 GB/s, or as the settings say."""
    with AnalyticProfiler() as profiler:
        return profiler.profile(model, RooflineDevice(**{"peak_macs_per_s": 1e12, "bandwidth_gb_s": 10.0, **settings}))


def test_a_layer_by_hand() -> None:
    """10^9 multiply-adds at 10^12 a second take 1 ms, 3 * 10^6 fp16 values at 1.5 GB/s take 4 ms."""
    layer = Layer("fc", "Gemm", Product(1, 1000, 1000, 1000), 0, 1_000_000, 1_000_000, 1_000_000)
    device = RooflineDevice(peak_macs_per_s=1e12, bandwidth_gb_s=1.5, bytes_per_value=2, static_mw=100)
    cost = device.cost(layer)
    assert (cost.macs, cost.dram_bytes, cost.bound) == (10**9, 6_000_000, "memory")
    assert cost.latency_ms == pytest.approx(4.0)
    assert cost.utilisation == pytest.approx(0.25)
    # 1.5 pJ a multiply-add, 162.5 pJ a byte, and 100 mW for 4 ms.
    assert cost.energy_mj == pytest.approx(1.5 + 0.975 + 0.4)
    wide = RooflineDevice(peak_macs_per_s=1e12, bandwidth_gb_s=60, bytes_per_value=2, overhead_us_per_op=10).cost(layer)
    assert (wide.latency_ms, wide.bound) == (pytest.approx(1.01), "compute")


@pytest.mark.parametrize("model", NETWORKS)
def test_never_faster_than_arithmetic_or_memory(model: bytes) -> None:
    """Latency is at least multiply-adds over peak and bytes over bandwidth, for the network and each layer."""
    seen = measured(model, overhead_us_per_op=1.0)
    for macs, moved, latency_ms in [
        (sum(layer.macs for layer in seen.layers), sum(layer.dram_bytes for layer in seen.layers), seen.median_ms),
        *((layer.macs, layer.dram_bytes, layer.latency_ms) for layer in seen.layers),
    ]:
        assert latency_ms >= max(macs / 1e12, moved / 10e9) * 1e3 + 1e-3
    assert seen.median_ms == pytest.approx(sum(layer.latency_ms for layer in seen.layers))
    assert 0 < (seen.utilisation or 0) <= 1


@pytest.mark.parametrize("model", NETWORKS)
@pytest.mark.parametrize("setting", ["peak_macs_per_s", "bandwidth_gb_s"])
def test_more_is_never_slower(model: bytes, setting: str) -> None:
    """Latency falls, or stays, as the peak or the bandwidth grows, the other one being ample."""
    least = {"peak_macs_per_s": 1e9, "bandwidth_gb_s": 0.01}[setting]
    times = [measured(model, **{setting: least * 2**power}).median_ms for power in range(14)]
    assert times == sorted(times, reverse=True)
    assert times[0] > times[-1]


def test_limits_of_a_network() -> None:
    """With endless bandwidth the work counts alone, with endless arithmetic the bytes alone."""
    seen = measured(NETWORKS[2], bandwidth_gb_s=1e20)
    # 8 convolutions of 32x32 pixels, 3 then 32 channels, and one operation a value to average 32 channels.
    macs = 32 * 32 * 9 * 32 * (3 + 7 * 32)
    assert sum(layer.macs for layer in seen.layers) == macs
    assert seen.median_ms == pytest.approx((macs + 32 * 32 * 32) / 1e9)
    assert seen.utilisation == pytest.approx(macs / (macs + 32 * 32 * 32))
    moved = measured(NETWORKS[2], peak_macs_per_s=1e29)
    activations = 32 * 32 * (3 + 8 * 2 * 32) + 32
    assert moved.median_ms == pytest.approx((activations + 9 * 32 * (3 + 7 * 32)) / 10e6)


def test_batch() -> None:
    """A batch multiplies the work and moves the weights once."""
    one, four = (measured(NETWORKS[2], batch=batch).layers[1] for batch in (1, 4))
    assert four.macs == 4 * one.macs
    assert four.dram_bytes == 4 * one.dram_bytes - 3 * 9 * 32 * 32
    assert np.isclose(one.dram_bytes, 2 * 32**3 + 9 * 32 * 32)


@pytest.mark.parametrize(
    "section, message",
    [
        ({"bandwidth_gb_s": 1}, "peak_macs_per_s is missing, and there is no default"),
        ({"peak_macs_per_s": 1e12}, "bandwidth_gb_s is missing, and there is no default"),
        (
            {"peak_macs_per_s": 0, "bandwidth_gb_s": 1},
            "peak_macs_per_s must be a number above 0 and below 1e+30 (got 0)",
        ),
        ({"peak_macs_per_s": 10**400, "bandwidth_gb_s": 1}, "peak_macs_per_s must be a number above 0"),
        (
            {"peak_macs_per_s": 1, "bandwidth_gb_s": 1, "rows": 3},
            "unknown key 'rows'; known: kind, name, peak_macs_per_s",
        ),
    ],
)
def test_bad_sections_say_what_is_allowed(section: dict[str, object], message: str) -> None:
    """What has no default must be given, and every number is checked."""
    with pytest.raises(DeviceRefused) as refused:
        make_device({"kind": "roofline", **section}, "devices.npu")
    assert str(refused.value).startswith(f"devices.npu: {message}")
