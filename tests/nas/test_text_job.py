"""A language model job on a tiny text: prepared, trained, scored and exported, without Ray."""

import json
import string
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from nas.evaluation.scores import EvaluationData, scores
from nas.evaluation.subnet import subnets
from nas.export import ExportFailed, export_model
from nas.jobspec.load import parse_job
from nas.problem import Problem, prepare
from nas.supernet_training import FILE, stored_weights
from search_spaces.training.trainer import SupernetTrainer
from storage.records import Evaluation
from storage.store import ResultStore

TEXT = "the quick brown fox jumps over the lazy dog. " * 60
JOB: dict[str, Any] = {
    "name": "text",
    "space": {
        "name": "transformer_lm",
        "depths": [1, 2],
        "widths": [16, 32],
        "heads": [1, 2],
        "head_dim": 8,
        "feed_forwards": [1, 2],
        "window": 4,
        "chunk": 4,
    },
    "data": {"path": "text.txt", "length": 16, "stride": 8, "validation": 0.25},
    "supernet": {"epochs": 4, "batch_size": 16, "optimiser": "adamw", "learning_rate": 0.02, "label_smoothing": 0.0},
    "objectives": ["loss", "macs"],
    "strategy": "random",
    "budget": {"evaluations": 4},
}


def changed(section: str, **values: Any) -> dict[str, Any]:
    """The job with other values in a section."""
    return {**JOB, section: {**JOB[section], **values}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the text."""
    path = tmp_path_factory.mktemp("text")
    (path / "text.txt").write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def problem(folder: Path) -> Problem:
    """The job made concrete."""
    return prepare(parse_job(JOB, folder=folder))


@pytest.fixture(scope="module")
def data(problem: Problem) -> EvaluationData:
    """What its networks are scored on."""
    assert problem.dataset is not None
    return EvaluationData.of(problem.dataset, 32)


@pytest.fixture(scope="module")
def trained(folder: Path, problem: Problem) -> Path:
    """A folder with the trained supernet."""
    torch.set_num_threads(1)
    assert problem.dataset is not None
    assert problem.spec.supernet is not None
    split = problem.dataset.train
    trainer = SupernetTrainer(problem.space, problem.spec.supernet.training, split.inputs(), split.labels.copy())
    while not trainer.finished:
        trainer.train_epoch()
    trainer.save(folder / FILE)
    return folder


def test_space_is_made_for_the_text(problem: Problem) -> None:
    """Vocabulary and length come from the data; loss is minimised; inputs are whole numbers."""
    assert problem.space.settings["vocabulary"] == len(set(TEXT))
    assert problem.space.settings["length"] == 16
    assert [each.direction for each in problem.spec.objectives] == ["min", "min"]
    (tokens,) = problem.space.graph(problem.space.smallest()).inputs
    assert (tokens.dtype, tokens.shape) == ("int64", (1, 16))


def test_training_lowers_the_loss(problem: Problem, trained: Path, data: EvaluationData) -> None:
    """A trained network beats a random one and the entropy of single characters by far."""
    weights = stored_weights(problem, trained)
    genotype = problem.space.largest()
    after = scores(subnets(problem.space, weights, data).network(genotype), data)
    before = scores(subnets(problem.space, None, data).network(genotype), data)
    _, counts = np.unique(list(TEXT), return_counts=True)
    shares = counts / counts.sum()
    assert after["loss"] < -(shares * np.log(shares)).sum() - 0.5 < before["loss"]
    assert after["accuracy"] > before["accuracy"]


def test_loss_is_the_mean_over_all_characters(problem: Problem, data: EvaluationData) -> None:
    """Against torch's own figures in one piece, on a network of zeros: the logarithm of the vocabulary."""
    vocabulary = problem.space.settings["vocabulary"]
    found = scores(lambda tokens: torch.zeros((*tokens.shape, vocabulary)), data)
    assert found["loss"] == pytest.approx(np.log(vocabulary), rel=1e-6)
    assert found["accuracy"] == (data.labels == 0).mean()


def test_export_is_checked_on_tokens(problem: Problem, trained: Path, data: EvaluationData, tmp_path: Path) -> None:
    """The file's loss is compared with the front's; a front that claims another loss is not exported."""
    genotype = problem.space.largest()
    found = scores(subnets(problem.space, stored_weights(problem, trained), data).network(genotype), data)
    with ResultStore(f"sqlite:///{tmp_path}/nas.db") as store:
        job = store.create_job("text", problem.spec.model_dump(mode="json"))
        (tmp_path / job.id).symlink_to(trained)
        key, choices = problem.space.key(genotype), dict(problem.space.choices(genotype))
        path = tmp_path / "model.onnx"
        told = Evaluation(0, key, choices, {**found, "loss": found["loss"] - 0.01}, None, 0.0, datetime.now(UTC))
        with pytest.raises(ExportFailed, match="loss: expected"):
            export_model(store, tmp_path, job, problem, told, path)
        assert not path.exists()
        told = Evaluation(0, key, choices, found, None, 0.0, datetime.now(UTC))
        checks = export_model(store, tmp_path, job, problem, told, path).checks
    assert [check.name for check in checks] == ["torch against ONNX Runtime", "accuracy", "loss"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    characters = json.loads(session.get_modelmeta().custom_metadata_map["data"])["characters"]
    tokens = np.array([[characters.index(letter) for letter in "the quick brown "]])
    (logits,) = session.run(None, {"tokens": tokens})
    assert logits.shape == (1, 16, len(characters))


def test_data_and_space_must_agree(folder: Path) -> None:
    """Text for image networks, images for language models, other sizes than the data's: each one message."""
    cases = [
        (changed("space", vocabulary=7), r"space\.vocabulary is 7, but .*text\.txt has 28"),
        (changed("space", length=8), r"space\.length is 8, but .*text\.txt has 16"),
        (changed("space", window=5), r"window 5 must divide the length of 16"),
        (
            {**JOB, "space": "nasbench201"},
            r"'nasbench201' takes inputs float32 .* but .*text\.txt has int64 of \(16,\)",
        ),
        ({**JOB, "data": "digits"}, r"'transformer_lm' takes inputs int64 of \(128,\), but digits has float32"),
        (changed("supernet", flip=True), r"supernet\.flip changes images, but .*text\.txt is text"),
        (changed("supernet", batch_size=5000), r"batch_size is 5000, .* training samples"),
        (changed("data", length=None), r"text\.txt: length is missing"),
        (changed("data", limit=100), r"text\.txt: limit 100, but that is for images"),
        ({**JOB, "data": {"name": "digits", "length": 8}}, r"digits: length 8, but only a text"),
    ]
    assert len(set(TEXT)) == len(string.ascii_lowercase) + 2
    for job, message in cases:
        if "window" in message:  # the length is not known before the data are read
            job["space"]["length"] = 16
        with pytest.raises(ValueError, match=message):
            prepare(parse_job(job, folder=folder))
