"""Runs a job from wherever it stands to its end: train the supernet, search, end."""

import os
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.cluster import ClusterUnfit, joined_cluster, local_cluster, ray
from nas.differentiable.device_costs import measured_costs
from nas.differentiable.rounds import StoredRounds
from nas.evaluation.evaluator import Evaluator, RayEvaluator
from nas.finalists import Finalists, Predicts
from nas.gradient_search import gradient_plan
from nas.job_devices import DeviceSilent, JobDevices
from nas.job_evaluators import measuring_evaluator, sparing_evaluator
from nas.jobspec.metric_names import LEARNED
from nas.jobspec.spec import JobSpec
from nas.lease_owner import held
from nas.problem import Problem
from nas.progress import Progress
from nas.results import Results
from nas.search import Pace, Search
from nas.stall import Stall
from nas.strategies.base import Strategy
from nas.supernet_training import step_threads, trained_weights, training_device
from nas.wall_time import OutOfTime
from search_spaces.gradient.plan import GradientPlan
from search_spaces.supernet.weights import SupernetWeights
from storage.errors import LeaseLost, StoreFailed, StoreUnreachable
from storage.records import JobStatus, Lease, TrainingStatus
from storage.store import ResultStore

if TYPE_CHECKING:
    from nas.trials.trainings import Trainings

# Ray Tune and the predictors are imported where a job needs them: each of them takes as long as all else beside torch.

_OUTAGE_SECONDS = 300.0
"""How long a driver waits for a store whose server went away."""

_LOOK_SECONDS = 1.0


class JobFailed(RuntimeError):
    """The job could be run and came to nothing; the message is its cause."""


class JobInterrupted(RuntimeError):
    """What the job runs on was lost, which is not the job's fault; it waits. The message is what was lost."""


