"""Settings of devices as decisions of a search, from the job file to the front."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml
from typer.testing import CliRunner

from nas.cli.main import app
from nas.evaluation.subnet import subnets
from nas.jobspec.errors import JobSpecError
from nas.jobspec.load import parse_job
from nas.problem import prepare
from profilers.analytic_profiler import AnalyticProfiler
from profilers.registry import make_device

JOB: dict[str, Any] = {
    "name": "co-search",
    "space": {
        "name": "mobilenet_v3", "resolutions": [8, 16], "widths": [8, 16], "strides": [1, 2],
        "activations": ["relu", "h_swish"], "squeeze_excite": [False, True], "depths": [1, 2], "expansions": [2, 3],
        "stem_width": 8, "final_width": 32, "feature_width": 32,
    },
    "devices": {
        "npu": {
            "kind": "systolic", "rows": [8, 16], "columns": [8, 16], "clock_mhz": 400, "bandwidth_gb_s": 3.2,
            "dataflow": ["weight_stationary", "output_stationary"], "input_buffer_kib": 64, "weight_buffer_kib": 64,
            "output_buffer_kib": 64,
        },
        "host": {"optimisation": ["basic", "all"], "precision": ["fp32", "int8"]},
    },
    "objectives": ["latency_ms@npu", "energy_mj@npu", "latency_ms@host", {"metric": "macs", "direction": "max"}],
    "strategy": {"name": "predictor_assisted"},
    "budget": {"evaluations": 30},
    "execution": {"workers": 1, "batch": 10, "in_flight": 1},
    "measuring": {"max_runs": 30},
}  # fmt: skip


def changed(device: dict[str, Any], name: str = "npu") -> dict[str, Any]:
    """The job with another device."""
    return {**JOB, "devices": {**JOB["devices"], name: {**JOB["devices"][name], **device}}}


@pytest.mark.slow
def test_settings_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each network is measured under the settings that were proposed with it, and the front says which these are."""
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(yaml.safe_dump(JOB))
    ran = CliRunner().invoke(app, ["run", "job.yaml"])
    assert ran.exit_code == 0, ran.output
    shown = json.loads(CliRunner().invoke(app, ["show", "latest", "--json"]).stdout)
    rows = shown["evaluations"]
    assert len({row["key"] for row in rows}) == 30
    assert all(row["error"] is None for row in rows)
    assert {row["genotype"]["npu.rows"] for row in rows} == {8, 16}
    assert {row["genotype"]["host.precision"] for row in rows} == {"fp32", "int8"}
    problem = prepare(parse_job(JOB))
    networks = subnets(problem.space, None, None)
    with AnalyticProfiler() as profiler:
        for row in rows[::10]:
            picked = {name.removeprefix("npu."): row["genotype"][name] for name in row["genotype"] if "npu." in name}
            device = make_device({"name": "npu", **JOB["devices"]["npu"], **picked})
            genotype = problem.space.genotype({k: v for k, v in row["genotype"].items() if "." not in k})
            model = networks.network(genotype).model({})
            assert profiler.profile(model, device).median_ms == pytest.approx(row["latency_ms@npu"])
    seen = json.loads(CliRunner().invoke(app, ["devices", "--json"]).stdout)
    assert {(each["precision"], each["optimisation"]) for each in seen if each["name"] == "host"} >= {
        (row["genotype"]["host.precision"], row["genotype"]["host.optimisation"]) for row in rows
    }
    exported = CliRunner().invoke(app, ["export", "latest", "--output", "model.onnx", "--json"])
    assert exported.exit_code == 0, exported.output
    assert "latency_ms@npu" in {check["check"] for check in json.loads(exported.stdout)["checks"]}
    onnx.checker.check_model(onnx.load("model.onnx"))


def test_the_space_that_is_searched() -> None:
    """The strategy sees the decisions of both; what is trained and exported are networks."""
    problem = prepare(parse_job(JOB))
    assert problem.searched.names[-5:] == (
        "npu.rows",
        "npu.columns",
        "npu.dataflow",
        "host.optimisation",
        "host.precision",
    )
    assert not any("." in name for name in problem.space.names)
    rows = problem.strategy().ask(8)
    assert rows.shape == (8, len(problem.searched.names))
    plain = {**JOB, "devices": {"cpu": {}}, "objectives": ["latency_ms@cpu"]}
    problem = prepare(parse_job(plain))
    assert problem.searched is problem.space


@pytest.mark.parametrize(
    "device, message",
    [
        ({"rows": []}, "devices.npu: rows must be one value or a list of values"),
        ({"rows": [8, 8]}, "devices.npu: rows lists an option twice: [8, 8]"),
        ({"rows": [8, [16]]}, "devices.npu: rows must be one value or a list of values"),
        ({"rows": [8, 0]}, "devices.npu: with rows 0, columns 8, dataflow 'weight_stationary': rows must"),
        ({"batch": [1, 2]}, "devices.npu: batch must be one value and not a list; settings that can be"),
        ({"rows": list(range(1, 101))}, "devices.npu: 400 combinations of rows, columns, dataflow; allowed"),
    ],
)  # fmt: skip
def test_bad_options(device: dict[str, Any], message: str) -> None:
    """What cannot be searched is told with its place, before any work."""
    with pytest.raises(JobSpecError) as error:
        parse_job(changed(device))
    assert message in str(error.value)


def test_idle_settings() -> None:
    """Settings of a device that nobody asks are no decisions, and neither are those beside a relaxed network."""
    with pytest.raises(ValueError, match=r"host\.optimisation is searched, but no objective is a metric of its device"):
        prepare(parse_job({**JOB, "objectives": ["latency_ms@npu"]}))


def test_no_list_where_there_is_one_device() -> None:
    """A remote agent decides about its own settings."""
    with pytest.raises(JobSpecError, match="none of this kind of device"):
        parse_job({**JOB, "devices": {**JOB["devices"], "pi5": {"kind": "remote", "address": ["a:1", "b:1"]}}})
