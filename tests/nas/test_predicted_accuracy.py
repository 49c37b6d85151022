"""Jobs that predict accuracies: what is evaluated, what is spared, and what is reported."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats
from typer.testing import CliRunner

from nas.cli.main import app
from nas.evaluation.evaluator import Evaluated, Request
from nas.evaluation.predicting_evaluator import FIRST, PredictingEvaluator
from nas.front import hypervolume
from nas.jobspec.errors import JobSpecError
from nas.jobspec.load import parse_job
from nas.objectives import Objective, deviation, losses
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.genotypes import Population

SPACE = NasBench201(resolution=8, cells=1)
OBJECTIVES = (Objective(metric="accuracy", direction="max"), Objective(metric="macs", direction="min"))
JOB: dict[str, Any] = {
    "name": "spare",
    "space": {
        "name": "mobilenet_v3", "resolutions": [8], "widths": [8, 16], "strides": [1, 2], "stem_stride": 1,
        "activations": ["relu", "h_swish"], "squeeze_excite": [False, True], "depths": [1, 2], "expansions": [2, 3],
        "stem_width": 8, "final_width": 32, "feature_width": 32,
    },
    "data": {"name": "digits", "limit": 600},
    "supernet": {"epochs": 4, "warmup_epochs": 0},
    "accuracy": {"from": "auto"},
    "objectives": ["accuracy", "macs"],
    "strategy": "random",
    "budget": {"evaluations": 60},
    "execution": {"workers": 1, "in_flight": 1},
}  # fmt: skip


def accuracy(rows: Population) -> np.ndarray:
    """Made-up accuracies that rise with convolutions on the way and with a little noise of their own."""
    macs = SPACE.costs(rows)["macs"] / 1e6
    noise = np.array([np.random.default_rng([*row.tolist(), 5]).normal() for row in rows])
    return 0.93 - 0.3 * np.exp(-macs / 2) + 0.001 * noise


class Bench:
    """An evaluator that knows the accuracy at once and counts what it is asked for."""

    def __init__(self) -> None:
        self.scored: list[str] = []
        self._done: list[Evaluated] = []

    def submit(self, requests: Sequence[Request]) -> None:
        """Answer."""
        for request in requests:
            if "accuracy" not in request.known:
                self.scored.append(request.key)
            found = {"accuracy": float(accuracy(request.genotype[None])[0]), **request.known}
            self._done.append(Evaluated(request.key, found))

    def wait(self) -> list[Evaluated]:
        """What is answered."""
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        """Nothing to do."""


@pytest.mark.parametrize("source", ["auto", "predict"])
def test_accuracies_are_spared(source: str) -> None:
    """Most networks are predicted, in the right order; with `auto` the front is within 3 % of that of all."""
    rows = np.random.default_rng(1).permutation(np.unique(SPACE.sample(400, np.random.default_rng(0)), axis=0))[:150]
    bench = Bench()
    evaluator = PredictingEvaluator(bench, SPACE, OBJECTIVES, {"accuracy": source})
    found: dict[str, Evaluated] = {}
    for start in range(0, len(rows), 25):
        part = rows[start : start + 25]
        evaluator.submit([Request(str(start + place), row) for place, row in enumerate(part)])
        while answers := evaluator.wait():
            found |= {answer.key: answer for answer in answers}
    told = np.array([found[str(place)].metrics["accuracy"] for place in range(len(rows))])
    truth, predicted = accuracy(rows), np.array([str(place) not in bench.scored for place in range(len(rows))])
    assert FIRST <= len(bench.scored) < len(rows) / 2
    assert stats.kendalltau(told[predicted], truth[predicted]).statistic > 0.7
    for place in range(len(rows)):
        assert (found[str(place)].metrics[deviation("accuracy")] > 0) == predicted[place]
    if source == "auto":
        everything = losses(OBJECTIVES, {"accuracy": truth, "macs": SPACE.costs(rows)["macs"] / 1e6})
        corner = np.array([-0.5, everything[:, 1].max()])
        assert hypervolume(everything[~predicted], corner) >= 0.97 * hypervolume(everything, corner)


def nas(*arguments: object) -> Any:
    """Run a command; what it printed as JSON, or nothing."""
    ran = CliRunner().invoke(app, list(map(str, arguments)))
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout) if "--json" in arguments else None


@pytest.mark.slow
def test_every_finalist_is_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a job on digits some networks are predicted; what is on the front in the end was evaluated."""
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(yaml.safe_dump(JOB))
    nas("run", "job.yaml")
    job = nas("show", "latest", "--json")
    assert job["status"] == "SUCCEEDED"
    rows = {row["key"]: row for row in job["evaluations"]}
    assert any(row["accuracy deviation"] > 0 for row in rows.values())
    front = nas("pareto", "latest", "--json")
    assert front
    for row in front:
        assert row["stable"] is not None
        # shares of the 120 held-out images, which no prediction is
        assert row["accuracy"] * 120 == pytest.approx(round(row["accuracy"] * 120), abs=1e-6)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"objectives": ["macs"], "data": None, "supernet": None}, "'auto' predicts accuracy and loss"),
        ({"objectives": ["accuracy", "accuracy@int8"]}, "predicts no accuracy@int8"),
        (
            {"devices": {"cpu": {"kind": "host", "threads": [1, 2]}}, "objectives": ["accuracy", "latency_ms@cpu"]},
            "'cpu' has settings that are searched",
        ),
        ({"recipe": {"ema": [0, 0.9]}}, "needs accuracy: {from: train}"),
    ],
    ids=["nothing", "int8", "devices", "recipe"],
)
def test_jobs_that_cannot_be_predicted(changes: dict[str, Any], message: str) -> None:
    """Told before anything is trained."""
    job = {key: value for key, value in {**JOB, **changes}.items() if value is not None}
    with pytest.raises(JobSpecError, match=message):
        parse_job(job)
