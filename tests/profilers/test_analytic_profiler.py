"""Computed measurements: honest about what they are, exact, and quick."""

import time

import numpy as np
import pytest

from profilers.analytic_profiler import AnalyticProfiler
from profilers.errors import DeviceRefused, ModelRefused
from profilers.host import HostDevice
from profilers.roofline import RooflineDevice
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.interchange.onnx_file import model_bytes
from tests.profilers import onnx_models

DEVICE = RooflineDevice(peak_macs_per_s=1e12, bandwidth_gb_s=10)


def test_says_that_nothing_was_run() -> None:
    """One figure, no spread, no warm-up, no session; energy and utilisation beside latency, and every layer."""
    with AnalyticProfiler() as profiler:
        seen, again = (profiler.profile(onnx_models.conv_net(), DEVICE) for _ in range(2))
    assert seen == again
    assert seen.computed
    assert seen.samples_ms.tolist() == [seen.median_ms] == [seen.p90_ms] == [seen.p99_ms]
    assert (seen.runs, seen.warmup_runs, seen.session_ms, seen.queued_ms) == (1, 0, 0, 0)
    assert (seen.spread, seen.interval, seen.stable, seen.peak_memory_bytes) == (0, 0, True, None)
    assert list(seen.metrics) == list(DEVICE.metrics)
    assert seen.metrics["energy_mj"] == pytest.approx(sum(layer.energy_mj for layer in seen.layers))
    assert [layer.op for layer in seen.layers] == ["Conv+Relu"] * 4 + ["GlobalAveragePool"]
    assert "layers" not in seen.summary()
    assert seen.summary()["computed"] is True


def test_a_view_costs_nothing() -> None:
    """A model that only reshapes takes no time, and that is no division by zero."""
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Flatten", ["x"], ["y"])]
    values = [("x", TensorProto.FLOAT, ["N", 4, 5])], [("y", TensorProto.FLOAT, ["N", 20])]
    with AnalyticProfiler() as profiler:
        seen = profiler.profile(onnx_models.model(nodes, *values).SerializeToString(), DEVICE)
    assert seen.metrics == {"latency_ms": 0, "energy_mj": 0, "utilisation": 0}


def test_symbolic_axes_get_their_sizes() -> None:
    """An axis beside the batch is named, or the model is refused."""
    model = onnx_models.relu(["N", "T"])
    with AnalyticProfiler() as profiler:
        ten, twenty = (profiler.profile(model, DEVICE, dimensions={"T": size}) for size in (10, 20))
        with pytest.raises(ModelRefused, match="'T', has no size"):
            profiler.profile(model, DEVICE)
    assert twenty.median_ms == pytest.approx(2 * ten.median_ms)


def test_serves_described_hardware_alone() -> None:
    """A device that is really there is not computed."""
    with AnalyticProfiler() as profiler, pytest.raises(DeviceRefused, match="got host"):
        profiler.profile(onnx_models.conv_net(), HostDevice())


def test_a_large_network_takes_milliseconds() -> None:
    """The largest Once-for-All network, 30 MB of weights, in well under a fifth of a second of processor time."""
    space = MobileNetV3()
    graph = space.graph(space.largest())
    weights = {name: np.ones(value.shape, np.float32) for name, value in graph.parameters.items()}
    model = model_bytes(graph, weights, {})
    times = []
    with AnalyticProfiler() as profiler:
        for _ in range(5):
            start = time.process_time()
            profiler.profile(model, DEVICE)
            times.append(time.process_time() - start)
    assert min(times) < 0.2
