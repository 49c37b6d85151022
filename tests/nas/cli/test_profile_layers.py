"""`nas profile --layers` on devices that run models: what each layer takes, kept for predictors."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nas.cli.main import app
from storage.store import ResultStore
from tests.profilers import onnx_models


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
