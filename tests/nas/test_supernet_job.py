"""A job whose supernet holds more than plain tensors: prepared, trained, scored and exported, without Ray."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from nas.evaluation.scores import EvaluationData, batches, scores
from nas.evaluation.subnet import subnets
from nas.jobspec.load import parse_job
from nas.problem import Problem, prepare
from nas.supernet_training import FILE, stored_weights, training_device
from search_spaces.training.trainer import SupernetTrainer

JOB: dict[str, Any] = {
    "name": "digits",
    "space": {
        "name": "mobilenet_v3", "resolutions": [8], "widths": [8, 16], "strides": [1, 2], "stem_stride": 1,
        "activations": ["relu", "h_swish"], "squeeze_excite": [False, True], "depths": [1, 2], "expansions": [2, 3],
        "stem_width": 8, "final_width": 32, "feature_width": 32,
    },
    "data": {"name": "digits", "limit": 400},
    "supernet": {"epochs": 1, "warmup_epochs": 0, "kernel_transformation": True, "experts": 2},
    "objectives": ["accuracy", "macs"],
    "strategy": "random",
    "budget": {"evaluations": 4},
}  # fmt: skip


@pytest.fixture(scope="module")
def problem() -> Problem:
    """The job made concrete."""
    return prepare(parse_job(JOB))


@pytest.fixture(scope="module")
def trained(problem: Problem, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the trained supernet."""
    torch.set_num_threads(1)
    assert problem.dataset is not None
    assert problem.spec.supernet is not None
    split = problem.dataset.train
    trainer = SupernetTrainer(problem.space, problem.spec.supernet.training, split.inputs(), split.labels.copy())
    trainer.train_epoch()
    folder = tmp_path_factory.mktemp("job")
    trainer.save(folder / FILE)
    return folder


def test_networks_are_scored_and_exported_with_their_own_weights(problem: Problem, trained: Path) -> None:
    """What is evaluated from the checkpoint is what an exported file computes."""
    assert problem.dataset is not None
    data = EvaluationData.of(problem.dataset, 64)
    weights = stored_weights(problem, trained)
    assert weights.settings.model_dump() == {"kernel_transformation": True, "experts": 2}
    made = subnets(problem.space, weights, data)
    (inputs, *_) = batches(data.inputs)
    for genotype in (problem.space.smallest(), *problem.space.sample(2, np.random.default_rng(0))):
        network = made.network(genotype)
        assert scores(network, data)["loss"] < 2.5
        session = onnxruntime.InferenceSession(network.model({}), providers=["CPUExecutionProvider"])
        (logits,) = session.run(None, {"image": inputs.numpy()})
        np.testing.assert_allclose(logits, network(inputs).numpy(), rtol=1e-3, atol=1e-4)


def test_nothing_to_transform_is_told_before_work_starts() -> None:
    """A space whose kernels have one size cannot be asked for their transformation."""
    space = {**JOB["space"], "kernels": [3]}
    with pytest.raises(ValueError, match="kernel_transformation has nothing to transform"):
        prepare(parse_job({**JOB, "space": space}))


@pytest.mark.parametrize(
    "asked, gpus, built, expected",
    [
        ("auto", 0, True, "cpu"),
        ("auto", 1, True, "cuda"),
        ("auto", 1, False, "cpu"),
        ("cpu", 4, True, "cpu"),
        ("cuda", 1, True, "cuda"),
    ],
)
def test_where_it_is_trained(
    monkeypatch: pytest.MonkeyPatch, asked: str, gpus: float, built: bool, expected: str
) -> None:
    """A GPU is taken where the cluster has one and torch can use it, unless the job says otherwise."""
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: built)
    assert training_device(asked, gpus) == expected


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said what is lacking, the GPU or torch's part."""
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    with pytest.raises(ValueError, match="is 'cuda', but the cluster has no GPU; allowed here: auto, cpu"):
        training_device("cuda", 0)
    with pytest.raises(ValueError, match="torch was built without CUDA"):
        training_device("cuda", 2)
