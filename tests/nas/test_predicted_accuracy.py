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
from nas.evaluation.learned_metric import FIRST
from nas.evaluation.predicting_evaluator import PredictingEvaluator
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
    """An evaluator that knows the accuracy at once and counts what it is asked for.

    Args:
        luck: of networks, which no feature tells; every fifth network does not say it.
    """

    def __init__(self, luck: np.ndarray | None = None) -> None:
        self.luck = luck
        self.scored: list[str] = []
        self._done: list[Evaluated] = []

    def submit(self, requests: Sequence[Request]) -> None:
        """Answer."""
        for request in requests:
            if "accuracy" not in request.known:
                self.scored.append(request.key)
            found = {"accuracy": float(accuracy(request.genotype[None])[0]), **request.known}
            if self.luck is not None:
                place = int(request.key)
                found["accuracy"] += 0.0 if "accuracy" in request.known else float(self.luck[place])
                found |= {"zero_cost@zen": 1e6 * float(self.luck[place])} if place % 5 else {}
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


def predicted(hints: Sequence[str], luck: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is told of 120 networks with luck, and which were predicted, with hints or without."""
    rows = np.random.default_rng(1).permutation(np.unique(SPACE.sample(400, np.random.default_rng(0)), axis=0))[:120]
    bench = Bench(luck)
    evaluator = PredictingEvaluator(bench, SPACE, OBJECTIVES, {"accuracy": "predict"}, hints=hints)
    found: dict[str, Evaluated] = {}
    for start in range(0, len(rows), 40):
        evaluator.submit([Request(str(place), rows[place]) for place in range(start, start + 40)])
        while answers := evaluator.wait():
            found |= {answer.key: answer for answer in answers}
    told = np.array([found[str(place)].metrics["accuracy"] for place in range(len(rows))])
    assert np.isfinite(told).all()
    return told - accuracy(rows), np.array([str(place) not in bench.scored for place in range(len(rows))])


def test_scores_are_seen_by_the_predictor() -> None:
    """What only a score tells is predicted with it and not without it; networks that lack the score are predicted."""
    luck = 0.05 * np.abs(np.random.default_rng(2).normal(size=120))
    for hints, low, high in (((), -0.35, 0.35), (("zero_cost@zen",), 0.55, 1.0)):
        told, guessed = predicted(hints, luck)
        assert guessed.sum() == 120 - FIRST
        said = guessed & (np.arange(120) % 5 > 0)
        assert low < stats.spearmanr(told[said], luck[said]).statistic <= high


def test_a_prediction_is_no_label() -> None:
    """A network whose latency is measured after all teaches nothing of the accuracy that was predicted of it."""
    latency = "latency_ms@cpu"
    objectives = (OBJECTIVES[0], Objective(metric=latency, direction="min"))

    class Timed(Bench):
        """The same with a latency."""

        def submit(self, requests: Sequence[Request]) -> None:
            """Answer."""
            super().submit(requests)
            for request, answer in zip(requests, self._done[-len(requests) :], strict=True):
                noise = np.random.default_rng([*request.genotype.tolist(), 6]).normal()
                answer.metrics.setdefault(latency, float(np.exp(noise)) * (1.0 + answer.metrics["accuracy"]))

    rows = np.unique(SPACE.sample(400, np.random.default_rng(0)), axis=0)[:80]
    evaluator = PredictingEvaluator(Timed(), SPACE, objectives, {"accuracy": "predict", latency: "auto"})
    found: dict[str, Evaluated] = {}
    for start in range(0, 80, 20):
        evaluator.submit([Request(str(place), rows[place]) for place in range(start, start + 20)])
        while answers := evaluator.wait():
            found |= {answer.key: answer for answer in answers}
    late = [each.metrics for key, each in found.items() if int(key) >= 20 and each.metrics[deviation(latency)] == 0]
    assert late, "no network was measured after all"
    assert all(metrics[deviation("accuracy")] > 0 for metrics in late)


def nas(*arguments: object) -> Any:
    """Run a command; what it printed as JSON, or nothing."""
    ran = CliRunner().invoke(app, list(map(str, arguments)))
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout) if "--json" in arguments else None


@pytest.mark.slow
def test_every_finalist_is_evaluated(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a job on digits some networks are predicted; what is on the front in the end was evaluated."""
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(yaml.safe_dump({**JOB, "accuracy": {"from": "auto", "zero_cost": ["zen", "synflow"]}}))
    nas("run", "job.yaml")
    job = nas("show", "latest", "--json")
    assert job["status"] == "SUCCEEDED"
    rows = {row["key"]: row for row in job["evaluations"]}
    assert any(row["accuracy deviation"] > 0 for row in rows.values())
    assert job["failed"] == 0
    assert all(row["zero_cost@zen"] and row["zero_cost@synflow"] for row in rows.values())
    front = nas("pareto", "latest", "--json")
    evaluated = [row["accuracy"] for row in rows.values() if row["accuracy deviation"] == 0]
    assert max(row["accuracy"] for row in front) >= max(evaluated)  # whose accuracy was known before stays
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
        ({"accuracy": {"from": "auto", "zero_cost": ["zenn"]}}, "did you mean 'zen'"),
        ({"accuracy": {"from": "auto", "zero_cost": ["zen", "zen"]}}, "'zen' is given twice"),
        ({"accuracy": {"zero_cost": ["zen"]}}, "'supernet', so there is no predictor; allowed with it: 'predict' or"),
    ],
    ids=["nothing", "int8", "devices", "recipe", "score", "twice", "no predictor"],
)
def test_jobs_that_cannot_be_predicted(changes: dict[str, Any], message: str) -> None:
    """Told before anything is trained."""
    job = {key: value for key, value in {**JOB, **changes}.items() if value is not None}
    with pytest.raises(JobSpecError, match=message):
        parse_job(job)