class Driver:
    """The one process that runs a job.

    Everything it needs to go on after a kill is in the store and, for the supernet, in the artifact folder.

    Args:
        store: the result store.
        lease: the right to write for the job; given back or ended by `run`.
        problem: what is searched.
        folder: where the artifacts of the store's jobs lie.
        progress: who is told where it stands.
        address: of a Ray cluster that runs already; a local one is started if not given.
    """

    def __init__(
        self,
        store: ResultStore,
        lease: Lease,
        problem: Problem,
        folder: Path,
        progress: Progress,
        address: str | None = None,
    ) -> None:
        self._store = store
        self._lease = lease
        self._problem = problem
        self._folder = folder / lease.job_id
        self._progress = progress
        self._address = address
        self._end_reason = ""

    @property
    def _spec(self) -> JobSpec:
        return self._problem.spec

    def run(self) -> Results:
        """Run the job to its end.

        Raises:
            JobFailed: every evaluation failed, or something broke; the job is FAILED with the cause.
            JobInterrupted: the Ray cluster was lost; the job is QUEUED again and can be resumed.
            LeaseLost: the job was cancelled or taken over; nothing was written after that.
            StoreFailed: the store took no more, its disk being full, say, or was away for longer than a driver waits;
                what it has is sound, and the job can be resumed.
            KeyboardInterrupt: the job is QUEUED again and can be resumed.
        """
        with held(self._store, self._lease):
            while True:
                try:
                    return self._run()
                except StoreUnreachable as error:  # then it begins where the store is, as a resumed job does
                    self._progress.say(f"{error}; the driver waits for it, for at most {_OUTAGE_SECONDS:g} s")
                    if self._has_ended_meanwhile():
                        return self._results()

    def _has_ended_meanwhile(self) -> bool:
        """Wait until the store answers; whether the job is done, by a change whose answer was lost.

        Raises:
            StoreUnreachable: it does not come back.
            LeaseLost: the job is not ours any more.
        """
        deadline = time.monotonic() + _OUTAGE_SECONDS
        while True:
            try:
                job = self._store.job(self._lease.job_id)
                if job.fence == self._lease.fence and job.status is JobStatus.SUCCEEDED:
                    return True
                self._store.heartbeat(self._lease)
                return False
            except StoreUnreachable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_LOOK_SECONDS)

    def _run(self) -> Results:
        try:
            self._work()
            results = self._results()
            if not results.evaluations:
                raise JobFailed(f"nothing was evaluated: {self._end_reason}")
            if len(results.failed) == len(results.evaluations):
                first = results.evaluations[0].error
                raise JobFailed(f"all {len(results.evaluations)} evaluations failed; the first: {first}")
            final = results.final
            best = {final.evaluations[row].number: final.losses[row].tolist() for row in final.front}
            self._store.replace_front(self._lease, best)
            self._store.finish(self._lease, JobStatus.SUCCEEDED, end_reason=self._end_reason)
            return results
        except (LeaseLost, StoreFailed):
            raise
        except KeyboardInterrupt:
            with suppress(StoreFailed):  # then the lease ends by itself
                self._store.finish(self._lease, JobStatus.QUEUED)
            raise
        except ClusterUnfit as error:
            self._store.finish(self._lease, JobStatus.QUEUED, str(error))
            raise JobInterrupted(str(error)) from error
        except Exception as error:
            explained = isinstance(error, JobFailed | DeviceSilent | OutOfTime)
            cause = str(error) if explained else f"{type(error).__name__}: {error}"
            self._store.finish(self._lease, JobStatus.FAILED, cause)
            raise JobFailed(cause) from error

    def _results(self) -> Results:
        job = self._lease.job_id
        return Results.of(self._spec.objectives, self._store.evaluations(job), self._store.replications(job))

    def _work(self) -> None:
        devices = JobDevices(self._problem)
        threads = 0 if self._problem.gradient_options is None else step_threads(self._problem)
        cpus = max(self._spec.execution.workers, os.cpu_count() or 1) + threads
        with self._cluster(cpus, devices):
            devices.ask()
            for fingerprint in dict.fromkeys(devices.fingerprints.values()):
                self._store.add_device(devices.described[fingerprint])
            plan = self._plan(devices)
            weights = self._weights()
            if plan is None:
                self._search(self._problem.strategy(), weights, devices)
            else:
                self._search_by_rounds(plan, threads, weights, devices)
            if self._spec.train is not None and not self._spec.trains_in_search:
                self._train_finalists(weights)

    def _cluster(self, cpus: int, devices: JobDevices) -> AbstractContextManager[None]:
        if self._address is None:
            return local_cluster(cpus, list(devices.sections))
        return joined_cluster(self._address, devices.on_nodes)

    def _search_by_rounds(
        self, plan: GradientPlan, threads: int, weights: SupernetWeights | None, devices: JobDevices
    ) -> None:
        rounds = StoredRounds(self._store, self._lease, self._problem, plan, self._folder, threads, self._progress)
        try:
            strategy = self._problem.strategy(rounds, plan.violation(self._problem.space))
            self._search(strategy, weights, devices)
        finally:
            rounds.close()

    def _plan(self, devices: JobDevices) -> GradientPlan | None:
        """The differentiable search of the job, with the costs of its device; None for another strategy.

        Raises:
            ValueError: a budget that is out of reach on the device.
        """
        problem, options = self._problem, self._problem.gradient_options
        if options is None:
            return None
        costs = problem.known_costs
        if options.cost is not None and costs is None:
            costs = measured_costs(
                self._store,
                self._lease,
                problem,
                self._folder,
                devices.sections,
                devices.fingerprints,
                self._progress,
            )
        plan = gradient_plan(self._spec, options, costs)
        plan.term(problem.space)
        return plan

    def _weights(self) -> SupernetWeights | None:
        """The trained supernet's weights; None when none is needed, or they come with the space."""
        if self._spec.supernet is None or not self._problem.space.trained_here:
            return None
        return trained_weights(self._store, self._lease, self._problem, self._folder, self._progress)

    def _search(self, strategy: Strategy[Any], weights: SupernetWeights | None, devices: JobDevices) -> None:
        spec, problem = self._spec, self._problem
        # Rounds learn nothing from evaluations, and a timing on the host must not run beside one.
        in_flight = spec.execution.in_flight if problem.gradient_options is None else 1
        measuring = measuring_evaluator(problem, weights, devices)
        if spec.trains_in_search:
            evaluator = self._training(measuring, weights, devices)
        else:
            evaluator = sparing_evaluator(problem, measuring, self._store, self._lease.job_id)
        budget = spec.budget
        stall = None if budget.stall is None else Stall(budget.stall.evaluations, budget.stall.growth)
        pace = Pace(
            budget.evaluations, spec.execution.batch, in_flight, stall, budget.wall_seconds, budget.device_seconds
        )
        try:
            search = Search(
                store=self._store,
                lease=self._lease,
                space=problem.searched,
                strategy=strategy,
                objectives=spec.objectives,
                evaluator=evaluator,
                pace=pace,
                fingerprints={} if spec.measuring.anew else devices.settings,
                devices=devices.described,
                on_result=lambda count: self._progress.searching(count, budget.evaluations),
            )
            search.run()
            self._end_reason = search.end_reason
            self._progress.say(f"the search is over: {search.end_reason}")
            Finalists(
                store=self._store,
                lease=self._lease,
                space=problem.searched,
                objectives=spec.objectives,
                evaluator=measuring,
                metrics=[*(metric for metric in spec.predicted if metric in LEARNED), *devices.timed],
                tolerance=spec.measuring.replicate,
                on_result=self._progress.measuring,
                predictor=evaluator if isinstance(evaluator, Predicts) else None,
            ).run()
        finally:
            evaluator.close()

    def _training(self, measuring: RayEvaluator, weights: SupernetWeights | None, devices: JobDevices) -> Evaluator:
        """What measures networks and then trains them."""
        from nas.trials.evaluator import TrainingEvaluator

        spec = self._spec
        assert spec.train is not None
        alone = bool(devices.on_nodes) and spec.execution.timing_waits
        return TrainingEvaluator(
            measuring, self._trainings(weights), self._problem.searched, spec.train.recipe, alone=alone
        )

    def _train_finalists(self, weights: SupernetWeights | None) -> None:
        """Train what the search chose, each network alone."""
        from nas.trials.finalists import train_finalists

        trainings = self._trainings(weights)
        try:
            ended = train_finalists(self._problem, self._results(), trainings)
        finally:
            trainings.close()
        failed = [training for training in ended if training.status is TrainingStatus.FAILED]
        if ended and len(failed) == len(ended):
            raise JobFailed(f"all {len(ended)} trainings failed; the first: {failed[0].cause}")

    def _trainings(self, weights: SupernetWeights | None) -> "Trainings":
        from nas.trials.trainings import Trainings

        assert self._spec.train is not None
        gpus = ray.cluster_resources().get("GPU", 0)
        device = training_device(self._spec.train.device, gpus, "train.device")
        return Trainings(self._store, self._lease, self._problem, weights, self._folder, device, self._progress)
