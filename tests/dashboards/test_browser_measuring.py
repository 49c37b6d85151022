"""What a browser measures: the right outputs, by the same protocol, with a clock that is fine enough."""

import base64
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from playwright.sync_api import Browser, BrowserContext, Page, expect
from scipy.stats import spearmanr

import profilers.remote
from dashboards.browsers.runtime import VERSION
from profilers.errors import DeviceLost, ModelRefused, ProfilingFailed
from profilers.host import HostDevice
from profilers.host_profiler import HostProfiler
from profilers.limits import Limits
from profilers.measurement import median_interval
from profilers.model_inputs import fix_shapes, make_inputs
from profilers.quantisation import quantise
from profilers.remote_profiler import RemoteProfiler
from profilers.timing import Timing, TimingRule, take_timing
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.interchange.onnx_file import model_bytes
from search_spaces.registry import SPACES
from search_spaces.space import SearchSpace
from tests.browsers import Service, join, launched
from tests.conformance.test_space_conformance import SMALL
from tests.profilers import onnx_models

RULE = TimingRule(min_runs=30, max_runs=60)


def network(space: SearchSpace, genotype: NDArray[np.int16], seed: int = 0) -> bytes:
    """A network of a space with random weights that neither explode nor vanish."""
    rng = np.random.default_rng(seed)
    graph = space.graph(genotype)
    weights = {}
    for name, parameter in graph.parameters.items():
        fan_in = max(int(np.prod(parameter.shape[1:])), 1)
        values = rng.standard_normal(parameter.shape, dtype=np.float32) * np.float32((2 / fan_in) ** 0.5)
        weights[name] = np.abs(values) + 1 if parameter.role == "variance" else values
    return model_bytes(graph, weights)


RUN = """async ([folder, backend, model, inputs, sizes]) => {
    const { loadRuntime, makeFeeds, makeSession } = await import('/session.js');
    const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const settings = { backend, threads: 1, optimisation: 'all' };
    globalThis.runtime ??= await loadRuntime(new URL(folder, document.baseURI).href, settings, 2 ** 30);
    const session = await makeSession(globalThis.runtime, bytes(model), settings, sizes);
    const data = bytes(inputs.map((input) => input.data).join(''));
    const content = bytes(inputs[0].data).buffer;
    const found = await session.run(makeFeeds(globalThis.runtime, inputs, content, 0));
    await session.release();
    return Object.entries(found).map(([name, tensor]) => [name, tensor.dims, Array.from(tensor.data, Number)]);
}"""


def run_in(page: Page, model: bytes, batch: int, backend: str = "wasm") -> dict[str, NDArray[np.float64]]:
    """The outputs of a model with one input, by the modules that also measure."""
    shapes = fix_shapes(onnx.load_model_from_string(model), batch, {})
    inputs = [
        {
            "name": name,
            "type": array.dtype.name,
            "shape": list(array.shape),
            "bytes": array.nbytes,
            "data": base64.b64encode(array.tobytes()).decode(),
        }
        for name, array in make_inputs(shapes).items()
    ]
    folder = f"runtime/{VERSION}/"
    outputs = page.evaluate(RUN, [folder, backend, base64.b64encode(model).decode(), inputs, shapes.sizes])
    return {name: np.array(values).reshape(dims) for name, dims, values in outputs}


