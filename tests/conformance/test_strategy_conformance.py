"""What every strategy must do, on every space and number of objectives; runs over the registry."""

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from nas.strategies.base import Strategy
from nas.strategies.gradient import Derived
from nas.strategies.registry import GRADIENT, STRATEGIES, StrategySpec, create, describe
from search_spaces.decision import Condition, Decision
from search_spaces.genotypes import GenotypeSpace, Population

SMALL_POPULATION: dict[str, dict[str, object]] = {
    "nsga2": {"population": 10},
    "regularized_evolution": {"population": 10, "sample": 4},
    "local_search": {"first": 10, "memory": 20},
    "map_elites": {"first": 10, "bins": 4},
    "mcts": {"first": 10, "leaf": 5},
    "bayesian": {"first": 10, "training": 12, "candidates": 20},
    "predictor_assisted": {"first": 10, "training": 12, "generations": 1, "children": 10},
    "bandit": {"first": 10, "block": 4},
    "reinforce": {"first": 10, "block": 4},
}
AGING = {"regularized_evolution"}  # these forget good results, too


def layered() -> GenotypeSpace:
    """About 10^9 genotypes: three stages of one to four layers."""
    decisions = []
    for stage in range(3):
        for layer in range(4):
            depth = (Condition(f"depth_{stage}", tuple(range(layer + 1, 5))),)
            decisions.append(Decision(f"kernel_{stage}_{layer}", (3, 5, 7, 9, 11), depth))
        decisions.append(Decision(f"depth_{stage}", (1, 2, 3, 4)))
    return GenotypeSpace(decisions)


def cells() -> GenotypeSpace:
    """15,625 genotypes without conditions, as large as NAS-Bench-201."""
    return GenotypeSpace([Decision(f"edge_{edge}", ("a", "b", "c", "d", "e")) for edge in range(6)])


def tiny() -> GenotypeSpace:
    """13 genotypes: 1 + 3 + 9."""
    return GenotypeSpace(
        [
            Decision("depth", (0, 1, 2)),
            Decision("first", (3, 5, 7), (Condition("depth", (1, 2)),)),
            Decision("second", (3, 5, 7), (Condition("depth", (2,)),)),
        ]
    )


SPACES = {"layered": layered, "cells": cells, "tiny": tiny}

pytestmark = pytest.mark.parametrize("name", STRATEGIES)
each_space = pytest.mark.parametrize("space_name", SPACES)


class ToyRounds:
    """A differentiable search that needs no training: its logits walk at random, and grow."""

    def __init__(self, space: GenotypeSpace, seed: int) -> None:
        self.space, self.seed = space, seed

    def derived(self, number: int) -> Derived:
        """The same answer whenever it is asked."""
        rng = np.random.default_rng([self.seed, number])
        logits = [0.1 * number * rng.normal(size=len(decision.options)) for decision in self.space.decisions]
        best = np.array([[each.argmax() for each in logits]], np.int16)
        chances = tuple(np.exp(each) / np.exp(each).sum() for each in logits)
        return Derived(self.space.canonical(best)[0], chances, number == 50)


def make(name: str, space: GenotypeSpace, objectives: int = 2, seed: int = 0, **more: Any) -> Strategy[Any]:
    """A strategy with a population that is small enough to breed within a test."""
    options = STRATEGIES[name].options_type.model_validate({"name": name, **SMALL_POPULATION.get(name, {})})
    if name in GRADIENT:
        more["rounds"] = ToyRounds(space, seed)
    return create(options, space, objectives, seed, **more)


def score(space: GenotypeSpace, rows: Population, objectives: int = 2) -> np.ndarray:
    """Conflicting losses: weighted sums of the chosen options with fixed random weights."""
    weights = np.random.default_rng(7).normal(size=(int(space.cardinalities.sum()), objectives))
    return space.encode(rows).astype(np.float64) @ weights


