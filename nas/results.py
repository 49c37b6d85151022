"""What a job has found: its evaluations as arrays, its front, and the point that a user picks on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.front import front, hypervolume, knee, nearest, normalise, usable
from nas.objectives import Objective, deviation, losses, violations
from storage.records import Evaluation, Job, JobStatus, Replication
from storage.store import ResultStore


class NothingFound(ValueError):
    """A job has no evaluation that could be picked."""


@dataclass(frozen=True, slots=True)
class Results:
    """Evaluations of a job seen through its objectives.

    Attributes:
        objectives: the m objectives.
        evaluations: the n evaluations, in the order in which they were stored, with metrics that were measured anew
            in the place of those that the search went by.
        values: (n, m) metric values, NaN where an evaluation failed.
        losses: (n, m), to be minimised.
        violations: (n,), 0 where all bounds hold.
        front: (k,) indices of the feasible evaluations that no other dominates, by the first objective; of a job
            whose finalists were measured anew, only these are considered. One that was cut short is never among them.
        replications: architecture key -> metric -> how that was measured anew.
    """

    objectives: Sequence[Objective]
    evaluations: Sequence[Evaluation]
    values: NDArray[np.float64]
    losses: NDArray[np.float64]
    violations: NDArray[np.float64]
    front: NDArray[np.intp]
    replications: Mapping[str, Mapping[str, Replication]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        objectives: Sequence[Objective],
        evaluations: Sequence[Evaluation],
        replications: Sequence[Replication] = (),
        *,
        proven: bool = True,
    ) -> "Results":
        """See the evaluations through the objectives.

        Args:
            objectives: the m objectives.
            evaluations: what the search found.
            replications: what was measured anew.
            proven: whether only what was measured anew may be on the front, once there is any.
        """
        anew: dict[str, dict[str, Replication]] = {}
        for row in replications:
            anew.setdefault(row.architecture_key, {})[row.metric] = row
        evaluations = [
            replace(each, metrics={**each.metrics, **{name: row.value for name, row in found.items()}})
            if (found := anew.get(each.architecture_key))
            else each
            for each in evaluations
        ]
        rows = [[np.nan if e.error else e.metrics.get(o.metric, np.nan) for o in objectives] for e in evaluations]
        values = np.array(rows, np.float64).reshape(len(evaluations), len(objectives))
        metrics = {objective.metric: values[:, i] for i, objective in enumerate(objectives)}
        lost, broken = losses(objectives, metrics), violations(objectives, metrics)
        whole = [each.stopped is None for each in evaluations]
        known = [not (anew and proven) or each.architecture_key in anew for each in evaluations]
        allowed = np.flatnonzero(np.array(whole, np.bool_) & np.array(known, np.bool_))
        best = allowed[front(lost[allowed], broken[allowed])]
        return cls(objectives, evaluations, values, lost, broken, best, anew)

    @classmethod
    def load(cls, store: ResultStore, job: Job, *, front_alone: bool = False) -> "Results":
        """See what a store has of a job.

        Args:
            store: where the job is.
            job: what is seen, through the objectives of its spec.
            front_alone: whether its front will do, where the store keeps it: quick, however much was found.
        """
        objectives = [Objective(**given) for given in job.spec["objectives"]]
        proven, replications = job.status is JobStatus.SUCCEEDED, store.replications(job.id)
        # While finalists are measured anew or trained, the front that is kept is still that of the search.
        kept = front_alone and (proven or not (replications or store.trainings(job.id)))
        evaluations = (store.front(job.id) if kept else []) or store.evaluations(job.id)
        return cls.of(objectives, evaluations, replications, proven=proven)

    @property
    def final(self) -> "Results":
        """What there is to choose from: the networks that were trained alone, where there are any, else everything.

        The objectives are then about what the trained networks do, such as `accuracy@trained`.
        """
        renamed: dict[str, dict[str, Any]] = {}
        for objective in self.objectives:
            own: dict[str, Any] = {"metric": f"{objective.metric}@trained"}
            if objective.metric.startswith("zero_cost@") and all(o.metric != "accuracy" for o in self.objectives):
                own = {"metric": "accuracy@trained", "direction": "max", "bound": None}  # what the score stood for
            there = any(own["metric"] in each.metrics for each in self.evaluations)
            if there and own not in renamed.values():
                renamed[objective.metric] = own
        if not renamed:
            return self
        names = [own["metric"] for own in renamed.values()]
        trained = [each for each in self.evaluations if all(name in each.metrics for name in names)]
        objectives = [o.model_copy(update=renamed.get(o.metric)) for o in self.objectives]
        anew = [row for found in self.replications.values() for row in found.values()]
        return Results.of(objectives, trained, anew, proven=False)

    @property
    def unstable(self) -> list[Evaluation]:
        """Evaluations of the front whose values did not replicate when they were measured anew."""
        return [each for index in self.front if self.stable(each := self.evaluations[index]) is False]

    def stable(self, evaluation: Evaluation) -> bool | None:
        """Whether what was measured anew of an evaluation agreed; None where nothing was."""
        anew = self._anew(evaluation)
        return all(row.stable for row in anew.values()) if anew else None

    @property
    def failed(self) -> list[Evaluation]:
        """Evaluations that gave no complete result."""
        return [e for e, good in zip(self.evaluations, usable(self.losses), strict=True) if not good]

    @property
    def spared(self) -> dict[str, tuple[int, int]]:
        """For each metric that a predictor told of some networks, how many were measured and for how many it stood.

        A network whose metric was predicted in the search and that was measured at its end counts as measured.
        """
        found = {}
        for metric in (objective.metric for objective in self.objectives):
            told = [
                each.metrics[deviation(metric)] > 0 and metric not in self._anew(each)
                for each in self.evaluations
                if deviation(metric) in each.metrics
            ]
            if told:
                found[metric] = (len(told) - sum(told), sum(told))
        return found

    @property
    def knee(self) -> int | None:
        """Index of the balanced choice on the front; None when the front is empty."""
        nearest_to_ideal = knee(self.losses[self.front])
        return None if nearest_to_ideal is None else int(self.front[nearest_to_ideal])

    @property
    def hypervolume(self) -> float:
        """Share of the box between the best and the worst values of this job that its front dominates."""
        if not self.front.size:
            return 0.0
        scaled = normalise(self.losses)
        return hypervolume(scaled[self.front], np.full(len(self.objectives), 1.0 + 1e-9))

    def rows(self, indices: Sequence[int] | NDArray[np.intp]) -> list[dict[str, Any]]:
        """Key, every metric, genotype and, where it was measured anew, stability of evaluations, as plain values."""
        chosen = [self.evaluations[index] for index in indices]
        return [
            {
                "key": each.architecture_key,
                **self._metrics(each),
                "stable": self.stable(each),
                "searched": {name: row.searched for name, row in self._anew(each).items()},
                "genotype": each.genotype,
            }
            for each in chosen
        ]

    def pick(self, how: str) -> Evaluation:
        """The evaluation that `how` names: `knee`, `best:METRIC`, or the beginning of an architecture's key.

        Knee and best are those of `final`.

        Raises:
            NothingFound: no evaluation meets the bounds; the message names the nearest.
            ValueError: `how` is none of these, names an unknown metric or key, or a key that is ambiguous.
        """
        if how == "knee" or how.startswith("best:"):
            final = self.final
            if not final.front.size:
                raise NothingFound(final.why_no_front())
            index = final.knee if how == "knee" else final._best(how.removeprefix("best:"))
            assert index is not None
            return final.evaluations[index]
        found = [e for e in self.evaluations if len(how) >= 4 and e.architecture_key.startswith(how.lower())]
        if len(found) != 1:
            raise ValueError(
                f"pick {how!r} is {'ambiguous' if found else 'not known'}; allowed: knee, best:METRIC with one of "
                f"{', '.join(o.metric for o in self.objectives)}, or at least 4 digits of the key of one architecture"
            )
        if found[0].error:
            raise NothingFound(f"the evaluation of {found[0].architecture_key} failed: {found[0].error}")
        if found[0].stopped:
            raise NothingFound(f"the training of {found[0].architecture_key} was cut short: {found[0].stopped}")
        return found[0]

    def _best(self, metric: str) -> int:
        names = [objective.metric for objective in self.objectives]
        metric = f"{metric}@trained" if metric not in names and f"{metric}@trained" in names else metric
        if metric not in names:
            raise ValueError(f"pick 'best:{metric}': {metric!r} is not an objective; known: {', '.join(names)}")
        return int(self.front[self.losses[self.front, names.index(metric)].argmin()])

    def why_no_front(self) -> str:
        """Why the front is empty: with the cause of the first failure, or what came nearest to the bounds."""
        if not len(self.evaluations):
            return "the job has no evaluation yet"
        index = nearest(self.losses, self.violations)
        if index is None:
            return f"all {len(self.evaluations)} evaluations failed; the first: {self.evaluations[0].error}"
        near = self.evaluations[index]
        told = ", ".join(f"{o.metric} {near.metrics[o.metric]:.6g}" for o in self.objectives)
        return (
            f"none of {len(self.evaluations)} architectures meets the bounds; "
            f"the nearest, {near.architecture_key[:12]}, has {told}"
        )

    def _anew(self, evaluation: Evaluation) -> Mapping[str, Replication]:
        return self.replications.get(evaluation.architecture_key, {})

    def _metrics(self, evaluation: Evaluation) -> dict[str, float]:
        first = [objective.metric for objective in self.objectives]
        rest = sorted(set(evaluation.metrics) - set(first))
        return {name: evaluation.metrics.get(name, float("nan")) for name in (*first, *rest)}