def run_here(model: bytes, batch: int) -> dict[str, NDArray[Any]]:
    """The outputs of a model in ONNX Runtime on this machine."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    inputs = make_inputs(fix_shapes(onnx.load_model_from_string(model), batch, {}))
    return dict(zip([out.name for out in session.get_outputs()], session.run(None, inputs), strict=True))


@pytest.fixture(scope="module")
def page(browser: Browser, service: Service) -> Any:
    """A page that has not joined, for what runs in it without being measured."""
    with browser.new_context() as context:
        opened = context.new_page()
        opened.goto(service.page)
        yield opened


@pytest.mark.parametrize("name", sorted(SPACES))
def test_outputs_agree_with_onnxruntime(page: Page, name: str) -> None:
    """A network of each family gives in the browser what it gives here."""
    space = SPACES[name](**SMALL[name])
    model = network(space, space.largest())
    found, expected = run_in(page, model, batch=2), run_here(model, batch=2)
    assert found.keys() == expected.keys()
    for output, values in expected.items():
        scale = np.abs(values).max()
        assert np.isfinite(scale)
        assert scale > 0
        np.testing.assert_allclose(found[output], values, atol=1e-5 * scale, rtol=1e-4)


@pytest.mark.slow
def test_webgpu(browser: Browser, service: Service) -> None:
    """With WebGPU, here of a graphics card in software, outputs agree, and what it cannot do is an error."""
    space = SPACES["mobilenet_v3"](**SMALL["mobilenet_v3"])
    model = network(space, space.smallest())
    options = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")
    with launched(browser.browser_type, *options) as other, other.new_context() as context:
        page = join(context, service, "gpu")
        for output, values in run_here(model, batch=1).items():
            found = run_in(page, model, batch=1, backend="webgpu")[output]
            np.testing.assert_allclose(found, values, atol=1e-4 * np.abs(values).max(), rtol=1e-3)
        device = service.device("gpu", backend="webgpu")
        assert device.description["gpu"]
        with RemoteProfiler(RULE) as profiler:
            with pytest.raises(ProfilingFailed, match="fallback to CPU EP has been explicitly disabled") as failed:
                profiler.profile(onnx_models.endless_loop(), device)
            assert failed.value.reason == "load"


TIMED = """async ([durations, rule]) => {
    const { takeTiming } = await import('/timing.js');
    let now = 0;
    let next = 0;
    return takeTiming(async () => { now += durations[next++]; }, rule, () => now);
}"""


@pytest.mark.parametrize("seed", range(6))
def test_protocol_is_the_same_as_elsewhere(page: Page, seed: int) -> None:
    """Given the same runs, the browser's protocol takes as many of them as Python's and keeps the same samples."""
    rng = np.random.default_rng(seed)
    noise = (0.001, 0.03, 0.3)[seed % 3]
    durations = np.exp(rng.normal(0, noise, 500)) * (1 + 3 * np.exp(-np.arange(500) / (1 + 10 * (seed > 2))))
    rule = TimingRule(min_runs=30, max_runs=200, max_timed_s=0.15 if seed == 5 else 2.0)
    expected = timed_here(durations, rule)
    found = page.evaluate(TIMED, [durations.tolist(), json.loads(json.dumps(rule_of(rule)))])
    assert (found["warmupRuns"], found["settled"]) == (expected.warmup_runs, expected.settled)
    np.testing.assert_allclose(found["samples"], expected.samples_ms, atol=2e-6)  # that clock ticks in ns


def rule_of(rule: TimingRule) -> dict[str, Any]:
    """A rule as the page gets it."""
    return {name: getattr(rule, name) for name in rule.__dataclass_fields__}


def timed_here(durations_ms: Sequence[float], rule: TimingRule) -> Timing:
    """The protocol on a clock that jumps by the given durations."""
    steps = iter(durations_ms)
    now = 0.0

    def run() -> None:
        nonlocal now
        now += next(steps)

    return take_timing(run, rule, lambda: round(now * 1e6))


CALIBRATED = """async ([run_ms, tick_ms]) => {
    const { calibrate, resolutionOf, medianInterval } = await import('/timing.js');
    let now = 0;
    const clock = () => { now += 0.0003; return Math.floor(now / tick_ms) * tick_ms; };
    return calibrate(async () => { now += run_ms; }, resolutionOf(clock), clock);
}"""


@pytest.mark.parametrize("run_ms, tick_ms", [(0.05, 1.0), (0.05, 0.1), (3.0, 1.0), (3.0, 0.1), (3.0, 0.005)])
def test_coarse_clocks(page: Page, run_ms: float, tick_ms: float) -> None:
    """So many runs are timed together that a tick of the clock is a percent of a sample, and not many more."""
    together = page.evaluate(CALIBRATED, [run_ms, tick_ms])["together"]
    needed = 100 * tick_ms / run_ms
    assert together == 1 if needed <= 1 else 0.97 * needed <= together <= 2 * needed


@pytest.mark.parametrize("count", [5, 6, 31, 200])
def test_interval_of_the_median(page: Page, count: int) -> None:
    """The interval that ends the runs is the one of `profilers.measurement`."""
    samples = np.random.default_rng(count).uniform(1, 2, count)
    found = page.evaluate("async (samples) => (await import('/timing.js')).medianInterval(samples)", samples.tolist())
    assert found == pytest.approx(median_interval(samples))


def test_page_that_is_not_isolated(context: BrowserContext, service: Service) -> None:
    """From a name without HTTPS there are no threads, which is told, and the coarse clock is made up for."""
    page = join(context, service, "phone", page=service.page.replace("127.0.0.1", "phone.test"))
    assert page.evaluate("self.crossOriginIsolated") is False
    with pytest.raises(DeviceLost, match="threads must be 1: the page is not cross-origin isolated"):
        _ = service.device("phone", threads=2).description
    with RemoteProfiler(RULE) as profiler:
        seen = profiler.profile(onnx_models.conv_net(layers=1), service.device("phone"))
    assert seen.runs_per_sample > 1
    assert seen.median_ms * seen.runs_per_sample > 5  # a hundred ticks, of which some browsers have fewer than 0.1 ms


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"threads": 200}, "threads must be between 1 and [0-9]+, the cores that the browser tells of"),
        ({"backend": "webgpu"}, "backend must be wasm: this browser, or this page without HTTPS, has no WebGPU"),
    ],
)
def test_what_a_browser_cannot_do(
    context: BrowserContext, service: Service, settings: dict[str, Any], message: str
) -> None:
    """Settings that the browser cannot follow are refused before any model is sent."""
    join(context, service, "limited")
    with pytest.raises(DeviceLost, match=message) as denied:
        _ = service.device("limited", **settings).description
    assert denied.value.reason == "denied"


def test_nobody_has_joined(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that asks for a browser that is not there hears where to open the page."""
    monkeypatch.setattr(profilers.remote, "PATIENCE_S", 0.3)
    message = rf"device 'nobody', for 0.3 s: no browser has joined as 'nobody'; open {re.escape(service.page)} there"
    with pytest.raises(DeviceLost, match=message) as lost:
        _ = service.device("nobody").description
    assert lost.value.reason == "lost"


