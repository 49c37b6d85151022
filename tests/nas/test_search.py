"""The search loop: budgets are exact, nothing is evaluated twice, a kill changes nothing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nas.evaluation.evaluator import Evaluated, Request
from nas.objectives import Objective
from nas.results import Results
from nas.search import Pace, Search
from nas.strategies.base import Strategy
from nas.strategies.registry import create, strategy
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.space import SearchSpace
from storage.records import JobStatus
from storage.store import ResultStore

OBJECTIVES = (Objective(metric="accuracy", direction="max"), Objective(metric="macs", direction="min"))


def small_space() -> MobileNetV3:
    """A space of a few hundred networks for 8x8 images."""
    return MobileNetV3(
        classes=10,
        channels=1,
        resolutions=(8,),
        widths=(8, 16),
        strides=(1, 2),
        activations=("relu", "h_swish"),
        squeeze_excite=(False, True),
        depths=(1, 2),
        expansions=(2, 3),
        kernels=(3, 5),
        stem_width=8,
        stem_stride=1,
        final_width=16,
        feature_width=16,
    )


class Killed(BaseException):
    """Stands for the end of the process at any moment."""


class ShuffledEvaluator:
    """Answers in random order with a made-up accuracy of the genotype; can die, and can fail evaluations."""

    def __init__(self, space: SearchSpace, seed: int, *, dies_after: int | None = None, fails: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._queue: list[Request] = []
        self._space, self._dies_after, self._fails = space, dies_after, fails
        self.answered: list[str] = []

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests."""
        self._queue.extend(requests)

    def wait(self) -> list[Evaluated]:
        """Answer one or two of them, whichever come first."""
        if self._dies_after is not None and len(self.answered) >= self._dies_after:
            raise Killed
        answers = []
        for _ in range(min(len(self._queue), int(self._rng.integers(1, 3)))):
            request = self._queue.pop(int(self._rng.integers(len(self._queue))))
            self.answered.append(request.key)
            if self._fails and int(request.key[:4], 16) % self._fails == 0:
                answers.append(Evaluated(request.key, error="out of luck"))
            else:
                bumps = np.sin(np.arange(len(request.genotype)) + 3.0 * request.genotype)
                answers.append(Evaluated(request.key, {"accuracy": float(bumps.mean())}))
        return answers

    def close(self) -> None:
        """Nothing to let go of."""


def a_strategy(space: SearchSpace, name: str, seed: int = 3) -> Strategy:
    """A fresh strategy with its default options."""
    return create(strategy(name).options_type(name=name), space, len(OBJECTIVES), seed)


def search(
    store: ResultStore, job_id: str, space: SearchSpace, evaluator: ShuffledEvaluator, pace: Pace, name: str
) -> None:
    """Run the loop for a job under a new lease."""
    job = store.job(job_id)
    lease = store.claim(job_id, "test", dead_fence=job.fence)
    Search(store, lease, space, a_strategy(space, name), OBJECTIVES, evaluator, pace).run()
    store.finish(lease, JobStatus.SUCCEEDED)


def front_of(store: ResultStore, job_id: str) -> set[str]:
    """Keys on the front of a job."""
    results = Results.of(OBJECTIVES, store.evaluations(job_id))
    return {results.evaluations[index].architecture_key for index in results.front}


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    """A fresh SQLite store."""
    return ResultStore(f"sqlite:///{tmp_path}/nas.db")


@pytest.mark.parametrize("name", ["random", "nsga2"])
@pytest.mark.parametrize("pace", [Pace(40, 8, 1), Pace(40, 7, 3), Pace(5, 8, 2)])
def test_budget_is_exact_and_distinct(store: ResultStore, name: str, pace: Pace) -> None:
    """Exactly the budget is evaluated, each architecture once."""
    space, job = small_space(), store.create_job("budget", {})
    search(store, job.id, space, ShuffledEvaluator(space, 0), pace, name)
    keys = [evaluation.architecture_key for evaluation in store.evaluations(job.id)]
    assert len(keys) == pace.evaluations
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", ["random", "nsga2"])
def test_order_of_answers_does_not_matter(store: ResultStore, name: str) -> None:
    """Which worker is faster changes nothing: two runs propose the same in the same order."""
    space = small_space()
    proposals = []
    for seed in (1, 2):
        job = store.create_job(f"order-{seed}", {})
        search(store, job.id, space, ShuffledEvaluator(space, seed), Pace(48, 6, 3), name)
        proposals.append([proposal.architecture_key for proposal in store.proposals(job.id)])
    assert proposals[0] == proposals[1]


@pytest.mark.parametrize("name", ["random", "nsga2"])
def test_kill_and_resume_is_the_undisturbed_run(store: ResultStore, name: str) -> None:
    """Killed again and again, a job ends with the same front, having evaluated nothing that was stored again."""
    space, pace = small_space(), Pace(48, 6, 2)
    undisturbed, killed = store.create_job("whole", {}), store.create_job("killed", {})
    search(store, undisturbed.id, space, ShuffledEvaluator(space, 1, fails=7), pace, name)
    stored: set[str] = set()
    for attempt in range(100):
        evaluator = ShuffledEvaluator(space, attempt, dies_after=1 + attempt % 9, fails=7)
        try:
            search(store, killed.id, space, evaluator, pace, name)
        except Killed:
            assert not stored & set(evaluator.answered)
            stored = {evaluation.architecture_key for evaluation in store.evaluations(killed.id)}
            continue
        break
    assert attempt > 3
    assert store.job(killed.id).evaluated == 48
    assert [p.architecture_key for p in store.proposals(killed.id)] == [
        p.architecture_key for p in store.proposals(undisturbed.id)
    ]
    assert front_of(store, killed.id) == front_of(store, undisturbed.id)


def test_all_of_a_tiny_space(store: ResultStore) -> None:
    """A budget larger than the space ends when the space does."""
    space = MobileNetV3(
        classes=2,
        channels=1,
        resolutions=(8,),
        widths=(8,),
        strides=(1,),
        activations=("relu",),
        squeeze_excite=(False,),
        depths=(1, 2),
        expansions=(2,),
        kernels=(3, 5),
        stem_width=8,
        final_width=8,
        feature_width=8,
    )
    job = store.create_job("tiny", {})
    search(store, job.id, space, ShuffledEvaluator(space, 0), Pace(1000, 8, 2), "nsga2")
    assert store.job(job.id).evaluated == 2 + 4