def drive(searcher: Strategy[Any], steps: int, batch: int = 5) -> list[tuple[str, Any]]:
    """Run with one batch always outstanding, every seventh evaluation failing; return the log."""
    log: list[tuple[str, Any]] = []
    waiting: list[Population] = []
    for step in range(steps):
        rows = searcher.ask(batch)
        log.append(("ask", rows))
        waiting.append(rows)
        if step:
            rows = waiting.pop(0)
            losses = score(searcher.space, rows, searcher.objectives)
            losses[rows.sum(axis=1) % 7 == 0] = np.nan
            told = (rows, losses, np.maximum(losses[:, 0], 0))
            searcher.tell(*told)
            log.append(("tell", told))
    return log


@each_space
@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 13])
def test_proposals_are_valid_canonical_and_distinct(name: str, space_name: str, objectives: int, batch: int) -> None:
    """Over a whole search no genotype comes twice, and each is as the space wants it."""
    space = SPACES[space_name]()
    steps = 40 if batch == 1 else 12
    log = drive(make(name, space, objectives), steps, batch)
    rows = np.concatenate([entry for kind, entry in log if kind == "ask"])
    space.validate(rows)
    np.testing.assert_array_equal(space.canonical(rows), rows)
    assert len(set(space.keys(rows).tolist())) == len(rows) == min(steps * batch, space.size())


@each_space
def test_same_seed_and_history_same_proposals(name: str, space_name: str) -> None:
    """Two searches agree with each other, and another seed does not."""
    logs = [drive(make(name, SPACES[space_name](), seed=seed), 20) for seed in (3, 3, 4)]
    asked = [np.concatenate([entry for kind, entry in log if kind == "ask"]) for log in logs]
    np.testing.assert_array_equal(asked[0], asked[1])
    assert not np.array_equal(asked[0], asked[2])


def test_ask_twice_before_a_tell(name: str) -> None:
    """What is outstanding is not proposed again, and is listed in its order until it is told."""
    space = layered()
    searcher = make(name, space)
    first, second = searcher.ask(8), searcher.ask(8)
    both = np.concatenate([first, second])
    assert len(set(space.keys(both).tolist())) == 16
    np.testing.assert_array_equal(searcher.outstanding, both)
    searcher.tell(first[2:], score(space, first[2:]), np.zeros(6))
    np.testing.assert_array_equal(searcher.outstanding, np.concatenate([first[:2], second]))
    assert searcher.proposed == 16


@each_space
def test_replaying_any_prefix_continues_identically(name: str, space_name: str) -> None:
    """After every entry of the log a fresh strategy that is given the prefix goes on as the first did.

    For two batches, or to the end; longer ones follow, for the next prefix holds the first of them.
    """
    space = SPACES[space_name]()
    log = drive(make(name, space), 9)
    for cut in range(len(log)):
        until = len(log) if cut % 6 == 0 else cut + 4
        again = make(name, space)
        for kind, entry in log[:cut]:
            if kind == "ask":
                again.replay(entry)
            else:
                again.tell(*entry)
        for kind, entry in log[cut:until]:
            if kind == "ask":
                np.testing.assert_array_equal(again.ask(5), entry)
            else:
                again.tell(*entry)


@each_space
def test_what_is_withdrawn_was_never_proposed(name: str, space_name: str) -> None:
    """A strategy goes on as one does that replays what was kept; only what is outstanding can be withdrawn."""
    space = SPACES[space_name]()
    first, again = make(name, space), make(name, space)
    for _ in range(3):
        rows = first.ask(9)
        kept = rows[::2]
        first.withdraw(rows[1::2])
        again.replay(kept)
        np.testing.assert_array_equal(first.outstanding, again.outstanding)
        told = score(space, kept, first.objectives), np.zeros(len(kept))
        first.tell(kept, *told)
        again.tell(kept, *told)
        assert first.proposed == again.proposed
    np.testing.assert_array_equal(first.ask(4), again.ask(4))
    with pytest.raises(ValueError, match="can be withdrawn"):
        first.withdraw(kept[:1])


