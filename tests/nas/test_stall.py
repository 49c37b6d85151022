"""Searches whose front grows no more end before their budget, with or without a kill."""

from pathlib import Path

import numpy as np
import pytest

from nas.jobspec.load import load_job
from nas.objectives import Objective
from nas.search import Pace, Search
from nas.stall import Stall
from nas.strategies.registry import create, strategy
from storage.records import JobStatus
from storage.store import ResultStore
from tests.nas.test_search import Killed, ShuffledEvaluator, small_space

OBJECTIVES = (Objective(metric="accuracy", direction="max"), Objective(metric="macs", direction="min"))


def told(stall: Stall, *batches: list[list[float]]) -> list[bool]:
    """Whether it was stalled after each batch of losses without bounds."""
    seen = []
    for batch in batches:
        stall.observe(np.array(batch, np.float64), np.zeros(len(batch)))
        seen.append(stall.stalled)
    return seen


def test_growth_goes_on_and_stands_still() -> None:
    """Two evaluations are looked back; the reference point moves with what is worse."""
    better = [[[3.0, 3.0]], [[2.0, 2.0]], [[1.0, 1.0]]]
    worse = [[[4.0, 4.0]], [[1.0, 5.0]], [[9.0, 9.0]]]
    assert told(Stall(2, 0.01), *better, *worse) == [False, False, False, False, True, True]
    ends = [[[0.0, 1.0]], [[1.0, 0.0]], [[0.5, 0.45]], [[0.5, 0.4]]]  # from a volume of 0.21 to one of 0.51
    assert [told(Stall(2, growth), *ends)[-1] for growth in (0.5, 0.7)] == [False, True]


def test_a_first_feasible_network_is_growth() -> None:
    """Failures and what breaks a bound are no front, and while there is none the search goes on."""
    stall = Stall(2, 0.0)
    for _ in range(3):
        stall.observe(np.array([[np.nan, np.nan], [1.0, 1.0]]), np.array([np.nan, 0.5]))
        assert not stall.stalled
    stall.observe(np.array([[1.0, 1.0]]), np.array([0.0]))
    assert not stall.stalled
    stall.observe(np.array([[2.0, 2.0], [2.0, 3.0]]), np.zeros(2))
    assert stall.stalled


def test_an_objective_that_is_always_the_same_hides_no_growth() -> None:
    """The other one's counts."""
    assert told(Stall(1, 0.0), [[3.0, 7.0]], [[2.0, 7.0]], [[1.0, 7.0]], [[1.0, 7.0]]) == [False, False, False, True]


@pytest.mark.parametrize("in_flight", [1, 2])
@pytest.mark.parametrize("name", ["random", "nsga2"])
def test_a_killed_search_ends_where_the_undisturbed_one_does(tmp_path: Path, name: str, in_flight: int) -> None:
    """Long before its budget, with the same evaluations."""
    space, found = small_space(), []
    for kills in ((), (9, 20)):
        with ResultStore(f"sqlite:///{tmp_path}/{len(kills)}.db") as store:
            job = store.create_job("stall", {})
            for seed, dies_after in enumerate((*kills, None)):
                evaluator = ShuffledEvaluator(space, seed, dies_after=dies_after)
                lease = store.claim(job.id, "test", dead_fence=store.job(job.id).fence)
                options = strategy(name).options_type(name=name)
                search = Search(
                    store,
                    lease,
                    space,
                    create(options, space, len(OBJECTIVES), 3),
                    OBJECTIVES,
                    evaluator,
                    Pace(280, 8, in_flight, Stall(40, 0.02)),
                )
                if dies_after is None:
                    search.run()
                    assert search.end_reason == "its front has grown by no more than 2.00% in the last 40 evaluations"
                    store.finish(lease, JobStatus.SUCCEEDED)
                else:
                    with pytest.raises(Killed):
                        search.run()
            found.append({each.architecture_key for each in store.evaluations(job.id)})
    assert found[0] == found[1]
    assert 40 < len(found[0]) < 280


def test_a_job_asks_for_it(tmp_path: Path) -> None:
    """In its budget; what it leaves out has a default."""
    path = tmp_path / "job.yaml"
    path.write_text(
        "{name: short, space: {name: nasbench201, resolution: 16}, objectives: [macs, params], "
        "strategy: {name: random}, budget: {evaluations: 100, stall: {evaluations: 20}}}"
    )
    stall = load_job(path).budget.stall
    assert stall is not None
    assert (stall.evaluations, stall.growth) == (20, 0.001)
    path.write_text(path.read_text().replace("evaluations: 20", "evaluations: 0"))
    with pytest.raises(ValueError, match=r"budget\.stall\.evaluations"):
        load_job(path)
