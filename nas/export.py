"""The chosen subnet as an ONNX file that has been proven to do what the front says."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.artifacts import TRAINED_NETWORK, sha256, write_atomically
from nas.evaluation.onnx_network import OnnxNetwork, quantised
from nas.evaluation.scores import INT8, EvaluationData, batches, scores
from nas.evaluation.subnet import GraphNetwork, Network, subnets
from nas.jobspec.metric_names import TRAINED
from nas.problem import Problem
from nas.supernet_training import stored_weights
from profilers.device_choices import choices_of
from profilers.registry import make_device, metrics_of, open_profiler
from search_spaces.space_file import code_hash
from search_spaces.training.network_trainer import load_network
from storage.records import Artifact, Evaluation, Job
from storage.store import ResultStore

OUTPUT_TOLERANCE = 1e-4
TOLERANCES = {"accuracy": 0.002, "loss": 0.002}
"""By how much the file may differ from the front on the validation split; the loss is in nats."""
CHECKED_INPUTS = 64


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
    store: ResultStore,
    folder: Path,
    job: Job,
    problem: Problem,
    evaluation: Evaluation,
    path: Path,
    precision: str = "fp32",
) -> Export:
    """Write the subnet of an evaluation as an ONNX file, if it passes every check.

    The file is run by ONNX Runtime: its outputs are compared with torch's on real inputs (random ones for a job
    without data), its accuracy and loss on the validation split and its latency on the job's devices with the front's.

    Args:
        store: where the file is recorded.
        folder: where the store's artifacts lie; the supernet is read from there.
        job: the job that evaluated it.
        problem: the job made concrete.
        evaluation: the chosen one.
        path: where the file goes.
        precision: fp32, or int8: quantised with the job's calibration samples; its scores are compared with those that
            the front has in int8, and told beside those that it has in fp32.

    Raises:
        ExportFailed: a check failed; there is no file.
        ValueError: the supernet's weights are gone, or there is nothing to calibrate on.
        RuntimeError: the network cannot be quantised.
        OSError: the file cannot be written.
    """
    genotype = problem.network(evaluation.genotype)
    alone = problem.spec.train is not None and any(name.endswith(TRAINED) for name in evaluation.metrics)
    data = _data(problem, alone)
    if alone:
        network: Network = _trained_network(store, job, problem, evaluation, data)
    else:
        shared = data is not None and problem.space.trained_here
        weights = stored_weights(problem, folder / job.id) if shared else None
        network = subnets(problem.space, weights, data).network(genotype)
    model = network.model(_metadata(job, problem, evaluation))

    inputs = _random_inputs(problem, genotype) if data is None else data.inputs
    few = torch.from_numpy(np.array(inputs[:CHECKED_INPUTS]))
    if precision == INT8:
        if data is None:
            raise ValueError("precision int8 needs calibration samples, and this job has no data; allowed: fp32")
        model = quantised(model, data)
        checks = _integer_checks(OnnxNetwork(model), network, evaluation, few, data)
    else:
        checks = _checks(OnnxNetwork(model), network, evaluation, few, data)
    checks += _latencies(problem, evaluation, model, precision)
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
            "precision": precision,
            "checks": [{"name": c.name, "expected": c.expected, "found": c.found} for c in checks],
        },
    )
    return Export(artifact, checks)


def _data(problem: Problem, alone: bool) -> EvaluationData | None:
    """What the network was scored on; None where it was not."""
    section = problem.spec.train if alone else problem.spec.supernet
    if problem.dataset is None or section is None:
        return None
    return EvaluationData.of(problem.dataset, section.recalibration_samples)


def _trained_network(
    store: ResultStore, job: Job, problem: Problem, evaluation: Evaluation, data: EvaluationData | None
) -> GraphNetwork:
    """The network with the weights that it learned alone, if they are the ones that were recorded.

    Raises:
        ValueError: they are gone or were changed.
    """
    key = evaluation.architecture_key
    recorded = [a for a in store.artifacts(job.id, TRAINED_NETWORK) if a.metadata["architecture_key"] == key]
    if not recorded or data is None:
        raise ValueError(f"the weights of the trained network {key} are not recorded")
    path = Path(recorded[0].path)
    if not path.is_file() or sha256(path.read_bytes()) != recorded[0].sha256:
        raise ValueError(f"the weights of the trained network {key} are gone or were changed: {path}")
    genotype = problem.network(evaluation.genotype)
    network = load_network(path, problem.space, genotype)
    return GraphNetwork(network, genotype, network.recalibrate(genotype, batches(data.calibration)))


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
    if problem.recipe.code is not None:
        metadata["space_sha256"] = code_hash(problem.recipe.code)
    if problem.dataset is not None:
        metadata["data"] = problem.dataset.describe()
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}


def _random_inputs(problem: Problem, genotype: NDArray[np.int16]) -> NDArray[Any]:
    """Normal numbers, or tokens of 0 and 1, which every vocabulary has."""
    (value,) = problem.space.graph(genotype).inputs
    rng, shape = np.random.default_rng(0), (CHECKED_INPUTS, *value.shape[1:])
    numbers = rng.standard_normal(shape) if value.dtype == "float32" else rng.integers(0, 2, shape)
    return numbers.astype(value.dtype)


def _checks(
    file: OnnxNetwork, network: Network, evaluation: Evaluation, few: Tensor, data: EvaluationData | None
) -> list[Check]:
    """The file against the network that was searched, and its scores against the front's."""
    checks = [Check("torch against ONNX Runtime", 0.0, float((file(few) - network(few)).abs().max()), OUTPUT_TOLERANCE)]
    found = {} if data is None else scores(file, data)
    return checks + [
        Check(name, evaluation.metrics[name], value, TOLERANCES[metric])
        for metric, value in found.items()
        if (name := _expected(metric, evaluation)) in evaluation.metrics
    ]


