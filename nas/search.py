"""The search loop: the strategy proposes, the evaluator answers, the store remembers, the strategy is told."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from nas.evaluation.evaluator import Evaluated, Evaluator, Request
from nas.front import feasible
from nas.objectives import Objective, losses, violations
from nas.screening import ask
from nas.stall import Stall
from nas.strategies.base import Strategy
from nas.wall_time import out_of_time
from search_spaces.costs.static import costs
from search_spaces.genotypes import Population
from search_spaces.space import SearchSpace
from storage.records import Architecture, Device, Lease, Measurement, Outcome
from storage.store import ResultStore


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is asked for and when.

    Batch k is asked for exactly when batch k - `in_flight` has been told, so what a strategy knows when it
    proposes does not depend on how long anything took.

    Attributes:
        evaluations: distinct architectures to evaluate in all.
        batch: proposals asked for at once.
        in_flight: batches that may be outstanding.
        stall: what ends the search earlier; None for nothing.
        wall_seconds: how long drivers may have run the job when a batch is asked for; None for ever.
        device_seconds: how long devices may have been busy with its evaluations then; None for ever.
    """

    evaluations: int
    batch: int
    in_flight: int = 1
    stall: Stall | None = None
    wall_seconds: float | None = None
    device_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class _Batch:
    """Proposals that belong together, (n, d) and the key of each."""

    genotypes: Population
    keys: list[str]


