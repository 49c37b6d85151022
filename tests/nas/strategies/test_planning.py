"""Strategies that plan ahead: plans are pure functions of the history, and save asking the models."""

from typing import Any

import numpy as np
import pytest

from nas.strategies.base import Strategy
from nas.strategies.bayesian import Bayesian, BayesianOptions
from nas.strategies.planning import PlanningStrategy
from nas.strategies.predictor_assisted import PredictorAssisted, PredictorAssistedOptions
from search_spaces.decision import Decision
from search_spaces.genotypes import GenotypeSpace, Population

OPTIONS = {
    Bayesian: BayesianOptions(first=5, training=12, candidates=40),
    PredictorAssisted: PredictorAssistedOptions(first=5, training=12, generations=1, children=20),
}

pytestmark = pytest.mark.parametrize("kind", OPTIONS)


def space() -> GenotypeSpace:
    """65,536 genotypes."""
    return GenotypeSpace([Decision(f"d{column}", (0, 1, 2, 3)) for column in range(8)])


def losses(rows: Population) -> np.ndarray:
    """A cost and an error."""
    return np.stack([rows.sum(axis=1), -np.sqrt(rows).sum(axis=1)], axis=1)


def searcher(kind: type[PlanningStrategy[Any]], grain: int) -> tuple[Strategy[Any], list[int]]:
    """A strategy that plans for one in `grain` results, and a list of the lengths of history that its models saw."""
    asked: list[int] = []

    class Counting(kind):  # type: ignore[misc, valid-type]
        def _plan(self, n: int, end: int, *rest: Any) -> Population:
            asked.append(end)
            return super()._plan(n, end, *rest)

    Counting.grain = grain
    return Counting(space(), 2, 0, OPTIONS[kind]), asked


def drive(strategy: Strategy[Any], steps: int) -> list[tuple[str, Population]]:
    """One proposal at a time, told three asks later; returns what happened."""
    log: list[tuple[str, Population]] = []
    waiting: list[Population] = []
    for _ in range(steps):
        waiting.append(strategy.ask(1))
        log.append(("ask", waiting[-1]))
        if len(waiting) > 3:
            rows = waiting.pop(0)
            strategy.tell(rows, losses(rows), np.zeros(1))
            log.append(("tell", rows))
    return log


def test_single_proposals_cost_a_share_of_asking_the_models(kind: type[PlanningStrategy[Any]]) -> None:
    """Of 60 proposals with plans for a quarter of the history only a few ask; without plans every one."""
    planned, asked = searcher(kind, 4)
    log = drive(planned, 60)
    rows = np.concatenate([rows for what, rows in log if what == "ask"])
    assert len(rows) == len(np.unique(rows, axis=0)) == 60
    assert len(asked) < 30
    assert asked[-1] < len(planned.history)
    unplanned, asked = searcher(kind, 1000)
    drive(unplanned, 60)
    assert len(asked) == 55


def test_a_plan_is_restored_by_replay(kind: type[PlanningStrategy[Any]]) -> None:
    """In the midst of a plan a fresh strategy goes on as the first did, though it never asked its models."""
    first, _ = searcher(kind, 4)
    log = drive(first, 48)
    for cut in range(55, len(log), 7):
        again, asked = searcher(kind, 4)
        for what, rows in log[:cut]:
            if what == "ask":
                again.replay(rows)
            else:
                again.tell(rows, losses(rows), np.zeros(1))
        assert not asked
        for what, rows in log[cut:]:
            if what == "ask":
                np.testing.assert_array_equal(again.ask(1), rows)
            else:
                again.tell(rows, losses(rows), np.zeros(1))


def test_what_is_told_from_elsewhere_is_left_out_of_a_plan(kind: type[PlanningStrategy[Any]]) -> None:
    """A result that comes while a plan holds its genotype takes that out; more than a plan holds is asked for anew."""
    strategy, _ = searcher(kind, 4)
    drive(strategy, 43)
    twin, _ = searcher(kind, 4)
    drive(twin, 43)
    known = twin.ask(1)
    strategy.tell(known, losses(known), np.zeros(1))
    rows = np.concatenate([strategy.ask(9), strategy.ask(3)])
    assert len(np.unique(rows, axis=0)) == 12
    assert not (rows == known).all(axis=1).any()