def _expected(metric: str, evaluation: Evaluation) -> str:
    """What a score of the exported file is compared with: that of the network trained alone, where it was."""
    return metric + TRAINED if metric + TRAINED in evaluation.metrics else metric


def _integer_checks(
    file: OnnxNetwork, network: Network, evaluation: Evaluation, few: Tensor, data: EvaluationData
) -> list[Check]:
    """What the quantised file tells: its scores are judged where the front has them, and stand beside those in fp32."""
    agree = (file(few).argmax(-1) == network(few).argmax(-1)).float().mean()
    checks = [Check("share of answers as in fp32", 1.0, float(agree), None)]
    for metric, value in scores(file, data).items():
        plain = _expected(metric, evaluation)
        if plain == metric and (name := f"{metric}@{INT8}") in evaluation.metrics:
            checks.append(Check(name, evaluation.metrics[name], value, TOLERANCES[metric]))
        if plain in evaluation.metrics:
            checks.append(Check(f"{plain} beside fp32", evaluation.metrics[plain], value, None))
    return checks


def _latencies(problem: Problem, evaluation: Evaluation, model: bytes, precision: str) -> list[Check]:
    """What each device of this precision tells of the file, beside what the front says; told, not judged."""
    checks = []
    for name, section in problem.spec.devices.items():
        asked = [metric for metric in metrics_of(section) if f"{metric}@{name}" in evaluation.metrics]
        if not asked:
            continue
        decided = {key: evaluation.genotype[f"{name}.{key}"] for key in choices_of(section)}
        device = make_device({"name": name, **section, **decided})
        if device.description.get("precision", "fp32") != precision:
            continue
        with open_profiler(device) as profiler:
            found = profiler.profile(model, device).metrics
        checks += [
            Check(f"{metric}@{name}", evaluation.metrics[f"{metric}@{name}"], found[metric], None) for metric in asked
        ]
    return checks
