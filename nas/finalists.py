"""The end of a job: what is on the front is measured anew, until all that is reported was measured twice.

The best of many noisy measurements look better than they are. So each network of the front is measured again on every
device that runs it, in alternating order, and the front is drawn anew with what came of that, which may bring others
onto it, until nobody on it is new. A value replicates when two measurements in a row agree.

Where values were predicted in the search, those that would add most to the front are measured, a few at a time. The
predictors learn from each few, and all that is not measured is predicted again. What is left on the front unmeasured
when it could hardly add anything, or when a fifth of the job's networks was measured, is not reported, and hides
nothing. A measurement that agrees with what was predicted stands.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nas.evaluation.evaluator import Evaluated, Evaluator, Request
from nas.front import front, hypervolume, normalise
from nas.jobspec.metric_names import LEARNED
from nas.objectives import Objective, deviation
from nas.results import Results
from nas.search import measurements
from search_spaces.genotypes import Population
from search_spaces.space import SearchSpace
from storage.records import Evaluation, Lease, Replication
from storage.store import ResultStore

PASSES = 3
"""Times that a finalist is measured anew at most."""
AT_ONCE = 8
"""Networks with predicted values that are measured until the predictors learn from them."""
LEFT = 0.002
"""The share of the front's hypervolume that networks with predicted values may be left to have."""
MOST, LEAST = 0.19, 12
"""At most this share of all networks is measured in a job that predicts, so that it spares four of five measurements
also where its front is long; but at its end so many with predicted values at least, where there are as many."""
FAR = 4.0
"""Deviations by which a prediction may be wrong."""
CORNER = 1.1
"""The reference point, where the front lies between 0 and 1."""


@runtime_checkable
class Predicts(Protocol):
    """What told values of networks in a search, such as `nas.evaluation.predicting_evaluator.PredictingEvaluator`."""

    def learn(self, genotype: NDArray[np.int16], metrics: Mapping[str, float]) -> None:
        """Take in what was measured."""

    def predicted(self, population: Population, known: Sequence[Mapping[str, float]]) -> dict[str, NDArray[np.float64]]:
        """For each metric that can be predicted, what is predicted of (n, d) genotypes from all that was measured."""


