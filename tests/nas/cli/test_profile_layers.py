"""`nas profile --layers` on devices that run models: what each layer takes, kept for predictors."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from nas.cli.main import app
from storage.store import ResultStore
from tests.profilers import onnx_models

SPACE = {
    "name": "mobilenet_v3",
    "resolutions": [16],
    "widths": [8, 16],
    "strides": [1, 2],
    "activations": ["relu", "relu"],
    "squeeze_excite": [False, False],
    "depths": [1, 2],
    "kernels": [3, 5],
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file with a small network."""
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_models.conv_net(layers=4))
    return path


def profile(*arguments: object) -> Any:
    """Run the command with `--json`."""
    ran = CliRunner().invoke(app, ["profile", *map(str, arguments), "--json"])
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout)


def test_layers_are_kept(model: Path, tmp_path: Path) -> None:
    """Distinct layers go to the store of the device's fingerprint, once however often they are measured."""
    url = f"sqlite:///{tmp_path}/nas.db"
    for _ in range(2):
        seen = profile(model, "--layers", "--optimisation", "extended", "--store", url)
    assert len(seen["layers"]) == 5
    assert seen["layers_ms"] == pytest.approx(sum(layer["latency_ms"] for layer in seen["layers"]))
    assert seen["drift"] >= 0
    with ResultStore(url, create=False) as store:
        (device,) = store.devices()
        kept = store.layers(device.fingerprint)
    assert device.fingerprint == seen["fingerprint"]
    assert {layer.signature for layer in kept} == {layer["signature"] for layer in seen["layers"]}
    assert len(kept) == 3  # of four convolutions three are alike
    assert all(layer.latency_ms > 0 for layer in kept)


def test_layers_of_both_formats(model: Path) -> None:
    """A network that is quantised here is shown beside itself in floats, and what gains nothing is marked."""
    seen = profile(model, "--layers", "--precision", "int8")
    assert seen["median_ms"] > 0
    for layer in seen["layers"]:
        assert set(layer) == {"name", "op", "fp32_ms", "int8_ms", "speedup", "gains"}
        assert layer["gains"] == (layer["int8_ms"] < layer["fp32_ms"])
    assert sum(layer["int8_ms"] for layer in seen["layers"]) > 0
    ran = CliRunner().invoke(app, ["profile", str(model), "--layers", "--precision", "int8"])
    assert ran.exit_code == 0
    assert "speedup" in ran.stdout


def test_layers_of_a_space_are_measured_once_at_least_and_kept(tmp_path: Path) -> None:
    """Every kind of convolution that a small space has; networks that have the most new ones come first."""
    url = f"sqlite:///{tmp_path}/nas.db"
    (tmp_path / "job.yaml").write_text(yaml.safe_dump({"space": SPACE}))
    seen = profile("--space", tmp_path / "job.yaml", "--layers", "--optimisation", "extended", "--store", url)
    assert seen["layers_in_these_networks"] == seen["layers_of_the_space"]
    assert 1 < seen["networks"] <= 32
    signatures = [layer["signature"] for layer in seen["layers"]]
    assert len(signatures) == len(set(signatures)) == seen["signatures"]
    for size in (3, 5):
        assert any(f"kernel_shape={size},{size}" in each for each in signatures)
    with ResultStore(url, create=False) as store:
        kept = store.layers(seen["fingerprint"])
    assert {layer.signature: layer.latency_ms for layer in kept} == {
        layer["signature"]: layer["latency_ms"] for layer in seen["layers"]
    }
    fewer = profile("--space", tmp_path / "job.yaml", "--layers", "--samples", 1)
    assert fewer["networks"] == 1
    assert fewer["layers_in_these_networks"] < fewer["layers_of_the_space"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give either a MODEL.onnx or a --space"),
        (["--space", "nasbench201"], "--space needs --layers"),
        (["--space", "nasbench201", "--layers", "--samples", "0"], "at least 1 (got 0)"),
        (["--space", "nasbench202", "--layers"], "nasbench202"),
        (["--space", "nowhere.yaml", "--layers"], "nowhere.yaml: no such file"),
    ],
)
def test_bad_spaces(options: list[str], message: str) -> None:
    """Are told before anything is measured."""
    ran = CliRunner().invoke(app, ["profile", *options])
    assert ran.exit_code == 2
    assert message in " ".join(ran.stderr.split())


def test_bad_input(model: Path) -> None:
    """A store, format or provider that is none is told before anything is measured."""
    for options, message in (
        (["--store", "mysql://x"], "mysql"),
        (["--precision", "fp16"], "precision must be one of fp32, int8 (got 'fp16')"),
        (["--provider", "NoSuchProvider"], "provider 'NoSuchProvider' is not available with onnxruntime"),
    ):
        ran = CliRunner().invoke(app, ["profile", str(model), "--layers", *options])
        assert ran.exit_code == 2, ran.output
        assert message in " ".join(ran.stderr.split())