def test_int8(context: BrowserContext, service: Service) -> None:
    """With precision int8 a model is quantised before it is sent; one in fp32 refuses what is quantised."""
    join(context, service, "integers")
    floats, integers = (service.device("integers", precision=precision) for precision in ("fp32", "int8"))
    model = onnx_models.conv_net(layers=2)
    quantised = quantise(onnx.load_model_from_string(model), [{"image": np.ones((1, 3, 32, 32), np.float32)}])
    with RemoteProfiler(RULE) as profiler:
        for given in (model, quantised):
            seen = profiler.profile(given, integers)
            assert seen.runs >= RULE.min_runs
        assert (integers.description["precision"], seen.fingerprint) == ("int8", integers.fingerprint)
        assert floats.fingerprint != integers.fingerprint
        with pytest.raises(ModelRefused, match="the model is quantised, but the device measures in fp32"):
            profiler.profile(quantised, floats)


def double_conv() -> bytes:
    """A convolution of 64-bit numbers, for which ONNX Runtime has no code."""
    value = TensorProto.DOUBLE
    weight = helper.make_tensor("w", value, [1, 1, 1, 1], [1.0])
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"])]
    shape = (value, [1, 1, 4, 4])
    return onnx_models.model(nodes, [("x", *shape)], [("y", *shape)], [weight]).SerializeToString()


def test_models_that_cannot_be_measured(context: BrowserContext, service: Service) -> None:
    """Each is told with its reason, on the page too, and the next one is measured."""
    page = join(context, service, "bad-models")
    device = service.device("bad-models")
    cases: list[tuple[bytes, Limits, str, str]] = [
        (double_conv(), Limits(), "load", "ONNX Runtime Web cannot load the model: .*Conv"),
        (onnx_models.bad_index(), Limits(), "run", "the model fails when it runs: .*out of data bounds"),
        (onnx_models.hidden_fill(1 << 28), Limits(memory_bytes=1 << 29), "memory", "the model asks for more memory"),
    ]
    for model, limits, reason, message in cases:
        with RemoteProfiler(RULE, limits) as profiler:
            with pytest.raises(ProfilingFailed, match=message) as failed:
                profiler.profile(model, device)
            assert failed.value.reason == reason
            expect(page.locator("#latest li").first).to_contain_text(message.split(": ")[0])
            assert profiler.profile(onnx_models.relu([1, 4]), device).runs >= RULE.min_runs
    with RemoteProfiler(RULE) as profiler, pytest.raises(ModelRefused, match="bytes; allowed are 1 to 268,435,456"):
        profiler.profile(bytes(300 << 20), device)


@pytest.mark.slow
def test_twenty_networks(
    context: BrowserContext, service: Service, record_property: Callable[[str, object], None]
) -> None:
    """Twenty networks in the browser beside this machine's processor: slower, in nearly the same order."""
    space = MobileNetV3(resolutions=(32, 64, 96), widths=(16, 24, 40), strides=(2, 2, 2), activations=("relu",) * 3,
                        squeeze_excite=(False, True, False), depths=(1, 2, 3), stem_width=16)  # fmt: skip
    models = [network(space, genotype) for genotype in space.sample(20, np.random.default_rng(0))]
    join(context, service, "twenty")
    device = service.device("twenty")
    rule = TimingRule(min_runs=30, max_runs=30)
    with RemoteProfiler(rule) as there, HostProfiler(rule) as here:
        pairs = [(there.profile(model, device), here.profile(model, HostDevice())) for model in models]
    in_browser, on_host = (np.array([seen.samples_ms.min() for seen in column]) for column in zip(*pairs, strict=True))
    agreement = spearmanr(in_browser, on_host).statistic
    record_property("browser_ms", in_browser.tolist())
    record_property("host_ms", on_host.tolist())
    for there_ms, here_ms in sorted(zip(in_browser, on_host, strict=True), key=lambda pair: pair[1]):
        print(f"browser {there_ms:.2f} ms, host {here_ms:.2f} ms")
    print(f"\nbrowser over host: {np.median(in_browser / on_host):.1f}, Spearman {agreement:.3f}")
    assert agreement > 0.8
    assert 1 < np.median(in_browser / on_host) < 40
