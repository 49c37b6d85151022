"""Results of a job: what was cut short is no finalist, and what was trained alone comes first."""

from datetime import UTC, datetime

import pytest

from nas.objectives import Objective
from nas.results import NothingFound, Results
from nas.trials.finalists import finalists
from storage.records import Evaluation

OBJECTIVES = [Objective(metric="accuracy", direction="max"), Objective(metric="macs", direction="min", bound=9)]


def evaluation(number: int, accuracy: float, macs: float, stopped: str | None = None, **more: float) -> Evaluation:
    """A made-up evaluation; its key is its number again and again."""
    metrics = {"accuracy": accuracy, "macs": macs, **{name.replace("_at_", "@"): value for name, value in more.items()}}
    key = f"{number:x}" * 64
    return Evaluation(number, key, {}, metrics, None, 1.0, datetime.now(UTC), stopped)


SEARCHED = [
    evaluation(0, 0.9, 8),
    evaluation(1, 0.8, 4),
    evaluation(2, 0.99, 1, stopped="behind others after epoch 1"),
    evaluation(3, 0.95, 10),
    evaluation(4, 0.7, 6),
    evaluation(5, 0.5, 2),
]


def numbers(chosen: list[Evaluation]) -> list[int]:
    """Which they are."""
    return [evaluation.number for evaluation in chosen]


def test_what_was_cut_short_is_no_finalist() -> None:
    """It is on no front, whatever its figures, and it is not exported."""
    results = Results.of(OBJECTIVES, SEARCHED)
    assert numbers([results.evaluations[index] for index in results.front]) == [0, 1, 5]
    assert results.final is results
    assert results.pick("best:accuracy").number == 0
    assert results.pick("knee").number in (0, 1, 5)
    with pytest.raises(NothingFound, match="was cut short: behind others after epoch 1"):
        results.pick("2222")
    assert Results.of(OBJECTIVES, SEARCHED[2:3]).front.size == 0
    assert Results.of(OBJECTIVES, SEARCHED[2:3]).knee is None


def test_finalists_are_chosen() -> None:
    """The front, its knee, or so many of the best: by rank, meeting every bound, whole."""
    results = Results.of(OBJECTIVES, SEARCHED)
    assert numbers(finalists(results, "front")) == [0, 1, 5]
    assert numbers(finalists(results, "knee")) == [results.pick("knee").number]
    assert set(numbers(finalists(results, 3))) == {0, 1, 5}
    assert set(numbers(finalists(results, 100))) == {0, 1, 5, 4}
    assert finalists(Results.of(OBJECTIVES, SEARCHED[3:4]), "knee") == []


def test_trained_networks_are_what_there_is_to_choose_from() -> None:
    """The front is about what they do when they are trained; others can still be named by their key."""
    trained = [
        evaluation(0, 0.9, 8, accuracy_at_trained=0.91),
        evaluation(1, 0.8, 4, accuracy_at_trained=0.93),
        evaluation(5, 0.5, 2, accuracy_at_trained=0.92),
    ]
    results = Results.of(OBJECTIVES, [*trained, SEARCHED[4]])
    final = results.final
    assert [objective.metric for objective in final.objectives] == ["accuracy@trained", "macs"]
    assert final.objectives[1].bound == 9
    assert numbers([final.evaluations[index] for index in final.front]) == [1, 5]
    assert results.pick("best:accuracy").number == results.pick("best:accuracy@trained").number == 1
    assert results.pick("4444").number == 4
    with pytest.raises(ValueError, match="known: accuracy@trained, macs"):
        results.pick("best:params")
