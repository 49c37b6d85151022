"""The end of a job: what is on the front is measured anew, until all that is reported was measured twice.

The best of many noisy measurements look better than they are. So each network of the front is measured again on every
device that runs it, in alternating order, and the front is drawn anew with what came of that, which may bring others
onto it, until nobody on it is new. A value replicates when two measurements in a row agree.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from nas.evaluation.evaluator import Evaluated, Evaluator, Request
from nas.objectives import Objective
from nas.results import Results
from nas.search import measurements
from search_spaces.space import SearchSpace
from storage.records import Evaluation, Lease, Replication
from storage.store import ResultStore

PASSES = 3
"""Times that a finalist is measured anew at most."""


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
    """

    store: ResultStore
    lease: Lease
    space: SearchSpace
    objectives: Sequence[Objective]
    evaluator: Evaluator
    metrics: Sequence[str]
    tolerance: float
    on_result: Callable[[int, int], None] = lambda done, total: None
    _done: int = field(default=0, init=False)

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
        """Who is on the front by the newest values, and was not measured anew yet."""
        results = self._results(proven=False)
        best = [results.evaluations[index] for index in results.front]
        return [each for each in best if each.architecture_key not in results.replications]

    def _results(self, *, proven: bool) -> Results:
        job = self.lease.job_id
        return Results.of(self.objectives, self.store.evaluations(job), self.store.replications(job), proven=proven)

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
        requests = []
        for each in finalists:
            known = {metric: value for metric, value in each.metrics.items() if metric not in self.metrics}
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
