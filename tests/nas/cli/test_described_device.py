"""Hardware that does not exist yet: a job that searches for it, and `nas profile` with every layer."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from nas.cli.main import app
from storage.store import ResultStore
from tests.profilers import onnx_models

EXAMPLE = Path(__file__).parents[3] / "examples/npu.yaml"
METRICS = ("latency_ms@npu", "energy_mj@npu", "utilisation@npu")


def nas(*arguments: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.slow
def test_a_job_of_the_example_from_the_file_to_the_model(cluster: None, tmp_path: Path) -> None:
    """Every evaluation has all metrics of the device; the exported file has exactly those that the search saw."""
    job = {**yaml.safe_load(EXAMPLE.read_text()), "budget": {"evaluations": 12}}
    path, url = tmp_path / "npu.yaml", f"sqlite:///{tmp_path}/nas.db"
    path.write_text(yaml.safe_dump(job))
    seen = []
    for _ in range(2):  # the second job finds what the first one measured
        result = nas("run", path, "--store", url)
        assert result.exit_code == 0, result.output
        rows = json.loads(nas("show", "latest", "--store", url, "--json").stdout)["evaluations"]
        assert len(rows) == 12
        assert all(row["latency_ms@npu"] > 0 and row["energy_mj@npu"] > 0 for row in rows)
        assert all(0 < row["utilisation@npu"] < 1 for row in rows)
        seen.append({row["key"]: [row[metric] for metric in METRICS] for row in rows})
    assert seen[0] == seen[1]
    with ResultStore(url) as store:
        (device,) = store.devices()
        for metric in METRICS:
            stored = store.measurements(seen[0], device.fingerprint, metric)
            assert {measured.statistics["runs"] for measured in stored.values()} == {1}
            assert all(measured.statistics["computed"] for measured in stored.values())
    exported = nas("export", "latest", "--store", url, "--pick", "best:latency_ms@npu", "--output", tmp_path / "m.onnx")
    assert exported.exit_code == 0, exported.output
    told = json.loads(nas("profile", tmp_path / "m.onnx", "--device", f"{path}:npu", "--json", "--layers").stdout)
    fastest = min(seen[0].values())
    assert [told["median_ms"], told["energy_mj"], told["utilisation"]] == pytest.approx(fastest, rel=1e-12)
    assert sum(layer["latency_ms"] for layer in told["layers"]) == pytest.approx(fastest[0])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small ONNX file."""
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_models.conv_net(layers=2))
    return path


def test_layers_are_shown(model: Path) -> None:
    """A row a layer, fused as ONNX Runtime fuses, and what the whole network takes above them."""
    shown = nas("profile", model, "--device", f"{EXAMPLE}:npu", "--layers")
    assert shown.exit_code == 0, shown.output
    for text in ("median_ms", "energy_mj", "utilisation", "computed", "Conv+Relu", "GlobalAveragePool", "bound"):
        assert text in shown.stdout
    plain = json.loads(nas("profile", model, "--device", f"{EXAMPLE}:limit", "--json").stdout)
    assert plain["device"] == "limit"
    assert "layers" not in plain


def refused(arguments: Sequence[Any]) -> str:
    """What the command says of bad input, as one line."""
    result = nas("profile", *arguments)
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.split())


@pytest.mark.parametrize(
    "options, message",
    [
        (["--device", "npu"], "--device must be FILE:NAME, such as job.yaml:pi5 (got 'npu')"),
        (["--device", "nowhere.yaml:npu"], "nowhere.yaml: no such file"),
        (["--device", f"{EXAMPLE}:tpu"], "npu.yaml has no device 'tpu'; known: npu, limit"),
        (["--device", f"{EXAMPLE}:npu", "--threads", "2"], "--device brings its own settings; leave --threads"),
    ],
)
def test_bad_devices_are_told(model: Path, options: list[str], message: str) -> None:
    """What was given, and what is allowed."""
    assert message in refused([model, *options])


def test_bad_settings_are_told_with_their_place(model: Path, tmp_path: Path) -> None:
    """A device of a file that is not a good job names the file and the device."""
    path = tmp_path / "devices.yaml"
    path.write_text("devices: {npu: {kind: roofline, peak_macs_per_s: 0, bandwidth_gb_s: 1}}")
    said = refused([model, "--device", f"{path}:npu"])
    assert "devices.yaml:npu: peak_macs_per_s must be a number above 0" in said
    path.write_text("devices: [npu]")
    assert "devices must be a mapping from names to devices (got ['npu'])" in refused(
        [model, "--device", f"{path}:npu"]
    )
