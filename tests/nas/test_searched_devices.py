"""Settings of devices as decisions of a search, from the job file to the front."""

import json
from itertools import cycle
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml
from typer.testing import CliRunner

from nas.cli.main import app
from nas.evaluation.subnet import subnets
from nas.evaluation.timing_actor import describe_devices
from nas.jobspec.errors import JobSpecError
from nas.jobspec.load import parse_job
from nas.problem import prepare
from profilers.analytic_profiler import AnalyticProfiler
from profilers.registry import make_device
from storage.records import Architecture, Device, Measurement
from storage.store import ResultStore

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
    "measuring": {"max_runs": 30, "drift": 1, "replicate": 1},
}  # fmt: skip


def changed(device: dict[str, Any], name: str = "npu") -> dict[str, Any]:
    """The job with another device."""
    return {**JOB, "devices": {**JOB["devices"], name: {**JOB["devices"][name], **device}}}


@pytest.mark.slow
def test_settings_are_searched(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.slow
def test_what_was_measured_is_taken_over_unless_asked(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever job it was and under whatever setting; with `anew` it is measured again."""
    monkeypatch.chdir(tmp_path)
    job = {**JOB, "objectives": ["latency_ms@npu"], "devices": {"npu": JOB["devices"]["npu"]},
           "strategy": "random", "budget": {"evaluations": 8}}  # fmt: skip
    space = (problem := prepare(parse_job(job))).searched
    described = {mark: dict(facts) for mark, facts in describe_devices({"name": "npu", **job["devices"]["npu"]})}
    with ResultStore("sqlite:///nas.db") as store:
        lease = store.claim(store.create_job("another", {}).id, "me")
        for mark, facts in described.items():
            store.add_device(Device(mark, "npu", facts))
        strategy = problem.strategy()
        rows = [row for _ in range(3) for row in strategy.ask(8)]  # and some to spare: two may be the same network
        for mark, row in zip(cycle(described), rows, strict=False):
            key = space.key(row)
            store.add_architectures(lease, [Architecture(key, space.name, dict(space.choices(row)))])
            metrics = ("latency_ms@npu", "energy_mj@npu", "utilisation@npu")
            store.add_measurements(lease, [Measurement(key, mark, metric, 123.0, "npu") for metric in metrics])
        for anew in (False, True):
            Path("job.yaml").write_text(yaml.safe_dump({**job, "measuring": {"anew": anew}}, sort_keys=False))
            ran = CliRunner().invoke(app, ["run", "job.yaml"])
            assert ran.exit_code == 0, ran.output
            found = store.evaluations(store.jobs()[0].id)
            assert len(found) == 8
            assert {each.metrics["latency_ms@npu"] == 123.0 for each in found} == {not anew}


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
