"""Networks of 8-bit integers: what they compute, and where they may be measured."""

import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper

import profilers.host
from profilers.errors import ModelRefused, ProfilingFailed
from profilers.host import HostDevice
from profilers.host_profiler import HostProfiler
from profilers.limits import Limits
from profilers.quantisation import is_quantised, quantise
from profilers.timing import TimingRule
from tests.profilers import onnx_models

RULE = TimingRule(min_runs=10, max_runs=10)


def images(count: int, seed: int) -> np.ndarray:
    """Some normal images."""
    return np.random.default_rng(seed).standard_normal((count, 3, 32, 32), dtype=np.float32)


@pytest.fixture(scope="module")
def integers() -> bytes:
    """A small network, quantised."""
    model = onnx.load_from_string(onnx_models.conv_net(layers=3))
    onnx.helper.set_model_props(model, {"job": "digits-1"})
    return quantise(model, [{"image": images(8, seed)} for seed in range(3)])


def run(model: bytes, given: np.ndarray) -> np.ndarray:
    """What ONNX Runtime computes."""
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"image": given})[0]


def test_integers_compute_the_same(integers: bytes) -> None:
    """The outputs are those of the original but for rounding, and the weights are stored in a quarter of the space."""
    floats = onnx_models.conv_net(layers=3)
    given = images(16, 9)
    expected, found = run(floats, given), run(integers, given)
    assert np.abs(found - expected).max() < 0.1 * np.abs(expected).max()
    assert not np.array_equal(found, expected)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99
    model = onnx.load_from_string(integers)
    stored = [tensor for tensor in model.graph.initializer if len(tensor.dims) == 4]
    assert {tensor.data_type for tensor in stored} == {TensorProto.INT8}
    scales = [len(numpy_helper.to_array(t)) for t in model.graph.initializer if t.name == "weight0_scale"]
    assert scales == [32]
    assert {prop.key: prop.value for prop in model.metadata_props} == {"job": "digits-1"}


def test_quantised_once(integers: bytes) -> None:
    """What computes with integers already is not quantised again."""
    model = onnx.load_from_string(integers)
    assert is_quantised(model)
    assert not is_quantised(onnx.load_from_string(onnx_models.conv_net()))
    with pytest.raises(ModelRefused, match="quantised already"):
        quantise(model, [{"image": images(1, 0)}])


def test_devices_of_either_precision(integers: bytes, tmp_path: Path) -> None:
    """A device of int8 takes both kinds of file and leaves no files behind; one of fp32 refuses integers."""
    fp32, int8 = HostDevice(), HostDevice(name="cpu8", precision="int8")
    assert fp32.fingerprint != int8.fingerprint
    with HostProfiler(RULE, directory=tmp_path) as profiler:
        given, made = profiler.profile(integers, int8), profiler.profile(onnx_models.conv_net(layers=3), int8)
        assert given.fingerprint == made.fingerprint == int8.fingerprint
        fastest = [math.inf, math.inf]
        for _ in range(5):  # in turns, since others load the machine
            for place, model in enumerate((integers, onnx_models.conv_net(layers=3))):
                fastest[place] = min(fastest[place], float(profiler.profile(model, int8).samples_ms.min()))
        assert 1 / 3 < fastest[0] / fastest[1] < 3
        with pytest.raises(ModelRefused, match="the model is quantised, but the device measures in fp32"):
            profiler.profile(integers, fp32)
        assert profiler.profile(onnx_models.conv_net(layers=3), fp32).runs == 10


def test_limits_hold_while_quantising(tmp_path: Path) -> None:
    """A model that never ends, or asks for too much, does so while it is calibrated as well."""
    device = HostDevice(precision="int8")
    with (
        HostProfiler(RULE, Limits(wall_s=2), directory=tmp_path) as hurried,
        pytest.raises(ProfilingFailed, match="did not end within 2 s"),
    ):
        hurried.profile(onnx_models.endless_loop(), device)
    with HostProfiler(RULE, directory=tmp_path) as profiler:
        with pytest.raises(ProfilingFailed) as failed:
            profiler.profile(onnx_models.hidden_fill(1 << 34), device)
        assert failed.value.reason == "memory"
        assert profiler.profile(onnx_models.conv_net(layers=1), device).runs == 10


@pytest.mark.skipif("AzureExecutionProvider" not in ort.get_available_providers(), reason="only some builds have it")
def test_silent_fallback_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A provider that runs none of the model itself (this one calls a service elsewhere) is found out."""
    monkeypatch.setitem(profilers.host.PROVIDERS, "AzureExecutionProvider", "host-cpu")
    device = HostDevice(provider="AzureExecutionProvider")
    fell_back = pytest.raises(ProfilingFailed, match="AzureExecutionProvider leaves a part of the model to the CPU")
    with HostProfiler(RULE, directory=tmp_path) as profiler, fell_back as failed:
        profiler.profile(onnx_models.conv_net(layers=1), device)
    assert failed.value.reason == "load"
