"""What every profiler does on every device that it serves.

A further profiler joins by a line in `PROFILERS`: a name, what opens it with given settings, and what provides a device
for it in a folder for files.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from profilers.analytic import AnalyticDevice
from profilers.analytic_profiler import AnalyticProfiler
from profilers.cancellation import Cancellation
from profilers.device import Device
from profilers.errors import ModelRefused, ProfilingFailed
from profilers.host import HostDevice
from profilers.host_profiler import HostProfiler
from profilers.limits import Limits
from profilers.measurement import Measurement
from profilers.profiler import Profiler
from profilers.quantisation import quantise
from profilers.registry import DEVICES
from profilers.remote import RemoteDevice
from profilers.remote_profiler import RemoteProfiler
from profilers.roofline import RooflineDevice
from profilers.series import Series
from profilers.systolic import SystolicDevice
from profilers.timing import TimingRule
from tests.browsers import browser_service, chromium, join
from tests.profilers import onnx_models
from tests.profilers.agents import agent, token_file

Opener = Callable[[TimingRule, Limits], Profiler]

ARRAY = SystolicDevice(
    rows=16,
    columns=16,
    clock_mhz=400,
    input_buffer_kib=64,
    weight_buffer_kib=64,
    output_buffer_kib=64,
    bandwidth_gb_s=5,
    batch=2,
)

Provider = Callable[[Path], AbstractContextManager[Device]]


@contextmanager
def behind_an_agent(folder: Path) -> Iterator[Device]:
    """A device on the other side of an agent."""
    token = token_file(folder)
    with agent(token, "--batch", "2") as address:
        yield RemoteDevice(name="loop", address=address, token_file=str(token))


@contextmanager
def in_a_browser(folder: Path) -> Iterator[Device]:
    """A page in a real browser."""
    with browser_service(folder) as service, chromium() as browser, browser.new_context() as context:
        join(context, service)
        yield service.device(batch=2)


PROFILERS: dict[str, tuple[Opener, Provider]] = {
    "host": (HostProfiler, lambda _: nullcontext(HostDevice())),
    "host-batch-2": (HostProfiler, lambda _: nullcontext(HostDevice(name="cpu.batch2", batch=2))),
    "host-int8": (HostProfiler, lambda _: nullcontext(HostDevice(name="cpu.int8", precision="int8"))),
    "remote": (RemoteProfiler, behind_an_agent),
    "browser": (RemoteProfiler, in_a_browser),
    "roofline": (AnalyticProfiler, lambda _: nullcontext(RooflineDevice(peak_macs_per_s=1e11, bandwidth_gb_s=5))),
    "systolic": (AnalyticProfiler, lambda _: nullcontext(ARRAY)),
}

RULE = TimingRule(min_runs=30, max_runs=60)
LIMITS = Limits(memory_bytes=1 << 30, wall_s=60)


@pytest.fixture(params=list(PROFILERS), scope="module")
def opener(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Opener, Device]]:
    """A way to open a profiler, and a device for it."""
    opened, provider = PROFILERS[request.param]
    with provider(tmp_path_factory.mktemp(request.param)) as device:
        yield opened, device


@pytest.fixture(scope="module")
def device(opener: tuple[Opener, Device]) -> Device:
    """The device that is measured."""
    return opener[1]


@pytest.fixture
def runs(device: Device) -> None:
    """Skip what asks for a model to be run: an analytic device reads it only."""
    if isinstance(device, AnalyticDevice):
        pytest.skip("an analytic device runs nothing")


@pytest.fixture(scope="module")
def profiler(opener: tuple[Opener, Device]) -> Iterator[Profiler]:
    """One profiler for all tests: a bad model must not harm the next."""
    with opener[0](RULE, LIMITS) as opened:
        assert isinstance(opened, Profiler)
        yield opened


def test_measurement_is_complete(profiler: Profiler, device: Device) -> None:
    """Every figure of a measurement agrees with its samples."""
    seen = profiler.profile(onnx_models.conv_net(), device)
    assert (seen.device, seen.fingerprint) == (device.name, device.fingerprint)
    assert seen.samples_ms.shape == (seen.runs,)
    assert set(seen.metrics) == set(device.metrics)
    assert seen.computed == isinstance(device, AnalyticDevice)
    assert seen.median_ms == np.median(seen.samples_ms)
    assert seen.samples_ms.min() <= seen.median_ms <= seen.p90_ms <= seen.p99_ms <= seen.samples_ms.max()
    assert seen.queued_ms >= 0
    assert seen.peak_memory_bytes is None or seen.peak_memory_bytes > 0


@pytest.mark.usefixtures("runs")
def test_runs_are_counted(profiler: Profiler, device: Device) -> None:
    """As many runs as the rule says, after a warm-up."""
    seen = profiler.profile(onnx_models.conv_net(), device)
    assert RULE.min_runs <= seen.runs <= RULE.max_runs
    assert seen.warmup_runs >= 1
    assert seen.session_ms > 0


def fastest(profiler: Profiler, device: Device, models: list[bytes], passes: int) -> NDArray[np.float64]:
    """The fastest run of each model, in milliseconds, of measurements that take turns: others use the machine too."""
    times = np.full(len(models), np.inf)
    for _ in range(passes):
        for index, seen in enumerate(profiler.profile_all(models, device)):
            assert isinstance(seen, Measurement)
            times[index] = min(times[index], seen.samples_ms.min())
    return times


def test_same_model_twice(profiler: Profiler, device: Device) -> None:
    """The same model gives the same time."""
    first, second = fastest(profiler, device, [onnx_models.conv_net()] * 2, passes=5)
    assert max(first, second) / min(first, second) < 1.5


def test_ranking_agrees_with_cost(profiler: Profiler, device: Device) -> None:
    """Networks, each about twice as costly as the one before, are ranked by it; two neighbours may change places."""
    sizes = np.array([8, 12, 16, 24, 32, 48, 64, 96, 128, 192]) // (2 if device.kind == "browser" else 1)
    times = fastest(profiler, device, [onnx_models.conv_net(channels=16, size=int(size)) for size in sizes], passes=3)
    assert spearmanr(times, sizes).statistic > 0.985


@pytest.mark.usefixtures("runs")
def test_agrees_with_onnxruntime_called_directly(profiler: Profiler, device: Device) -> None:
    """The fastest run is as fast as in a plain script that takes turns with it: others use the machine too.

    A browser runs WebAssembly and no machine code, so that it is slower, and not by orders of magnitude.
    """
    model = onnx_models.conv_net(layers=8)
    batch = device.description["batch"]
    if device.description["precision"] == "int8":
        shape = (batch, 3, 32, 32)
        calibration = [{"image": np.random.default_rng(1).standard_normal(shape, dtype=np.float32)}]
        model = quantise(onnx.load_from_string(model), calibration)
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(device.description["threads"])
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).standard_normal((batch, 3, 32, 32), dtype=np.float32)
    plain, ours = np.inf, np.inf
    for _ in range(5):
        for _ in range(60):
            start = time.perf_counter()
            session.run(None, {"image": image})
            plain = min(plain, (time.perf_counter() - start) * 1e3)
        ours = min(ours, float(profiler.profile(model, device).samples_ms.min()))
    slowest = 40 if device.kind == "browser" else 1.5
    assert 1 / 1.5 < ours / plain < slowest


def test_models_together(profiler: Profiler, device: Device) -> None:
    """Of several models each has its own outcome, in their order; one that is refused is no obstacle."""
    good, bad = onnx_models.conv_net(layers=1, channels=4), onnx_models.custom_operator()
    first, refused, last = profiler.profile_all([good, bad, good], device)
    assert isinstance(refused, ModelRefused)
    assert all(isinstance(seen, Measurement) and seen.device == device.name for seen in (first, last))


@pytest.mark.parametrize(
    "name, message",
    [
        ("empty", "0 bytes; allowed are 1 to"),
        ("text", "are not an ONNX model"),
        ("truncated", "not an ONNX model|not valid ONNX"),
        ("external", "initializer 'w' keeps its data in '/etc/passwd'; allowed are models that hold all"),
        ("custom", "node 'Steal' of graph 'test' uses the custom operator com.example.Steal; allowed are"),
        (
            "huge",
            r"tensor 'y' has the shape \[4294967296\] and asks for 17,179,869,184 bytes; allowed are 1,073,741,824",
        ),
    ],
)
def test_bad_models_are_refused(profiler: Profiler, device: Device, name: str, message: str) -> None:
    """A malformed model is refused with what was found and what is allowed, and the next one is measured."""
    models = {
        "empty": b"",
        "text": b"#!/bin/sh\necho hello\n",
        "truncated": onnx_models.conv_net()[:-2000],
        "external": onnx_models.external_data(),
        "custom": onnx_models.custom_operator(),
        "huge": onnx_models.fill(1 << 32),
    }
    with pytest.raises(ModelRefused, match=message):
        profiler.profile(models[name], device)
    assert profiler.profile(onnx_models.relu(["N", 4]), device).median_ms > 0


def test_size_limit(opener: tuple[Opener, Device]) -> None:
    """A model that is larger than allowed is refused before it is read."""
    opened, device = opener
    refusal = pytest.raises(ModelRefused, match="allowed are 1 to 1,000")
    with opened(RULE, Limits(model_bytes=1000)) as profiler, refusal:
        profiler.profile(onnx_models.conv_net(), device)


@pytest.mark.usefixtures("runs")
def test_memory_limit(profiler: Profiler, device: Device) -> None:
    """A demand for memory that only shows at run time fails, and the next model is measured."""
    with pytest.raises(ProfilingFailed, match="more memory than it may have") as failed:
        profiler.profile(onnx_models.hidden_fill(1 << 32), device)
    assert failed.value.reason == "memory"
    assert profiler.profile(onnx_models.conv_net(), device).runs >= RULE.min_runs


@pytest.mark.usefixtures("runs")
def test_wall_clock_limit(opener: tuple[Opener, Device]) -> None:
    """A model that never ends is stopped at the wall-clock limit, and the next model is measured."""
    opened, device = opener
    with opened(RULE, Limits(wall_s=2)) as profiler:
        with pytest.raises(ProfilingFailed, match="did not end within 2 s") as failed:
            profiler.profile(onnx_models.endless_loop(), device)
        assert failed.value.reason == "wall_clock"
        assert profiler.profile(onnx_models.conv_net(layers=1), device).runs >= RULE.min_runs


def test_every_kind_is_here() -> None:
    """No kind of device is left out of this suite."""
    assert {name.split("-")[0] for name in PROFILERS} == set(DEVICES)


def test_cancelled_before_it_begins(profiler: Profiler, device: Device) -> None:
    """What was cancelled is not begun."""
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(ProfilingFailed, match="the measurement was cancelled") as failed:
        profiler.profile(onnx_models.conv_net(), device, cancellation=cancellation)
    assert failed.value.reason == "cancelled"


@pytest.mark.usefixtures("runs")
def test_cancel(profiler: Profiler, device: Device) -> None:
    """A measurement is cancelled under way or before it begins, and the next model is measured."""
    cancellation = Cancellation()
    timer = threading.Timer(0.5, cancellation.cancel)
    timer.start()
    with pytest.raises(ProfilingFailed, match="the measurement was cancelled") as failed:
        profiler.profile(onnx_models.endless_loop(), device, cancellation=cancellation)
    timer.join()
    assert failed.value.reason == "cancelled"
    with pytest.raises(ProfilingFailed, match="the measurement was cancelled"):
        profiler.profile(onnx_models.conv_net(), device, cancellation=cancellation)
    start = time.monotonic()
    assert profiler.profile(onnx_models.conv_net(), device, cancellation=Cancellation()).runs >= RULE.min_runs
    assert time.monotonic() - start < LIMITS.wall_s / 2, "the endless model still holds the device"


def test_layers(opener: tuple[Opener, Device]) -> None:
    """A device that says so tells what each layer takes; the others leave it out."""
    opened, device = opener
    with opened(TimingRule(min_runs=10, max_runs=10, layer_runs=10), LIMITS) as profiler:
        seen = profiler.profile(onnx_models.conv_net(), device)
    assert bool(seen.layers) == device.tells_layers
    assert all(layer.latency_ms >= 0 and layer.name and layer.op for layer in seen.layers)


def test_series(profiler: Profiler, device: Device) -> None:
    """Every device measures the reference model, and tells how steady it was meanwhile; the computed ones are."""
    series = Series(profiler, device)
    first, custom, second = series.measure(
        [onnx_models.conv_net(), onnx_models.custom_operator(), onnx_models.conv_net(layers=8)]
    )
    assert isinstance(custom, ModelRefused)
    assert isinstance(first, Measurement)
    assert isinstance(second, Measurement)
    assert first.median_ms < second.median_ms
    assert first.fingerprint == second.fingerprint == device.fingerprint
    told = [first.drift, second.drift, first.noise, series.noise]
    assert all(each is None for each in told) if device.computed else all(0 <= each < 10 for each in told)


def test_closed_profiler(opener: tuple[Opener, Device]) -> None:
    """A closed profiler says so, and may be closed again."""
    opened, device = opener
    profiler = opened(RULE, LIMITS)
    profiler.close()
    profiler.close()
    with pytest.raises(ValueError, match="closed"):
        profiler.profile(onnx_models.conv_net(), device)