@dataclass(slots=True)
class Search:
    """One search, new or continued: both are the same loop.

    What the store has of the job is the history: recorded proposals are replayed instead of asked for, and
    recorded evaluations are told instead of made. So a search that was killed at any moment goes on as if it
    had not been.

    Args:
        store: where results go and come from.
        lease: the right to write for the job.
        space: what is searched.
        strategy: what proposes; fresh.
        objectives: what is wanted.
        evaluator: what answers.
        pace: how much is asked for and when.
        devices: those that measurements may come from and that are not in the store yet, by fingerprint.
        fingerprints: for each metric whose measurements by other jobs are taken over, the fingerprints of its device
            under the settings that may be searched.
        on_result: called with the number of evaluations so far, when some were stored.

    Attributes:
        end_reason: why nothing more was asked for; empty while it goes on.
    """

    store: ResultStore
    lease: Lease
    space: SearchSpace
    strategy: Strategy[Any]
    objectives: Sequence[Objective]
    evaluator: Evaluator
    pace: Pace
    fingerprints: Mapping[str, Sequence[str]] = field(default_factory=dict)
    devices: Mapping[str, Device] = field(default_factory=dict)
    on_result: Callable[[int], None] = lambda count: None
    end_reason: str = field(default="", init=False)
    _costs: dict[str, dict[str, float]] = field(default_factory=dict, init=False)  # of everything proposed
    _submitted: set[str] = field(default_factory=set, init=False)
    _results: dict[str, dict[str, float]] = field(default_factory=dict, init=False)  # empty where failed
    _seen: set[str] = field(default_factory=set, init=False)
    _batches: int = field(default=0, init=False)
    _device_seconds: float = field(default=0.0, init=False)

    def run(self) -> None:
        """Search until the budget is spent, the front grows no more or the strategy has nothing new to propose.

        Whatever ends it, what was proposed before is evaluated.
        """
        for evaluation in self.store.evaluations(self.lease.job_id):
            self._results[evaluation.architecture_key] = {} if evaluation.error else evaluation.metrics
            self._device_seconds += evaluation.device_seconds
        self._submitted.update(self._results)
        self.on_result(len(self._results))
        recorded = deque(self._recorded())
        outstanding: deque[_Batch] = deque()
        while True:
            while len(outstanding) < self.pace.in_flight:
                batch = self._replay(recorded.popleft()) if recorded else self._ask()
                if batch is None:
                    break
                self._submit(batch)
                outstanding.append(batch)
            if not outstanding:
                return
            while not self._results.keys() >= set(outstanding[0].keys):
                self._remember(self.evaluator.wait())
            self._tell(outstanding.popleft())

    def _recorded(self) -> Iterator[Population]:
        proposals = self.store.proposals(self.lease.job_id)
        for _, batch in groupby(proposals, key=lambda proposal: proposal.batch):
            yield np.stack([self.space.genotype(proposal.genotype) for proposal in batch])

    def _replay(self, genotypes: Population) -> _Batch:
        self.strategy.replay(genotypes)
        return self._identify(genotypes)

    def _ask(self) -> _Batch | None:
        """The next new batch, recorded before anybody works on it; None when there is nothing more to do."""
        self.end_reason = self._spent()
        if self.end_reason:
            return None
        wanted = min(self.pace.batch, self.pace.evaluations - len(self._costs))
        genotypes = ask(self.strategy, wanted, self.space, self.objectives, self.evaluator)
        if not len(genotypes):
            self.end_reason = "the strategy has nothing new to propose"
            return None
        batch = self._identify(genotypes)
        architectures = [
            Architecture(key, self.space.name, dict(self.space.choices(row)), self._costs[key])
            for key, row in zip(batch.keys, genotypes, strict=True)
        ]
        self.store.add_proposals(self.lease, self._batches - 1, architectures)
        return batch

    def _spent(self) -> str:
        """What ends the search now, in words; nothing while it goes on."""
        pace = self.pace
        if len(self._costs) >= pace.evaluations:
            return f"its {pace.evaluations:,} evaluations are made"
        if pace.stall is not None and pace.stall.stalled:
            return pace.stall.reason
        if reason := out_of_time(self.store, self.lease, pace.wall_seconds):
            return reason
        if pace.device_seconds is not None and self._device_seconds >= pace.device_seconds:
            return (
                f"devices were busy for {self._device_seconds:.1f} s, and its budget is a device time of "
                f"{pace.device_seconds:g} s"
            )
        return ""

    def _identify(self, genotypes: Population) -> _Batch:
        """Two genotypes that build the same network have the same key, and are evaluated once."""
        keys = []
        for row in genotypes:
            graph = self.space.graph(row)
            key = self.space.key(row, graph)
            self._costs[key] = costs(graph)
            keys.append(key)
        self._batches += 1
        return _Batch(genotypes, keys)

    def _submit(self, batch: _Batch) -> None:
        """Have evaluated what is neither known nor under way; what other jobs measured is not measured again."""
        new = {key: row for key, row in zip(batch.keys, batch.genotypes, strict=True) if key not in self._submitted}
        self._submitted.update(new)
        known: dict[str, dict[str, float]] = {key: {} for key in new}
        for metric, fingerprints in self.fingerprints.items():
            for key, measurement in self.store.measurements(new, fingerprints, metric).items():
                known[key][metric] = measurement.value
        self.evaluator.submit([Request(key, row, known[key]) for key, row in new.items()])

    def _remember(self, answers: Sequence[Evaluated]) -> None:
        """Store what came back; only then may the strategy hear of it."""
        for fingerprint in {each.fingerprint for answer in answers for each in answer.measurements.values()}:
            if fingerprint in self.devices and fingerprint not in self._seen:
                self.store.add_device(self.devices[fingerprint])
                self._seen.add(fingerprint)
        outcomes = self._outcomes(answers)
        measured = [row for answer in answers for row in measurements(answer)]
        self.store.add_evaluations(self.lease, outcomes, measured)
        for outcome in outcomes:
            self._results[outcome.architecture_key] = {} if outcome.error else dict(outcome.metrics)
            self._device_seconds += outcome.device_seconds
        self.on_result(len(self._results))

    def _outcomes(self, answers: Sequence[Evaluated]) -> list[Outcome]:
        """What is stored of answers, with the losses of those that may be on the front."""
        found = [{**self._costs[answer.key], **answer.metrics} for answer in answers]
        whole = [answer.error is None and answer.stopped is None for answer in answers]
        known = [metrics if good else {} for metrics, good in zip(found, whole, strict=True)]
        values = {o.metric: np.array([each.get(o.metric, np.nan) for each in known]) for o in self.objectives}
        lost = losses(self.objectives, values)
        joins = feasible(lost, violations(self.objectives, values))
        return [
            Outcome(
                each.key, metrics, each.error, each.seconds, each.stopped, row if joining else None, each.device_seconds
            )
            for each, metrics, row, joining in zip(answers, found, lost.tolist(), joins, strict=True)
        ]

    def _tell(self, batch: _Batch) -> None:
        """Tell a whole batch, in the order of proposing; a failed evaluation is NaN."""
        metrics = {
            objective.metric: np.array([self._results[key].get(objective.metric, np.nan) for key in batch.keys])
            for objective in self.objectives
        }
        told = losses(self.objectives, metrics), violations(self.objectives, metrics)
        self.strategy.tell(batch.genotypes, *told)
        if self.pace.stall is not None:
            self.pace.stall.observe(*told)


def measurements(answer: Evaluated) -> Iterator[Measurement]:
    """What devices measured of an architecture, one row for each metric, as the store keeps it."""
    for device, measured in answer.measurements.items():
        for metric, value in measured.metrics.items():
            yield Measurement(
                answer.key,
                measured.fingerprint,
                f"{metric}@{device}",
                value,
                measured.device,
                measured.summary(),
                measured.samples_ms.tolist() if metric == "latency_ms" else [],
            )