@each_space
def test_replay_does_not_depend_on_grouping(name: str, space_name: str) -> None:
    """All proposals at once and results one by one restore the same strategy, as a store would give them."""
    space = SPACES[space_name]()
    first = make(name, space)
    log = drive(first, 15)
    again = make(name, space)
    for kind, entry in log:
        if kind == "tell":
            for place in range(len(entry[0])):
                again.tell(*(part[place : place + 1] for part in entry))
    again.replay(np.concatenate([entry for kind, entry in log if kind == "ask"]))
    np.testing.assert_array_equal(again.outstanding, first.outstanding)
    np.testing.assert_array_equal(again.ask(7), first.ask(7))


def test_a_thousand_failures_are_tolerated(name: str) -> None:
    """With every evaluation failing the search goes on, and recovers when results come."""
    space = layered()
    searcher = make(name, space)
    for _ in range(10):
        rows = searcher.ask(100)
        assert len(rows) == 100
        searcher.tell(rows, np.full((100, 2), np.nan), np.zeros(100))
    for _ in range(3):
        rows = searcher.ask(10)
        assert len(rows) == 10
        searcher.tell(rows, score(space, rows), np.zeros(10))


@pytest.mark.parametrize("seeded", [False, True])
@each_space
def test_static_bounds_hold_for_every_proposal(name: str, space_name: str, seeded: bool) -> None:
    """A loose bound costs no proposal; the callable may return NaN."""
    space = SPACES[space_name]()
    everything = space.sample(500, np.random.default_rng(0))
    cost = score(space, everything, 4)[:, 3]

    def over(rows: Population) -> np.ndarray:
        amounts = score(space, rows, 4)[:, 3] - np.median(cost)
        return np.where(rows[:, 0] == 1, np.nan, amounts)

    seeds = everything[:20] if seeded else None
    searcher = make(name, space, static_violation=over, seeds=seeds)
    log = drive(searcher, 20)
    rows = np.concatenate([entry for kind, entry in log if kind == "ask"])
    assert (over(rows) <= 0).all()
    allowed = int((over(space.enumerate()) <= 0).sum()) if space.size() < 100_000 else space.size()
    assert len(rows) == min(100, allowed)


def test_a_bound_that_one_in_ten_million_meets_is_met(name: str) -> None:
    """Only nearly smallest networks are allowed: too rare for rejection, so proposals are repaired."""
    space = layered()

    def over(rows: Population) -> np.ndarray:
        return (rows.sum(axis=1) - 3).astype(np.float64)

    rows = np.concatenate([make(name, space, static_violation=over).ask(5), make(name, space).ask(0)])
    assert len(rows) == 5
    assert (over(rows) <= 0).all()


def test_a_bound_that_nothing_meets_ends_with_no_proposal(name: str) -> None:
    """In a small space and in one that cannot be listed."""
    for space in (tiny(), layered()):
        searcher = make(name, space, static_violation=lambda rows: np.ones(len(rows)))
        assert searcher.ask(3).shape == (0, len(space.names))
        assert searcher.ask(3).shape == (0, len(space.names))


def test_exhausting_a_tiny_space_ends(name: str) -> None:
    """All 13 genotypes are proposed, then none, told or not."""
    space = tiny()
    searcher = make(name, space)
    rows = searcher.ask(9)
    searcher.tell(rows, score(space, rows), np.zeros(9))
    rest = searcher.ask(9)
    assert len(rows) == 9
    assert len(rest) == 4
    assert searcher.ask(1).shape == (0, 3)
    searcher.tell(rest, score(space, rest), np.zeros(4))
    assert searcher.ask(1).shape == (0, 3)


def test_known_results_may_be_told_without_asking(name: str) -> None:
    """They count as told, not as proposed, and are not proposed later; telling again is harmless."""
    space = tiny()
    searcher = make(name, space)
    known = space.enumerate()[:6]
    searcher.tell(known, score(space, known), np.zeros(6))
    searcher.tell(known[:1], score(space, known[:1]), np.zeros(1))
    assert searcher.proposed == 0
    assert len(searcher.history) == 7
    rows = searcher.ask(20)
    assert len(rows) == 7
    assert not set(space.keys(rows).tolist()) & set(space.keys(known).tolist())


