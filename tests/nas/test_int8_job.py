"""A job that weighs networks of 8-bit integers beside those of floats, from the search to the exported file."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml
from typer.testing import CliRunner

from nas.cli.main import app
from profilers.quantisation import is_quantised

JOB: dict[str, Any] = {
    "name": "int8",
    "space": {
        "name": "mobilenet_v3", "resolutions": [8, 16], "widths": [8, 16], "strides": [1, 2], "stem_stride": 1,
        "activations": ["relu", "h_swish"], "squeeze_excite": [False, True], "depths": [1, 2], "expansions": [2, 3],
        "stem_width": 8, "final_width": 32, "feature_width": 32,
    },
    "data": {"name": "digits", "limit": 400},
    "supernet": {"epochs": 3, "warmup_epochs": 0},
    "devices": {"cpu": {"kind": "host"}, "integers": {"kind": "host", "precision": "int8"}},
    "objectives": ["accuracy", "accuracy@int8", "latency_ms@cpu", "latency_ms@integers"],
    "strategy": "random",
    "budget": {"evaluations": 6},
    "execution": {"workers": 1},
    "measuring": {"max_runs": 60, "drift": 1, "replicate": 1},
}  # fmt: skip


def nas(*arguments: object) -> Any:
    """Run a command; what it printed as JSON, or nothing."""
    ran = CliRunner().invoke(app, list(map(str, arguments)))
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout) if "--json" in arguments else None


@pytest.mark.slow
def test_int8_from_search_to_file(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accuracy in both precisions and latency on both devices are objectives; the file is what the front says."""
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(yaml.safe_dump(JOB))
    nas("run", "job.yaml")
    rows = nas("show", "latest", "--json")["evaluations"]
    assert len(rows) == 6
    for row in rows:
        assert row["error"] is None
        assert abs(row["accuracy"] - row["accuracy@int8"]) < 0.2
        assert {"loss@int8", "latency_ms@cpu", "latency_ms@integers"} < set(row)
    assert any(row["loss"] != row["loss@int8"] for row in rows)
    assert {device["precision"] for device in nas("devices", "--json")} == {"fp32", "int8"}

    exported = nas("export", "latest", "--precision", "int8", "--output", "int8.onnx", "--json")
    assert is_quantised(onnx.load("int8.onnx"))
    checks = {check["check"]: check for check in exported["checks"]}
    assert checks["accuracy@int8"]["allowed"] == 0.002
    assert checks["accuracy@int8"]["front"] == exported["metrics"]["accuracy@int8"]
    assert checks["share of answers as in fp32"]["exported"] > 0.8
    assert "latency_ms@integers" in checks
    assert "latency_ms@cpu" not in checks
    (bigger,) = [nas("export", "latest", "--output", "fp32.onnx", "--json")]
    assert bigger["bytes"] != exported["bytes"]
    assert "latency_ms@cpu" in {check["check"] for check in bigger["checks"]}

    measured = nas("profile", "int8.onnx", "--precision", "int8", "--json")
    assert measured["median_ms"] > 0
    ran = CliRunner().invoke(app, ["profile", "int8.onnx"])
    assert ran.exit_code == 2
    assert "the model is quantised, but the device measures in fp32" in " ".join(ran.stderr.split())
    ran = CliRunner().invoke(app, ["export", "latest", "--output", "x.onnx", "--precision", "fp16"])
    assert ran.exit_code == 2
    assert "--precision must be one of fp32, int8 (got 'fp16')" in " ".join(ran.stderr.split())
