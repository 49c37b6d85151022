"""Jobs that come to nothing end with the reason: all evaluations fail, or no architecture meets the bounds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from nas.driver import Driver, JobFailed
from nas.evaluation.evaluator import Evaluated, Request
from nas.jobspec.spec import JobSpec
from nas.objectives import Objective
from nas.problem import Problem
from nas.progress import Silent
from nas.results import NothingFound, Results
from nas.search import Pace, Search
from nas.strategies.registry import create, strategy
from search_spaces.registry import SPACES
from storage.records import JobStatus
from storage.store import ResultStore

OBJECTIVES = (
    Objective(metric="accuracy", direction="max"),
    Objective(metric="latency_ms@cpu", direction="min", bound=3.0),
)


class Answers:
    """An evaluator that answers all requests at once, the same to each but for a latency that falls."""

    def __init__(self, error: str | None) -> None:
        self._error, self._queue, self._count = error, list[Request](), 0

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests."""
        self._queue.extend(requests)

    def wait(self) -> list[Evaluated]:
        """Answer them."""
        answers = []
        for request in self._queue:
            self._count += 1
            if self._error:
                answers.append(Evaluated(request.key, error=f"{self._error}, number {self._count}"))
            else:
                answers.append(Evaluated(request.key, {"accuracy": 0.5, "latency_ms@cpu": 20.0 - self._count}))
        self._queue.clear()
        return answers

    def close(self) -> None:
        """Nothing to let go of."""


class FakeDriver(Driver):
    """The driver with another evaluator, and without Ray."""

    answers: Answers

    def _work(self) -> None:
        space = SPACES["nasbench201"]()
        searcher = create(strategy("random").options_type(name="random"), space, 2, 0)
        Search(self._store, self._lease, space, searcher, OBJECTIVES, self.answers, Pace(10, 5, 1)).run()


def drive(store: ResultStore, answers: Answers, tmp_path: Path) -> tuple[str, Driver]:
    """A job and its driver."""

    class Spec:
        objectives = OBJECTIVES

    class Problematic:
        spec = cast(JobSpec, Spec())

    job = store.create_job("hopeless", {})
    driver = FakeDriver(store, store.claim(job.id, "test"), cast(Problem, cast(Any, Problematic())), tmp_path, Silent())
    driver.answers = answers
    return job.id, driver


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    """A fresh SQLite store."""
    return ResultStore(f"sqlite:///{tmp_path}/nas.db")


def test_a_job_of_which_every_evaluation_fails_fails(store: ResultStore, tmp_path: Path) -> None:
    """With the first cause and the count; the whole budget was tried."""
    job, driver = drive(store, Answers("no memory"), tmp_path)
    with pytest.raises(JobFailed, match="all 10 evaluations failed; the first: no memory, number 1"):
        driver.run()
    assert store.job(job).status is JobStatus.FAILED
    assert store.job(job).evaluated == 10
    results = Results.of(OBJECTIVES, store.evaluations(job))
    with pytest.raises(NothingFound, match="all 10 evaluations failed; the first: no memory, number 1"):
        results.pick("knee")


def test_without_a_feasible_architecture_the_nearest_is_said(store: ResultStore, tmp_path: Path) -> None:
    """The job ends well, its front is empty, and the nearest one is named with its metrics."""
    job, driver = drive(store, Answers(None), tmp_path)
    results = driver.run()
    assert store.job(job).status is JobStatus.SUCCEEDED
    assert not results.front.size
    assert results.hypervolume == 0
    nearest = min(results.evaluations, key=lambda each: each.metrics["latency_ms@cpu"])
    said = results.why_no_front()
    assert "none of 10 architectures meets the bounds" in said
    assert f"the nearest, {nearest.architecture_key[:12]}, has accuracy 0.5, latency_ms@cpu 10" in said
    with pytest.raises(NothingFound, match="the nearest"):
        results.pick("best:accuracy")