@dataclass(slots=True)
class Finalists:
    """Measures the front of a job anew; what the store has already is not measured again.

    Args:
        store: where results come from and go.
        lease: the right to write for the job.
        space: what was searched.
        objectives: what was wanted.
        evaluator: what measures.
        metrics: those that are measured by running something, such as `latency_ms@cpu`, or that were predicted.
        tolerance: largest relative difference of two measurements that agree.
        on_result: called with how many are done, and how many there are so far.
        predictor: what predicted values in the search; it learns from what is measured now.
    """

    store: ResultStore
    lease: Lease
    space: SearchSpace
    objectives: Sequence[Objective]
    evaluator: Evaluator
    metrics: Sequence[str]
    tolerance: float
    on_result: Callable[[int, int], None] = lambda done, total: None
    predictor: Predicts | None = None
    _done: int = field(default=0, init=False)
    _taught: set[str] = field(default_factory=set, init=False)

    def run(self) -> None:
        """Measure until every network on the front was measured anew."""
        if not self.metrics:
            return
        while candidates := self._candidates():
            self._measure(candidates)
        results = self._results(proven=True)
        self.store.replace_front(
            self.lease, {results.evaluations[i].number: results.losses[i].tolist() for i in results.front}
        )

    def _candidates(self) -> list[Evaluation]:
        """Who is on the front by the newest values, was not measured anew yet, and adds to what was."""
        results = self._results(proven=False)
        replicated = np.array([e.architecture_key in results.replications for e in results.evaluations], np.bool_)
        predicted = np.array([self._is_told(each) for each in results.evaluations], np.bool_)
        told = predicted & ~replicated
        on_front = results.front
        new = on_front[worth_measuring(results.losses[on_front], told[on_front])]
        new = new[: affordable(len(told), int((~told).sum()), int((predicted & replicated).sum()))]
        if not len(new):  # what hides behind a prediction that nobody will check is reported
            whole = np.flatnonzero(
                [known and e.stopped is None for known, e in zip(~told, results.evaluations, strict=True)]
            )
            on_front = whole[front(results.losses[whole], results.violations[whole])]
        again = [index for index in on_front if not (told[index] or replicated[index])]
        return [results.evaluations[int(index)] for index in [*again, *new]]

    def _is_told(self, evaluation: Evaluation) -> bool:
        """Whether a value of an evaluation was predicted in the search."""
        return any(evaluation.metrics.get(deviation(metric), 0.0) > 0 for metric in self.metrics)

    def _results(self, *, proven: bool) -> Results:
        job = self.lease.job_id
        evaluations, anew = self.store.evaluations(job), self.store.replications(job)
        known = Results.of(self.objectives, evaluations, anew, proven=proven)
        return known if proven else self._predicted(known)

    def _predicted(self, known: Results) -> Results:
        """The same, what was predicted in the search being predicted from all that is measured by now."""
        if self.predictor is None:
            return known
        self._teach(known)
        hopeful = self._hopeful(known)
        if not hopeful:
            return known
        rows = np.stack([self.space.genotype(each.genotype) for each in hopeful])
        values = self.predictor.predicted(rows, [each.metrics for each in hopeful])
        newer: dict[str, dict[str, float]] = {each.architecture_key: {} for each in hopeful}
        for metric, column in values.items():
            for each, value in zip(hopeful, column.tolist(), strict=True):
                if each.metrics.get(deviation(metric), 0.0) > 0:
                    newer[each.architecture_key][metric] = value
        evaluations = [
            replace(e, metrics={**e.metrics, **newer.get(e.architecture_key, {})}) for e in known.evaluations
        ]
        anew = [row for rows in known.replications.values() for row in rows.values()]
        return Results.of(self.objectives, evaluations, anew, proven=False)

    def _teach(self, known: Results) -> None:
        """Let the predictors learn from what was predicted in the search and is measured by now."""
        assert self.predictor is not None
        for each in known.evaluations:
            key = each.architecture_key
            if self._is_told(each) and key in known.replications and key not in self._taught:
                measured = {deviation(metric): 0.0 for metric in known.replications[key]}
                self.predictor.learn(self.space.genotype(each.genotype), {**each.metrics, **measured})
                self._taught.add(key)

    def _hopeful(self, known: Results) -> list[Evaluation]:
        """Who has predicted values, and may be on the front if these are wrong by far more than was expected."""
        open_ = np.array([self._is_told(e) and e.architecture_key not in self._taught for e in known.evaluations])
        if not open_.any():
            return []
        off = [[each.metrics.get(deviation(o.metric), 0.0) for o in self.objectives] for each in known.evaluations]
        best = known.losses - FAR * np.array(off)
        measured = known.losses[~open_]
        measured = measured[front(measured, known.violations[~open_])]
        behind = np.array([(measured < row).all(axis=1).any() for row in best], np.bool_)
        return [known.evaluations[place] for place in np.flatnonzero(open_ & ~behind).tolist()]

    def _measure(self, finalists: Sequence[Evaluation]) -> None:
        """Measure some finalists in passes; whose value replicates is done."""
        total = self._done + len(finalists)
        searched = {each.architecture_key: {m: each.metrics[m] for m in self.metrics} for each in finalists}
        before = dict(searched)
        pending = list(finalists)
        for number in range(PASSES):
            if not pending:
                return
            answers = self._pass(pending[:: -1 if number % 2 else 1])
            rows: list[Replication] = []
            for answer in answers:
                found = {metric: answer.metrics.get(metric, math.nan) for metric in self.metrics}
                agree = answer.error is None and all(
                    abs(found[metric] - before[answer.key][metric]) <= self.tolerance * abs(before[answer.key][metric])
                    for metric in self.metrics
                )
                if agree or number == PASSES - 1:
                    rows += self._rows(answer, found, searched[answer.key], agree, number + 1)
                before[answer.key] = found
            done = {row.architecture_key for row in rows}
            self.store.add_measurements(self.lease, [row for answer in answers for row in measurements(answer)])
            self.store.add_replications(self.lease, rows)
            pending = [each for each in pending if each.architecture_key not in done]
            self._done += len(done)
            self.on_result(self._done, total)

    def _pass(self, finalists: Sequence[Evaluation]) -> list[Evaluated]:
        """Measure some networks once; nothing but what runs them is asked."""
        asked = set(self.metrics)
        if not asked.isdisjoint(LEARNED):  # accuracy and loss come of one evaluation; who knows one makes none
            asked.update(LEARNED)
        requests = []
        for each in finalists:
            known = {metric: value for metric, value in each.metrics.items() if metric not in asked}
            requests.append(Request(each.architecture_key, np.asarray(self.space.genotype(each.genotype)), known))
        self.evaluator.submit(requests)
        answers: list[Evaluated] = []
        while len(answers) < len(requests):
            answers += self.evaluator.wait()
        return answers

    def _rows(
        self, answer: Evaluated, found: dict[str, float], searched: dict[str, float], stable: bool, passes: int
    ) -> list[Replication]:
        rows = []
        for metric in self.metrics:
            measured = answer.measurements.get(metric.rpartition("@")[2])
            statistics = {**(measured.summary() if measured else {"error": answer.error}), "passes": passes}
            rows.append(Replication(answer.key, metric, found[metric], searched[metric], stable, statistics))
        return rows


def affordable(networks: int, measured: int, finalists: int) -> int:
    """How many networks with predicted values may be measured yet.

    Args:
        networks: all of the job.
        measured: those that were measured by now.
        finalists: those of them that had predicted values in the search.
    """
    return max(int(MOST * networks) - measured, LEAST - finalists, 0)


def worth_measuring(losses: NDArray[np.float64], told: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Who of a front is measured next: the few with predicted values that add most to those with measured ones.

    Args:
        losses: (n, m), all of the front.
        told: (n,) whose values were predicted.

    Returns:
        Indices of `AT_ONCE` at most; none when all that were predicted add no more than `LEFT` of the hypervolume.
    """
    scaled, corner = normalise(losses), np.full(losses.shape[1], CORNER)
    whole = hypervolume(scaled, corner)
    kept, left = scaled[~told], np.flatnonzero(told).tolist()
    chosen: list[int] = []
    reached = hypervolume(kept, corner)
    while left and len(chosen) < AT_ONCE and reached < (1 - LEFT) * whole:
        volumes = [hypervolume(np.vstack([kept, scaled[place]]), corner) for place in left]
        best = int(np.argmax(volumes))
        reached = volumes[best]
        chosen.append(left.pop(best))
        kept = np.vstack([kept, scaled[chosen[-1]]])
    return np.array(chosen, np.intp)
