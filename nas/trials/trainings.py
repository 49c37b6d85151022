"""Trainings of single networks on Ray Tune: what is known of them lies in the store, what they learned in files."""

import os
import queue
import tempfile
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.artifacts import TRAINED_NETWORK, sha256
from nas.cluster import ray
from nas.evaluation.scores import EvaluationData
from nas.jobspec.metric_names import LEARNED, TRAINED
from nas.problem import Problem
from nas.progress import Progress
from nas.trials.feed import End, Feed, Report, Reports
from nas.trials.halving import Halving, replayed
from nas.trials.prospects import Prospects
from nas.trials.trial import NetworkTrial, TrialData, checkpoint_file
from nas.tune import tune
from search_spaces.space import Genotype
from search_spaces.supernet.weights import SupernetWeights
from search_spaces.training.network_settings import NetworkSettings
from storage.records import Lease, Training, TrainingStatus
from storage.store import ResultStore

LOST_WORKERS = 3
SMALL_STEP_MACS = 1e9


@dataclass(frozen=True, slots=True)
class Work:
    """A network to train.

    Attributes:
        key: of the network.
        genotype: (d,).
        settings: the recipe.
        known: metrics of the job's objectives that are no matter of training.
        beside: metrics that are stored beside those of the finished training.
    """

    key: str
    genotype: Genotype
    settings: NetworkSettings
    known: Mapping[str, float]
    beside: Mapping[str, float] = field(default_factory=dict)


def trained(metric: str) -> str:
    """The name of a learned metric when it comes from a training of the network alone."""
    return metric + TRAINED


def weights_file(folder: Path, key: str) -> Path:
    """Where the weights of a trained network of a job lie."""
    return folder / TRAINED_NETWORK / f"{key}.safetensors"


