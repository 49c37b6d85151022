"""Evaluations that are cut short: how sure that is, from which accuracy on, and what comes of it in a job."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from nas.cli.main import app
from nas.evaluation.cutting_evaluator import CuttingEvaluator
from nas.evaluation.evaluator import Evaluated, Request
from nas.evaluation.hopeless import Hope
from nas.evaluation.scores import BATCH, EvaluationData, scores, scores_while
from nas.jobspec.errors import JobSpecError
from nas.jobspec.load import parse_job
from nas.objectives import Objective
from search_spaces.families.nasbench201 import NasBench201

SPACE = NasBench201(resolution=8, cells=1)
JOB: dict[str, Any] = {
    "name": "cut",
    "space": {
        "name": "mobilenet_v3", "resolutions": [8], "widths": [8, 16], "strides": [1, 2], "stem_stride": 1,
        "activations": ["relu", "h_swish"], "squeeze_excite": [False, True], "depths": [1, 2], "expansions": [2, 3],
        "stem_width": 8, "final_width": 32, "feature_width": 32,
    },
    "data": {"name": "digits", "validation": 0.8},
    "supernet": {"epochs": 3, "warmup_epochs": 0},
    "objectives": ["accuracy", "macs"],
    "strategy": "random",
    "budget": {"evaluations": 30},
    "execution": {"workers": 1, "in_flight": 1},
}  # fmt: skip


def test_a_network_that_is_good_enough_is_hardly_ever_given_up() -> None:
    """Of 2,000 evaluations that end at the least accuracy at most 1 % are cut short; of worse ones nearly all."""
    rng = np.random.default_rng(0)
    total, size = 2000, 250
    cut = {}
    for right in (1800, 1600):
        answers = np.zeros(total, np.int64)
        answers[:right] = 1
        given_up = 0
        for _ in range(2000):
            so_far = np.cumsum(rng.permutation(answers))[size - 1 :: size][:-1]
            hope = Hope(0.9, 0.99)
            looks = enumerate(so_far.tolist(), start=1)
            given_up += any(hope.gone(count, place * size, total, total // size) for place, count in looks)
        cut[right] = given_up / 2000
    assert cut[1800] <= 0.01
    assert cut[1600] > 0.95


def test_what_is_certain_needs_no_statistics() -> None:
    """Too few samples left to reach it, or as many right answers already as are needed."""
    assert Hope(0.9, 0.999999).gone(0, 20, 100, 5)
    assert not Hope(0.9, 0.6).gone(90, 95, 100, 5)
    assert not Hope(0.0, 0.99).gone(0, 50, 100, 5)


def test_scores_of_a_part_are_those_of_that_part() -> None:
    """A network that is always wrong is given up after the first batch; without a limit all is looked at."""
    n = 4 * BATCH
    inputs, labels = np.zeros((n, 1), np.float32), np.zeros(n, np.int64)
    data = EvaluationData(inputs[:2], inputs, labels)

    def wrong(x: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[0.0, 1.0]]).repeat(len(x), 1)

    found = scores_while(wrong, data, Hope(0.5, 0.99))
    assert found.share == 0.25
    assert found.metrics == {"accuracy": 0.0, "loss": pytest.approx(scores(wrong, data)["loss"])}
    assert scores_while(wrong, data, None).share == 1.0


class Noted:
    """An evaluator that keeps what it is asked and answers at once."""

    def __init__(self, accuracies: dict[str, float]) -> None:
        self.least: dict[str, float | None] = {}
        self._accuracies, self._done = accuracies, list[Evaluated]()

    def submit(self, requests: Sequence[Request]) -> None:
        """Answer."""
        for request in requests:
            self.least[request.key] = request.least_accuracy
            self._done.append(Evaluated(request.key, {"accuracy": self._accuracies[request.key], **request.known}))

    def wait(self) -> list[Evaluated]:
        """What is answered."""
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        """Nothing to do."""


def test_the_least_accuracy_is_that_of_who_costs_no_more() -> None:
    """Nothing is asked of the cheapest; of others the best accuracy among those that cost no more."""
    rows = np.array([[2, 0, 0, 2, 0, 0], [3, 0, 0, 2, 0, 2], [3, 3, 3, 3, 3, 3], [3, 0, 0, 3, 0, 0]], np.int16)
    macs = SPACE.costs(rows)["macs"]
    order = np.argsort(macs)
    keys = [f"k{place}" for place in order]
    inner = Noted(dict(zip(keys, (0.5, 0.8, 0.7, 0.9), strict=True)))
    objectives = (Objective(metric="accuracy", direction="max"), Objective(metric="macs", direction="min"))
    evaluator = CuttingEvaluator(inner, SPACE, objectives)
    for key, place in zip(keys, order, strict=True):
        evaluator.submit([Request(key, rows[place])])
        evaluator.wait()
    assert [inner.least[key] for key in keys] == [None, 0.5, 0.8, 0.8]
    guessed = CuttingEvaluator(inner, SPACE, objectives)
    guessed.submit([Request(keys[0], rows[order[0]], {"accuracy": 0.99})])
    guessed.wait()
    guessed.submit([Request(keys[1], rows[order[1]])])
    assert inner.least[keys[1]] is None  # a prediction gives nobody up
    again = CuttingEvaluator(inner, SPACE, objectives, history=[(rows[order[0]], {"accuracy": 0.6})])
    again.submit([Request(keys[3], rows[order[3]])])
    assert inner.least[keys[3]] == 0.6


def test_what_is_not_known_before_leaves_the_bound() -> None:
    """With latency an objective only the bound of accuracy counts, until the latency is known."""
    inner = Noted({"a": 0.95, "b": 0.92})
    row = np.array([3, 0, 0, 2, 0, 2], np.int16)
    objectives = (
        Objective(metric="accuracy", direction="max", bound=0.9),
        Objective(metric="latency_ms@cpu", direction="min"),
    )
    history = [(row, {"accuracy": 0.93, "latency_ms@cpu": 1.0})]
    evaluator = CuttingEvaluator(inner, SPACE, objectives, history=history)
    evaluator.submit([Request("a", row), Request("b", row, {"latency_ms@cpu": 2.0})])
    assert inner.least == {"a": 0.9, "b": 0.93}


def nas(*arguments: object) -> Any:
    """Run a command; what it printed as JSON, or nothing."""
    ran = CliRunner().invoke(app, list(map(str, arguments)))
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout) if "--json" in arguments else None


@pytest.mark.slow
def test_a_job_finds_the_same_front_with_less(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some evaluations are cut short and say what that saved; the front is that of the whole evaluations."""
    monkeypatch.chdir(tmp_path)
    fronts = []
    for name, accuracy in (("whole", {"from": "supernet"}), ("cut", {"from": "supernet", "stop_confidence": 0.99})):
        Path(f"{name}.yaml").write_text(yaml.safe_dump({**JOB, "accuracy": accuracy}))
        nas("run", f"{name}.yaml", "--store", f"sqlite:///{name}.db")
        fronts.append(
            {
                row["key"]: row["accuracy"]
                for row in nas("pareto", "latest", "--json", "--store", f"sqlite:///{name}.db")
            }
        )
    assert fronts[0] == fronts[1]
    rows = nas("show", "latest", "--json", "--store", "sqlite:///cut.db")["evaluations"]
    stopped = [row for row in rows if row["stopped"]]
    assert stopped
    for row in stopped:
        assert "of the validation samples" in row["stopped"]
        assert row["saved_seconds"] > 0
        assert row["key"] not in fronts[1]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"accuracy": {"stop_confidence": 0.99}, "objectives": ["macs"], "data": None}, "no objective"),
        ({"accuracy": {"stop_confidence": 0.99}, "objectives": ["accuracy", "loss"]}, "has no loss"),
        ({"accuracy": {"from": "train", "stop_confidence": 0.99}, "supernet": None}, "train.halving"),
        ({"accuracy": {"stop_confidence": 99.0}}, "must be below 1"),
    ],
    ids=["nothing", "loss", "train", "range"],
)
def test_jobs_that_cannot_be_cut_short(changes: dict[str, Any], message: str) -> None:
    """Told before anything is trained."""
    job = {key: value for key, value in {**JOB, **changes}.items() if value is not None}
    if "data" not in job:
        job.pop("supernet")
    with pytest.raises(JobSpecError, match=message):
        parse_job(job)
