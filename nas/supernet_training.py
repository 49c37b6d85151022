"""Training a job's supernet on Ray, so that neither a lost worker nor a killed driver loses more than seconds."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.artifacts import sha256, write_atomically
from nas.cluster import ray
from nas.evaluation.training_actor import TrainingActor
from nas.problem import Problem
from nas.progress import Progress
from nas.wall_time import OutOfTime, out_of_time
from search_spaces.supernet.weights import SupernetWeights
from search_spaces.training.settings import TrainingSettings
from search_spaces.training.trainer import load_supernet
from storage.records import Lease
from storage.store import ResultStore

CHECKPOINT_SECONDS = 15.0
LOST_WORKERS = 3
FILE = "supernet.safetensors"
SMALL_STEP_MACS = 1e9


def trained_weights(
    store: ResultStore, lease: Lease, problem: Problem, folder: Path, progress: Progress
) -> SupernetWeights:
    """The weights of the job's supernet, trained to the end, from wherever its checkpoint stands.

    Args:
        store: where the finished supernet is recorded.
        lease: the right to write for the job.
        problem: the job made concrete, with data.
        folder: the job's artifacts.
        progress: who is told about epochs.

    Raises:
        RuntimeError: the training failed, or its workers were lost again and again.
        OutOfTime: the job's wall time was over before the last epoch; the checkpoint stays.
        ValueError: the job asks for a GPU where there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    if not store.artifacts(lease.job_id, "supernet"):

        def spent() -> str:
            store.heartbeat(lease)
            return out_of_time(store, lease, problem.spec.budget.wall_seconds)

        _train(problem, path, progress, spent)
        content = path.read_bytes()
        store.add_artifact(lease, "supernet", str(path), sha256=sha256(content), size_bytes=len(content))
    return stored_weights(problem, folder)


def stored_weights(problem: Problem, folder: Path) -> SupernetWeights:
    """The weights of the job's trained supernet.

    Raises:
        ValueError: there is no checkpoint, it is damaged, or it belongs to another space.
    """
    return SupernetWeights.of(load_supernet(folder / FILE, problem.space))


def training_device(asked: str, gpus: float, option: str = "supernet.device") -> str:
    """Where a supernet is trained, `cpu` or `cuda`.

    Args:
        asked: `auto`, `cpu` or `cuda`.
        gpus: those of the cluster.
        option: who asks, for the message.

    Raises:
        ValueError: `cuda` is asked for, and the cluster has no GPU, or torch was built without CUDA.
    """
    built = torch.backends.cuda.is_built()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    usable = gpus >= 1 and built
    if asked == "cuda" and not usable:
        lacking = "torch was built without CUDA" if gpus >= 1 else "the cluster has no GPU"
        raise ValueError(f"{option} is 'cuda', but {lacking}; allowed here: auto, cpu")
    return "cuda" if usable and asked != "cpu" else "cpu"


def _train(problem: Problem, path: Path, progress: Progress, spent: Callable[[], str]) -> None:
    """Train to the last epoch, keeping a checkpoint; a lost worker is replaced and goes on from there."""
    assert problem.dataset is not None
    assert problem.spec.supernet is not None
    settings = problem.spec.supernet.training
    data = problem.dataset.train
    inputs, labels = ray.put(data.inputs()), ray.put(np.asarray(data.labels, np.int64))
    threads, cluster = step_threads(problem), ray.cluster_resources()
    device = training_device(problem.spec.supernet.device, cluster.get("GPU", 0))
    kind = ray.remote(TrainingActor).options(
        num_cpus=min(threads, int(cluster["CPU"])), num_gpus=1 if device == "cuda" else 0
    )
    for attempt in range(1, LOST_WORKERS + 1):
        known = path.read_bytes() if path.exists() else None
        actor = kind.remote(problem.recipe, settings, inputs, labels, threads, device)
        try:
            _epochs(actor, known, settings, path, progress, spent)
            return
        except ray.exceptions.RayTaskError as error:
            raise RuntimeError(f"the supernet could not be trained: {error.cause}") from error
        except ray.exceptions.RayError as error:
            if attempt == LOST_WORKERS:
                raise RuntimeError(f"{attempt} workers were lost while the supernet was trained: {error}") from error
            progress.say(f"a training worker was lost ({type(error).__name__}); going on from the last checkpoint")
        finally:
            ray.kill(actor)


def step_threads(problem: Problem) -> int:
    """One thread where a step is so small that threads would mostly wait for each other, else every core.

    It depends on the job alone, because the number of threads decides the last bits of the weights.
    """
    assert problem.spec.supernet is not None
    largest = problem.space.costs(problem.space.largest()[None], ["macs"])["macs"][0]
    return 1 if largest * problem.spec.supernet.batch_size < SMALL_STEP_MACS else os.cpu_count() or 1


def _epochs(
    actor: Any,
    known: bytes | None,
    settings: TrainingSettings,
    path: Path,
    progress: Progress,
    spent: Callable[[], str],
) -> None:
    """Run the actor to the last epoch; the checkpoint on disk is never older than some seconds and an epoch."""
    epochs, phase = settings.epochs, None
    done = ray.get(actor.begin.remote(known))
    progress.training(done, epochs, {})
    saved = time.monotonic()
    while done < epochs:
        if settings.phases and (index := settings.place(done)[0]) != phase:
            phase = index
            progress.say(f"training phase {index + 1} of {len(settings.phases)}: {settings.phases[index].summary}")
        done, metrics = ray.get(actor.train_epoch.remote())
        reason = spent() if done < epochs else ""
        if done == epochs or reason or time.monotonic() - saved > CHECKPOINT_SECONDS:
            write_atomically(path, ray.get(actor.checkpoint.remote()))
            saved = time.monotonic()
        progress.training(done, epochs, metrics)
        if reason:
            raise OutOfTime(f"{reason}: {done} of {epochs} epochs of its supernet are trained, and nothing is searched")