class Trainings:
    """Trains networks side by side, and goes on where an earlier process was killed.

    What the store has as ended with the same recipe is not trained again, and what it has as running goes on from its
    last checkpoint. Rungs count what ended earlier. Trials leave their files in the job's folder, which all nodes of a
    cluster must share. All writes happen in `submit` and `wait`, in the caller's thread.

    Args:
        store: where trainings are recorded.
        lease: the right to write for the job.
        problem: the job made concrete, with data and a `train` section.
        weights: the supernet's, where networks begin with them.
        folder: the job's artifacts.
        device: where networks are trained, `cpu` or `cuda`.
        progress: who is told about epochs.
    """

    def __init__(
        self,
        store: ResultStore,
        lease: Lease,
        problem: Problem,
        weights: SupernetWeights | None,
        folder: Path,
        device: str,
        progress: Progress,
    ) -> None:
        assert problem.spec.train is not None
        self._store, self._lease, self._folder, self._progress = store, lease, folder, progress
        self._spec, self._objectives = problem.spec.train, problem.spec.objectives
        (folder / TRAINED_NETWORK).mkdir(parents=True, exist_ok=True)
        self._past = {training.architecture_key: training for training in store.trainings(lease.job_id)}
        self._running: dict[str, tuple[Work, Training]] = {}
        self._ended: deque[Training] = deque()
        self._known: dict[str, Mapping[str, float]] = {}
        self._epochs: dict[str, tuple[int, int]] = {}  # done and asked for
        self._reports: queue.Queue[Report] = queue.Queue()
        self._feed, self._end = Feed(), End()
        assert problem.dataset is not None
        samples, curves = problem.dataset.validation.labels.size, self._spec.curves
        self._prospects = None if curves is None else Prospects(curves, self._objectives, samples)
        why_not = None if curves is None else self._why_not
        self._halving = Halving(self._spec.halving, self._losses, why_not, self._stretch)
        self._problem, self._weights, self._device = problem, weights, device
        self._thread: threading.Thread | None = None
        self._broken: BaseException | None = None
        if problem.spec.trains_in_search:
            self._recall()

    def submit(self, works: Sequence[Work]) -> None:
        """Queue networks; what ended already is answered at once."""
        new = []
        for work in works:
            self._known[work.key] = work.known
            recipe = {**work.settings.model_dump(mode="json"), "init": self._spec.init}
            past, fresh = self._past.get(work.key), Training(work.key, recipe, work.settings.epochs)
            if past is None or past.recipe != recipe:
                # What was learned with another recipe stays until this one has ended well.
                checkpoint_file(weights_file(self._folder, work.key)).unlink(missing_ok=True)
                past = fresh
                self._store.record_training(self._lease, past)
            if past.status is TrainingStatus.RUNNING:
                self._epochs[work.key] = len(past.curve.get("epoch", ())), past.epochs
                self._running[work.key] = work, past
                new.append(work)
            else:
                self._epochs[work.key] = past.epochs, past.epochs
                self._learn(past)
                self._ended.append(past)
        for work in new:
            self._feed.put(
                {
                    "key": work.key,
                    "genotype": self._problem.space.choices(work.genotype),
                    "settings": work.settings.model_dump(mode="json"),
                    "init": self._spec.init,
                    "result": str(weights_file(self._folder, work.key)),
                }
            )
        if new and self._thread is None:
            self._begin()
        self._tell("")

    def wait(self) -> list[Training]:
        """Block until at least one training has ended; empty when none is under way.

        Raises:
            RuntimeError: trials cannot be run at all, or leave their files on another machine.
        """
        while self._running and not self._ended:
            try:
                self._take(self._reports.get(timeout=1.0))
            except queue.Empty:
                if self._thread is None or not self._thread.is_alive():
                    raise RuntimeError(f"the trials of Ray Tune have ended: {self._broken}") from self._broken
        ended = list(self._ended)
        self._ended.clear()
        return ended

    def close(self) -> None:
        """End what runs; it can go on from its checkpoints later."""
        self._feed.close()
        self._end.asked = True
        if self._thread is not None:
            self._thread.join(timeout=30)
            self._thread = None

    def _recall(self) -> None:
        """Take in what an earlier process trained; those whose evaluation is stored are not submitted again."""
        for evaluation in self._store.evaluations(self._lease.job_id):
            past = self._past.get(evaluation.architecture_key)
            if past is not None and past.status in (TrainingStatus.FINISHED, TrainingStatus.STOPPED):
                self._known[past.architecture_key] = evaluation.metrics
                self._epochs[past.architecture_key] = past.epochs, past.epochs
                self._learn(past)

    def _learn(self, past: Training) -> None:
        """Have an ended training count for those to come."""
        replayed(self._halving, past.architecture_key, _results(past))
        if self._prospects is not None and past.status is TrainingStatus.FINISHED:
            last = {metric: past.curve[metric][-1] for metric in LEARNED}
            self._prospects.add({**self._known[past.architecture_key], **last}, past.curve)

    def _why_not(self, key: str, result: Mapping[str, Any]) -> str | None:
        """Why a training cannot join the front any more, asked by the scheduler in its own thread."""
        assert self._prospects is not None
        return self._prospects.why_not(self._known[key], result, self._epochs[key][1])

    def _stretch(self, key: str) -> float:
        """How many times as long as the job's own a training is."""
        return self._epochs[key][1] / self._spec.epochs

    def _losses(self, key: str, metrics: Mapping[str, Any]) -> NDArray[np.float64]:
        """(m,) losses of a network with the learned metrics of an epoch."""
        values = {**self._known[key], **metrics}
        return np.array([float(o.losses(values[o.metric])) for o in self._objectives])

    def _begin(self) -> None:
        """Start Ray Tune, in a thread, because it does not return before all is done."""
        problem, cluster = self._problem, ray.cluster_resources()
        assert problem.dataset is not None
        workers = problem.spec.execution.workers
        data = TrialData(
            problem.recipe,
            problem.dataset.train.inputs(),
            np.asarray(problem.dataset.train.labels, np.int64),
            EvaluationData.of(problem.dataset, self._spec.recalibration_samples),
            self._weights if self._spec.init == "supernet" else None,
            self._threads(workers),
            self._device,
        )
        gpus = min(1.0, cluster.get("GPU", 0) / workers) if self._device == "cuda" else 0.0
        trial = tune.with_resources(
            tune.with_parameters(NetworkTrial, data=data),
            {"cpu": min(data.threads, int(cluster["CPU"])), "gpu": gpus},
        )
        self._thread = threading.Thread(target=self._run, args=(trial, workers), name="trials", daemon=True)
        self._thread.start()

    def _run(self, trial: Any, workers: int) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="nas-trials-") as scratch:
                tune.Tuner(
                    trial,
                    tune_config=tune.TuneConfig(
                        search_alg=self._feed,
                        scheduler=self._halving,
                        num_samples=-1,
                        max_concurrent_trials=workers,
                        reuse_actors=True,
                        trial_dirname_creator=lambda trial: str(trial.trial_id),
                    ),
                    run_config=tune.RunConfig(
                        name="trials",
                        storage_path=scratch,
                        stop=self._end,
                        callbacks=[Reports(self._reports)],
                        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                        failure_config=tune.FailureConfig(max_failures=LOST_WORKERS - 1),
                        verbose=0,
                    ),
                ).fit()
        except BaseException as error:  # whatever it is, `wait` tells it
            self._broken = error

    def _threads(self, workers: int) -> int:
        """One where a step is small, else a fair share of the cores; it depends on the job and the machine alone."""
        space = self._problem.space
        largest = float(space.costs(space.largest()[None], ["macs"])["macs"][0])
        small = largest * self._spec.batch_size < SMALL_STEP_MACS
        return 1 if small else max(1, (os.cpu_count() or 1) // workers)

    def _take(self, report: Report) -> None:
        """Record what a trial said."""
        if report.key not in self._running:
            return
        work, training = self._running[report.key]
        result = report.result
        metrics: dict[str, float] = {}
        if (cause := report.lost or result.get("failure")) is not None:
            training = replace(training, status=TrainingStatus.FAILED, cause=cause)
        else:
            for each in (*result.get("earlier", ()), result):
                training = _longer(training, each)
            if result["epoch"] >= training.epochs:
                metrics = {trained(metric): float(result[metric]) for metric in LEARNED} | dict(work.beside)
                training = replace(training, status=TrainingStatus.FINISHED)
                self._keep(training)
                if self._prospects is not None:
                    self._prospects.add({**work.known, **{m: result[m] for m in LEARNED}}, training.curve)
            elif result["done"]:
                left = training.epochs - result["epoch"]
                training = replace(
                    training,
                    status=TrainingStatus.STOPPED,
                    cause=self._halving.causes[report.key],
                    saved_seconds=left * float(np.mean(training.curve["seconds"])),
                )
        self._store.record_training(self._lease, training, metrics)
        if training.status is TrainingStatus.RUNNING:
            self._running[report.key] = work, training
            self._epochs[report.key] = int(result["epoch"]), training.epochs
        else:
            self._epochs[report.key] = training.epochs, training.epochs
            del self._running[report.key]
            self._ended.append(training)
            checkpoint_file(weights_file(self._folder, report.key)).unlink(missing_ok=True)
        self._tell(f"{report.key[:12]} {training.status.lower()}")

    def _keep(self, training: Training) -> None:
        """Record the file with what a network has learned."""
        path = weights_file(self._folder, training.architecture_key)
        if not path.is_file():
            raise RuntimeError(
                f"a trained network is not in {path.parent}, so it was trained on a machine that does not share that "
                "folder: set NAS_ARTIFACTS to one that all nodes of the cluster share, and resume"
            )
        content = path.read_bytes()
        self._store.add_artifact(
            self._lease,
            TRAINED_NETWORK,
            str(path),
            sha256=sha256(content),
            size_bytes=len(content),
            metadata={"architecture_key": training.architecture_key, "recipe": training.recipe},
        )

    def _tell(self, note: str) -> None:
        done, asked = np.sum(list(self._epochs.values()), axis=0)
        self._progress.trials(int(done), int(asked), note)


def _longer(training: Training, result: Mapping[str, Any]) -> Training:
    """A training with one more epoch, unless it was told of that one before, by a worker that was lost then."""
    if result["epoch"] in training.curve.get("epoch", ()):
        return training
    curve = {name: [*training.curve.get(name, ()), result[name]] for name in ("epoch", *LEARNED, "seconds")}
    return replace(training, curve=curve, seconds=float(np.sum(curve["seconds"])))


def _results(training: Training) -> list[dict[str, Any]]:
    """The epochs of a training as its trial told them."""
    names = list(training.curve)
    return [dict(zip(names, values, strict=True)) for values in zip(*training.curve.values(), strict=True)]
