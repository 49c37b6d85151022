"""Jobs that predict: what is proposed, how many networks are measured, and what front that gives."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nas.evaluation.evaluator import Evaluated, Evaluator, Request
from nas.evaluation.predicting_evaluator import PredictingEvaluator
from nas.finalists import Finalists
from nas.front import front, hypervolume
from nas.objectives import Objective
from nas.results import Results
from nas.screening import CANDIDATES, ask
from nas.search import Pace, Search
from nas.strategies.base import Strategy
from nas.strategies.registry import create, strategy
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.genotypes import Population
from search_spaces.node_table import COLUMNS, node_table
from storage.records import JobStatus
from storage.store import ResultStore

LATENCY = "latency_ms@npu"
OBJECTIVES = (Objective(metric="macs", direction="max"), Objective(metric=LATENCY, direction="min"))
SPACE = NasBench201(resolution=8, cells=1)
MACS, MOVED = COLUMNS.index("macs"), COLUMNS.index("bytes_moved")


def latency(row: np.ndarray) -> float:
    """A roofline of each operator, in ms, with an overhead."""
    numbers = node_table(SPACE.graph(row)).numbers
    return 1e3 * float((np.maximum(numbers[:, MACS] / 1e9, numbers[:, MOVED] / 2e9) + 2e-6).sum())


class Bench:
    """Measures at once what a roofline says, with some noise.

    Args:
        noise: relative deviation.
        dies_after: measurements.
    """

    def __init__(self, noise: float = 0.0, dies_after: float = math.inf) -> None:
        self.noise, self.dies_after = noise, dies_after
        self.measured: list[str] = []
        self._queue: list[Request] = []

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests."""
        self._queue += requests

    def wait(self) -> list[Evaluated]:
        """Answer all; what is measured a second time has another noise."""
        requests, self._queue = self._queue, []
        done = []
        for request in requests:
            found = dict(request.known)
            if LATENCY not in found:
                if len(self.measured) >= self.dies_after:
                    raise KeyboardInterrupt
                rng = np.random.default_rng([*request.genotype.tolist(), self.measured.count(request.key)])
                found[LATENCY] = latency(request.genotype) * math.exp(self.noise * rng.normal())
                self.measured.append(request.key)
            done.append(Evaluated(request.key, found))
        return done

    def close(self) -> None:
        """Nothing to let go of."""


def searcher(name: str, seed: int = 0, objectives: int = 2, **settings: int) -> Strategy[object]:
    """A strategy of that name."""
    return create(strategy(name).options_type(name=name, **settings), SPACE, objectives, seed)


def job(path: Path, source: str, bench: Bench, evaluations: int, seed: int) -> Results:
    """Search and measure finalists in a store, as a new job or as one that goes on."""
    with ResultStore(f"sqlite:///{path}") as store:
        jobs = store.jobs()
        lease = store.claim(jobs[0].id if jobs else store.create_job("t", {}).id, "test")
        history = [(SPACE.genotype(e.genotype), e.metrics) for e in store.evaluations(lease.job_id)]
        evaluator: Evaluator = bench
        predictor = None
        if source != "measure":
            evaluator = predictor = PredictingEvaluator(
                bench, SPACE, OBJECTIVES, {LATENCY: source}, seed=seed, history=history
            )
        proposing = searcher("nsga2", seed, population=20)
        pace = Pace(evaluations, batch=10)
        try:
            Search(store, lease, SPACE, proposing, OBJECTIVES, evaluator, pace).run()
            Finalists(store, lease, SPACE, OBJECTIVES, bench, [LATENCY], 0.05, predictor=predictor).run()
        except KeyboardInterrupt:
            store.finish(lease, JobStatus.QUEUED)
            raise
        return Results.of(OBJECTIVES, store.evaluations(lease.job_id), store.replications(lease.job_id))


def test_a_job_measures_a_fifth_and_finds_the_front(tmp_path: Path) -> None:
    """With `auto` at least five times fewer networks are measured, for 98 % of the hypervolume at least."""
    found, measured = {}, {}
    for source in ("measure", "auto"):
        bench = Bench(noise=0.03)
        results = job(tmp_path / f"{source}.db", source, bench, 200, seed=1)
        assert len(results.evaluations) == 200
        assert {results.evaluations[place].architecture_key for place in results.front} <= set(bench.measured)
        measured[source] = len(set(bench.measured))
        assert measured[source] == results.spared.get(LATENCY, (200, 0))[0]
        best = [results.evaluations[place] for place in results.front]
        found[source] = np.array([[-e.metrics["macs"], latency(SPACE.genotype(e.genotype))] for e in best])
    both = np.concatenate(list(found.values()))
    low, high = both.min(axis=0), both.max(axis=0)
    volume = {
        source: hypervolume(((each - low) / (high - low))[front(each)], np.full(2, 1.1))
        for source, each in found.items()
    }
    assert measured["auto"] * 5 <= measured["measure"] == 200
    assert volume["auto"] >= 0.98 * volume["measure"]


def test_a_job_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    """Proposals, values and finalists are the same, whenever it was killed."""
    whole = job(tmp_path / "whole.db", "auto", Bench(), 50, seed=2)
    for dies_after in (7, 17):
        with pytest.raises(KeyboardInterrupt):
            job(tmp_path / "killed.db", "auto", Bench(dies_after=dies_after), 50, seed=2)
    again = job(tmp_path / "killed.db", "auto", Bench(), 50, seed=2)
    told = [{each.architecture_key: each.metrics for each in results.evaluations} for results in (whole, again)]
    assert told[0] == told[1]
    keys = [[results.evaluations[place].architecture_key for place in results.front] for results in (whole, again)]
    assert keys[0] == keys[1]


class Sees:
    """Predicts that networks with larger sums of choices are faster."""

    def foreseen(self, population: Population) -> dict[str, np.ndarray]:
        """The latencies."""
        return {LATENCY: 100.0 - population.sum(axis=1)}


def test_the_best_proposals_are_kept() -> None:
    """Those of the best rank stay, and all others are as if they had never been proposed."""
    objectives = (Objective(metric=LATENCY, direction="min", bound=90.0),)
    plain, screened = (searcher("regularized_evolution", objectives=1) for _ in range(2))
    candidates = plain.ask(CANDIDATES * 6)
    kept = ask(screened, 6, SPACE, objectives, Sees())
    assert sorted(kept.sum(axis=1)) == sorted(candidates.sum(axis=1))[-6:]
    np.testing.assert_array_equal(screened.outstanding, kept)
    assert screened.proposed == 6


def test_what_cannot_be_foreseen_is_not_screened() -> None:
    """A sample stays a sample, and where an objective is open nobody chooses."""
    more = (*OBJECTIVES, Objective(metric="accuracy", direction="max"))
    for name, objectives, predictor in (
        ("random", OBJECTIVES, Sees()),
        ("nsga2", OBJECTIVES, None),
        ("nsga2", more, Sees()),
    ):
        first, second = (searcher(name, objectives=len(objectives)) for _ in range(2))
        np.testing.assert_array_equal(ask(first, 6, SPACE, objectives, predictor), second.ask(6))
