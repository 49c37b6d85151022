"""Jobs that rank networks before they are trained."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from nas.cli.main import app
from nas.jobspec.errors import JobSpecError
from nas.jobspec.load import parse_job

CELLS: dict[str, Any] = {
    "name": "cheap",
    "space": {"name": "nasbench201", "resolution": 8, "cells": 1, "widths": [4, 8]},
    "data": {"name": "digits", "limit": 400},
    "objectives": ["zero_cost@naswot", "zero_cost@synflow", "macs"],
    "strategy": "random",
    "budget": {"evaluations": 40},
    "execution": {"workers": 1, "batch": 20},
}


def nas(*arguments: object) -> Any:
    """Run a command; what it printed as JSON, or nothing."""
    ran = CliRunner().invoke(app, list(map(str, arguments)))
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout) if "--json" in arguments else None


def problem(**changes: Any) -> str:
    """What is wrong with the job of cells when some sections are other ones; None removes a section."""
    job = {key: value for key, value in {**CELLS, **changes}.items() if value is not None}
    with pytest.raises(JobSpecError) as caught:
        parse_job(job)
    return str(caught.value)


@pytest.mark.slow
def test_scores_steer_and_failures_are_told(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores and their seconds are stored; a cell without a path has a cause, and the job goes on."""
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(yaml.safe_dump(CELLS))
    nas("run", "job.yaml")
    job = nas("show", "latest", "--json")
    assert job["status"] == "SUCCEEDED"
    good = [row for row in job["evaluations"] if row["error"] is None]
    bad = [row for row in job["evaluations"] if row["error"] is not None]
    assert len(good) > 25
    assert bad, "no random cell without a path: take another seed"
    for row in good:
        assert 0 < row["zero_cost@naswot seconds"] < 10
        assert row["zero_cost@synflow"] > 0
    for row in bad:
        assert "zero_cost@naswot: two inputs are on the same side" in row["error"]
    objectives = {objective["metric"]: objective["direction"] for objective in job["spec"]["objectives"]}
    assert objectives == {"zero_cost@naswot": "max", "zero_cost@synflow": "max", "macs": "min"}
    again = {**CELLS, "execution": {"workers": 2, "batch": 20}}
    Path("again.yaml").write_text(yaml.safe_dump(again))
    nas("run", "again.yaml", "--store", "sqlite:///again.db")
    other = nas("show", "latest", "--json", "--store", "sqlite:///again.db")
    values = [{row["key"]: row["zero_cost@naswot"] for row in each["evaluations"]} for each in (job, other)]
    assert values[0] == values[1]


@pytest.mark.slow
def test_a_score_stands_for_accuracy(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No supernet is trained; what the score chose is, and the result is about its accuracy."""
    monkeypatch.chdir(tmp_path)
    job = {
        **CELLS,
        "accuracy": {"from": "zero_cost:synflow"},
        "objectives": ["accuracy", "macs"],
        "train": {"epochs": 4, "networks": 2, "halving": None},
        "budget": {"evaluations": 10},
    }
    Path("job.yaml").write_text(yaml.safe_dump(job))
    nas("run", "job.yaml")
    found = nas("show", "latest", "--json")
    assert found["spec"]["supernet"] is None
    assert all("zero_cost@synflow" in row and "accuracy" not in row for row in found["evaluations"])
    trained = [row for row in found["evaluations"] if "accuracy@trained" in row]
    assert len(trained) == 2
    assert {row["key"] for row in nas("pareto", "latest", "--json")} <= {row["key"] for row in trained}


def test_a_job_in_its_short_form() -> None:
    """What stands for accuracy is the objective, and the complete job is one that can be read again."""
    spec = parse_job({**CELLS, "accuracy": {"from": "zero_cost:zen"}, "objectives": ["accuracy", "macs"]})
    assert [(o.metric, o.direction) for o in spec.objectives] == [("zero_cost@zen", "max"), ("macs", "min")]
    assert spec.supernet is None
    assert parse_job(spec.model_dump(mode="json")) == spec


def test_what_needs_data_says_so() -> None:
    """Scores without data need none; others name themselves."""
    assert parse_job({**CELLS, "data": None, "objectives": ["zero_cost@zen", "macs"]}).data is None
    assert "'zero_cost@naswot' needs data" in problem(data=None)
    assert "networks are trained on data" in problem(data=None, objectives=["zero_cost@zen"], train={"epochs": 1})


def test_bad_jobs_are_told() -> None:
    """Unknown scores, what a score cannot stand for, and sections that nothing uses."""
    assert "did you mean 'zero_cost@synflow'" in problem(objectives=["zero_cost@synflov"])
    assert "did you mean 'zero_cost:synflow'" in problem(accuracy={"from": "zero_cost:synflov"})
    proxy = {"from": "zero_cost:zen"}
    assert "accuracy is no objective" in problem(accuracy=proxy)
    bounded = [{"metric": "accuracy", "bound": 0.9}, "macs"]
    assert "a bound, a direction or a source is given" in problem(accuracy=proxy, objectives=bounded)
    assert "and not for 'loss'" in problem(accuracy=proxy, objectives=["loss", "macs"])
    assert "only trained for the objectives" in problem(supernet={"epochs": 2})
    assert "no objective needs a supernet" in problem(train={"epochs": 1, "init": "supernet"})
