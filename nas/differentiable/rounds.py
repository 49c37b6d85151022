"""The rounds of a job's differentiable search on Ray: each is stored, and neither a lost worker nor a kill loses more.

A checkpoint is written some seconds after the last one; rounds behind it are done again after a kill and come out the
same, so what the store has of them stays.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np

from nas.artifacts import sha256, write_atomically
from nas.cluster import ray
from nas.evaluation.gradient_actor import GradientActor, RoundReport
from nas.problem import Problem
from nas.progress import Progress
from nas.strategies.gradient import Derived
from nas.supernet_training import CHECKPOINT_SECONDS, LOST_WORKERS, training_device
from search_spaces.gradient.plan import GradientPlan
from storage.records import Lease, Round
from storage.store import ResultStore

FILE = "search.safetensors"


class StoredRounds:
    """Rounds from the store, and new ones from a worker when the store has no more.

    Args:
        store: where rounds go and come from.
        lease: the right to write for the job.
        problem: the job made concrete, with data.
        plan: the search.
        folder: the job's artifacts.
        threads: of the worker.
        progress: who is told about rounds.
    """

    def __init__(
        self,
        store: ResultStore,
        lease: Lease,
        problem: Problem,
        plan: GradientPlan,
        folder: Path,
        threads: int,
        progress: Progress,
    ) -> None:
        self._store, self._lease, self._problem, self._plan = store, lease, problem, plan
        self._path, self._threads, self._progress = folder / FILE, threads, progress
        self._known = [self._derived(row) for row in store.rounds(lease.job_id)]
        self._actor: Any = None
        self._saved = time.monotonic()
        self._report(len(self._known), {})

    def derived(self, number: int) -> Derived:
        """What is known after a round; those that are missing are done first.

        Raises:
            RuntimeError: a round failed, or workers were lost again and again.
        """
        while len(self._known) < number and not (self._known and self._known[-1].last):
            self._advance()
        return self._known[min(number, len(self._known)) - 1]

    def close(self) -> None:
        """End the worker."""
        if self._actor is not None:
            ray.kill(self._actor)
            self._actor = None

    def _derived(self, row: Round) -> Derived:
        space = self._problem.space
        chances = tuple([np.array(row.chances[name], np.float64) for name in space.names])
        return Derived(space.genotype(row.genotype), chances, row.last)

    def _advance(self) -> None:
        """Have one round done, on another worker where one is lost, and store it unless it is."""
        for attempt in range(1, LOST_WORKERS + 1):
            try:
                self._round()
                return
            except ray.exceptions.RayTaskError as error:
                raise RuntimeError(f"the search by {self._plan.method} failed: {error.cause}") from error
            except ray.exceptions.RayError as error:
                self.close()
                if attempt == LOST_WORKERS:
                    raise RuntimeError(f"{attempt} workers were lost in one round of the search: {error}") from error
                self._progress.say(f"a worker was lost ({type(error).__name__}); going on from the last checkpoint")

    def _round(self) -> None:
        if self._actor is None:
            self._start()
        report: RoundReport = ray.get(self._actor.round.remote())
        if report.number > len(self._known):
            self._record(report)
        self._report(report.number, report.metrics)
        if report.last or time.monotonic() - self._saved > CHECKPOINT_SECONDS:  # never ahead of the store
            self._save(report.last)

    def _save(self, last: bool) -> None:
        content = ray.get(self._actor.checkpoint.remote())
        write_atomically(self._path, content)
        self._saved = time.monotonic()
        if last:
            where = str(self._path)
            self._store.add_artifact(self._lease, "search", where, sha256=sha256(content), size_bytes=len(content))

    def _start(self) -> None:
        """A worker with the search as the last checkpoint has it."""
        options = self._problem.gradient_options
        assert options is not None
        assert self._problem.dataset is not None
        device = training_device(options.device, ray.cluster_resources().get("GPU", 0), "strategy.device")
        data = self._problem.dataset.train
        kind = ray.remote(GradientActor).options(num_cpus=self._threads, num_gpus=1 if device == "cuda" else 0)
        labels = np.asarray(data.labels, np.int64)
        self._actor = kind.remote(self._problem.recipe, self._plan, data.inputs(), labels, self._threads, device)
        known = self._path.read_bytes() if self._path.exists() else None
        ray.get(self._actor.begin.remote(known))
        self._saved = time.monotonic()

    def _record(self, report: RoundReport) -> None:
        space = self._problem.space
        chances = {name: chance.tolist() for name, chance in zip(space.names, report.chances, strict=True)}
        row = Round(report.number, dict(space.choices(report.genotype)), chances, report.metrics, report.last)
        self._store.add_round(self._lease, row)
        self._known.append(self._derived(row))

    def _report(self, number: int, metrics: dict[str, float]) -> None:
        shown = ("loss", "validation_accuracy", "entropy", "skip_share", "cost_derived")
        self._progress.rounds(
            number, self._plan.settings.rounds, {name: metrics[name] for name in shown if name in metrics}
        )