def test_a_told_genotype_that_is_not_canonical_is_its_canonical_one(name: str) -> None:
    """The same network under another row is not proposed again."""
    space = tiny()
    searcher = make(name, space)
    searcher.tell(np.array([[0, 2, 1]], np.int16), [[1.0, 1.0]], [0.0])
    np.testing.assert_array_equal(searcher.history.genotypes, [[0, 0, 0]])
    assert not (searcher.ask(20) == 0).all(axis=1).any()


def test_bad_calls_are_refused(name: str) -> None:
    """The message says what was given and what is expected; nothing is recorded."""
    space = tiny()
    searcher = make(name, space)
    rows = searcher.ask(2)
    with pytest.raises(ValueError, match=r"losses must have shape \(2, 2\).*got \(2, 3\) and \(2,\)"):
        searcher.tell(rows, np.zeros((2, 3)), np.zeros(2))
    with pytest.raises(ValueError, match=r"violations \(2,\) \(got \(2, 2\) and \(1,\)\)"):
        searcher.tell(rows, np.zeros((2, 2)), np.zeros(1))
    with pytest.raises(ValueError, match="decision 'depth': option index 9"):
        searcher.tell(np.full((1, 3), 9, np.int16), np.zeros((1, 2)), np.zeros(1))
    with pytest.raises(ValueError, match=r"row 1 was proposed before: \{'depth'"):
        searcher.replay(np.concatenate([space.enumerate()[[_unused(space, rows)]], rows[:1]]))
    with pytest.raises(ValueError, match="ask for 0 or more"):
        searcher.ask(-1)
    assert (searcher.proposed, len(searcher.history)) == (2, 0)
    with pytest.raises(ValueError, match="at least one objective"):
        make(name, space, 0)
    with pytest.raises(ValueError, match="must not be negative"):
        make(name, space, seed=-1)
    with pytest.raises(ValueError, match=r"static_violation must return shape \(\d+,\)"):
        make(name, space, static_violation=lambda rows: np.zeros(99_999)).ask(1)
    with pytest.raises(ValueError, match=r"shape \(n, 3\)"):
        make(name, space, seeds=np.zeros((1, 4), np.int16))


def _unused(space: GenotypeSpace, rows: Population) -> int:
    proposed = set(space.keys(rows).tolist())
    return next(i for i, key in enumerate(space.keys(space.enumerate()).tolist()) if key not in proposed)


def test_registered_under_its_name_with_a_line_and_options(name: str) -> None:
    """The spec of a job file chooses it, short or long, and the listing describes it."""
    adapter: TypeAdapter[Any] = TypeAdapter(StrategySpec)
    options = adapter.validate_python(name)
    assert adapter.validate_python({"name": name}) == options
    assert type(options) is STRATEGIES[name].options_type
    rounds = {"rounds": ToyRounds(tiny(), 0)} if name in GRADIENT else {}
    assert isinstance(create(options, tiny(), 1, 0, **rounds), STRATEGIES[name])
    entry = next(entry for entry in describe() if entry["name"] == name)
    assert entry["summary"]
    assert "\n" not in entry["summary"]
    assert all("default" in schema and "description" in schema for schema in entry["options"].values())
    assert name in str(adapter.json_schema())
    with pytest.raises(ValidationError, match=r"(?s)colour.*not permitted"):
        adapter.validate_python({"name": name, "colour": 1})


@pytest.mark.parametrize("feasible", [0, 4, 30])
def test_infeasible_is_never_ranked_above_feasible(name: str, feasible: int) -> None:
    """What the search builds on is feasible first, then by violation, never failed, however good it looks."""
    space = layered()
    searcher = make(name, space)
    rows = searcher.ask(60)
    violations = np.random.default_rng(1).permutation(np.maximum(np.arange(60.0) - feasible + 1, 0))
    losses = np.where(violations[:, None] > 0, -1e9, score(space, rows))
    losses[violations == 7] = np.nan
    searcher.tell(rows, losses, violations)
    built_on = searcher.history.violations[searcher.incumbents]
    assert (np.diff(built_on) >= 0).all()
    assert not (built_on == 7).any()
    if built_on.size and name not in AGING:
        best = np.sort(violations[violations != 7])[: len(built_on)]
        np.testing.assert_array_equal(built_on, best)
