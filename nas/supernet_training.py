"""Training a job's supernet on Ray, so that neither a lost worker nor a killed driver loses more than seconds."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.artifacts import sha256, write_atomically
from nas.cluster import ray
from nas.evaluation.subnet_actor import SpaceSpec
from nas.evaluation.training_actor import TrainingActor
from nas.problem import Problem
from nas.progress import Progress
from search_spaces.checkpoint import read_checkpoint
from storage.records import Lease
from storage.store import ResultStore

CHECKPOINT_SECONDS = 15.0
LOST_WORKERS = 3
FILE = "supernet.safetensors"


def trained_weights(
    store: ResultStore, lease: Lease, problem: Problem, folder: Path, progress: Progress
) -> Mapping[str, NDArray[Any]]:
    """The tensors of the job's supernet, trained to the end, from wherever its checkpoint stands.

    Args:
        store: where the finished supernet is recorded.
        lease: the right to write for the job.
        problem: the job made concrete, with data.
        folder: the job's artifacts.
        progress: who is told about epochs.

    Raises:
        RuntimeError: the training failed, or its workers were lost again and again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    if not store.artifacts(lease.job_id, "supernet"):
        _train(problem, path, progress)
        content = path.read_bytes()
        store.add_artifact(lease, "supernet", str(path), sha256=sha256(content), size_bytes=len(content))
    return stored_weights(problem, folder)


def stored_weights(problem: Problem, folder: Path) -> Mapping[str, NDArray[Any]]:
    """The tensors of the job's supernet as its checkpoint has them.

    Raises:
        ValueError: there is no checkpoint, or it belongs to another space.
    """
    path = folder / FILE
    if not path.exists():
        raise ValueError(f"the supernet's weights are gone: there is no {path}")
    return read_checkpoint(path, problem.space).weights
