"""The chosen subnet as an ONNX file that has been proven to do what the front says."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from nas.artifacts import sha256, write_atomically
from nas.evaluation.subnet import EvaluationData, Subnets
from nas.problem import Problem
from nas.supernet_training import stored_weights
from profilers.registry import make_device, open_profiler
from storage.records import Artifact, Evaluation, Job
from storage.store import ResultStore

OUTPUT_TOLERANCE = 1e-4
ACCURACY_TOLERANCE = 0.002
BATCH = 256
CHECKED_IMAGES = 64


class ExportFailed(RuntimeError):
    """A check of the exported model failed; no file was left behind."""


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison of the exported file with what was expected of it.

    `tolerance` is None for a figure that is told but decides nothing.
    """

    name: str
    expected: float
    found: float
    tolerance: float | None

    @property
    def passed(self) -> bool:
        """Whether the file does what was expected."""
        return self.tolerance is None or bool(abs(self.found - self.expected) <= self.tolerance)


@dataclass(frozen=True, slots=True)
class Export:
    """An exported model: the record of its file, and how it compared."""

    artifact: Artifact
    checks: Sequence[Check]


def export_model(
    store: ResultStore, folder: Path, job: Job, problem: Problem, evaluation: Evaluation, path: Path
) -> Export:
    """Write the subnet of an evaluation as an ONNX file, if it passes every check.

    The file is run by ONNX Runtime: its outputs are compared with torch's on real inputs (random ones for a job
    without data), its accuracy on the validation split and its latency on the job's devices with the front's.

    Args:
        store: where the file is recorded.
        folder: where the store's artifacts lie; the supernet is read from there.
        job: the job that evaluated it.
        problem: the job made concrete.
        evaluation: the chosen one.
        path: where the file goes.

    Raises:
        ExportFailed: a check failed; there is no file.
        ValueError: the supernet's weights are gone.
        OSError: the file cannot be written.
    """
    data = None
    if problem.dataset is not None and problem.spec.supernet is not None:
        data = EvaluationData.of(problem.dataset, problem.spec.supernet.recalibration_samples)
    weights = None if data is None else stored_weights(problem, folder / job.id)
    subnets = Subnets(problem.space, weights, data)
    genotype = problem.space.genotype(evaluation.genotype)
    statistics = subnets.statistics(genotype)
    model = subnets.model(genotype, statistics, _metadata(job, problem, evaluation))

    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    images = _random_images(problem, genotype) if data is None else data.images
    fitted = _at_resolution(images, session)
    expected = subnets.logits(genotype, statistics, images[:CHECKED_IMAGES]).numpy()
    found = _run(session, fitted[:CHECKED_IMAGES])
    checks = [Check("torch against ONNX Runtime", 0.0, float(np.abs(found - expected).max()), OUTPUT_TOLERANCE)]
    if data is not None:
        accuracy = float((_run(session, fitted).argmax(1) == data.labels).mean())
        checks.append(Check("accuracy", evaluation.metrics["accuracy"], accuracy, ACCURACY_TOLERANCE))
    checks += _latencies(problem, evaluation, model)
    if failed := [check for check in checks if not check.passed]:
        raise ExportFailed(
            "; ".join(
                f"{c.name}: expected {c.expected:.6g} within {c.tolerance:g}, found {c.found:.6g}" for c in failed
            )
        )
    write_atomically(path, model)
    artifact = store.add_artifact(
        job.id,
        "onnx",
        str(path.absolute()),
        sha256=sha256(model),
        size_bytes=len(model),
        metadata={
            "architecture_key": evaluation.architecture_key,
            "checks": [{"name": c.name, "expected": c.expected, "found": c.found} for c in checks],
        },
    )
    return Export(artifact, checks)


def _metadata(job: Job, problem: Problem, evaluation: Evaluation) -> dict[str, str]:
    """What the file says about itself: enough to use it and to find its job again."""
    metadata: dict[str, Any] = {
        "name": job.name,
        "job": job.id,
        "architecture_key": evaluation.architecture_key,
        "space": {"name": problem.space.name, **problem.space.settings},
        "genotype": evaluation.genotype,
        "metrics": evaluation.metrics,
    }
    if problem.dataset is not None:
        metadata["data"] = problem.dataset.describe()
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}


def _run(session: ort.InferenceSession, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Outputs for images, computed in batches."""
    name = session.get_inputs()[0].name
    parts = [session.run(None, {name: images[i : i + BATCH]})[0] for i in range(0, len(images), BATCH)]
    return np.concatenate(parts)


def _at_resolution(images: NDArray[np.float32], session: ort.InferenceSession) -> NDArray[np.float32]:
    """Images at the size that the model takes, resized as in evaluation."""
    import torch

    from search_spaces.images import resize

    _, _, height, width = session.get_inputs()[0].shape
    return np.ascontiguousarray(resize(torch.from_numpy(np.array(images)), height, width).numpy())


def _random_images(problem: Problem, genotype: NDArray[np.int16]) -> NDArray[np.float32]:
    shape = problem.space.graph(genotype).inputs[0].shape
    return np.random.default_rng(0).standard_normal((CHECKED_IMAGES, *shape[1:])).astype(np.float32)


def _latencies(problem: Problem, evaluation: Evaluation, model: bytes) -> list[Check]:
    """Latency of the file on each device of the job, beside what the front says; told, not judged."""
    checks = []
    for name, section in problem.spec.devices.items():
        metric = f"latency_ms@{name}"
        if metric not in evaluation.metrics:
            continue
        device = make_device({"name": name, **section})
        with open_profiler(device) as profiler:
            measured = profiler.profile(model, device)
        checks.append(Check(metric, evaluation.metrics[metric], measured.median_ms, None))
    return checks
