"""Training in half precision: near float32, resumed to the bit, and steps that overflow left out."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.training.checkpoint import CheckpointError, load_checkpoint, read_notes, save_checkpoint
from search_spaces.training.settings import TrainingSettings
from search_spaces.training.trainer import SupernetTrainer

Data = tuple[np.ndarray, np.ndarray]


def recipe(precision: str) -> TrainingSettings:
    """Two short epochs."""
    return TrainingSettings(
        epochs=2, batch_size=8, warmup_epochs=0, random_subnets=1, learning_rate=0.02, precision=precision
    )


@pytest.fixture(scope="module")
def data() -> Data:
    """Thirty-two images whose brightness is their class."""
    labels = np.arange(32) % 4
    noise = np.random.default_rng(0).standard_normal((32, 1, 8, 8))
    return (noise + labels[:, None, None, None]).astype(np.float32), labels


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_losses_are_near_those_of_float32(small_space: MobileNetV3, data: Data, precision: str) -> None:
    """Over two epochs, with float32 weights throughout."""
    exact, half = (SupernetTrainer(small_space, recipe(each), *data) for each in ("float32", precision))
    while not exact.finished:
        expected, found = exact.train_epoch()["loss"], half.train_epoch()["loss"]
        assert found == pytest.approx(expected, rel=0.02)
        assert found != expected
    assert all(value.dtype == torch.float32 for value in half.supernet.shared.values())


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_resumed_training_ends_with_the_same_bits(
    small_space: MobileNetV3, data: Data, tmp_path: Path, precision: str
) -> None:
    """The loss scale of float16 is part of the checkpoint."""
    whole = SupernetTrainer(small_space, recipe(precision), *data)
    whole.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3, enabled=precision == "float16")
    whole.train_epoch()
    whole.save(tmp_path / "half.safetensors")
    resumed = SupernetTrainer(small_space, recipe(precision), *data)
    resumed.load(tmp_path / "half.safetensors")
    assert resumed.scaler.state_dict() == whole.scaler.state_dict()
    assert (precision == "float16") == (whole.scaler.get_scale() == 2.0**11)
    for trainer in (whole, resumed):
        trainer.train_epoch()
    for name, value in whole.supernet.shared.items():
        assert torch.equal(value, resumed.supernet.shared[name]), name


def test_steps_that_overflow_are_left_out(small_space: MobileNetV3, data: Data) -> None:
    """With a loss scale that is far too large nothing is learned but a smaller scale."""
    trainer = SupernetTrainer(small_space, recipe("float16"), *data)
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60)
    before = {name: value.detach().clone() for name, value in trainer.supernet.shared.items()}
    trainer.train_epoch()
    assert trainer.scaler.get_scale() == 2.0 ** (60 - trainer.steps)
    assert all(torch.equal(value, before[name]) for name, value in trainer.supernet.shared.items())


def test_checkpoints_without_their_loss_scale_are_refused(small_space: MobileNetV3, data: Data, tmp_path: Path) -> None:
    """A file whose notes were tampered with is refused before anything is changed."""
    path = tmp_path / "half.safetensors"
    trainer = SupernetTrainer(small_space, recipe("float16"), *data)
    trainer.save(path)
    notes = {**read_notes(path), "scaler": {}}
    weights = {f"weights/{name}": tuple(value.shape) for name, value in trainer.supernet.shared.items()}
    momenta = {f"optimiser/{name}/momentum_buffer": tuple(v.shape) for name, v in trainer.supernet.shared.items()}
    save_checkpoint(path, load_checkpoint(path, weights, momenta).tensors, json.loads(json.dumps(notes)))
    with pytest.raises(CheckpointError, match=r"loss scale {}, of another kind"):
        trainer.load(path)
