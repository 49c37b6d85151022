"""Training: it learns, it resumes to the bit, and it refuses what cannot be trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.supernet.evaluation import evaluate, score
from search_spaces.supernet.images import augment, resize
from search_spaces.training.checkpoint import CheckpointError
from search_spaces.training.loop import TrainingError
from search_spaces.training.settings import TrainingSettings
from search_spaces.training.trainer import SupernetTrainer, load_supernet

QUICK = TrainingSettings(epochs=3, batch_size=16, warmup_epochs=0, random_subnets=1, shift=1, flip=True, seed=5)


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    """Which quarter of a noisy 8 px image is bright: 64 images, 4 classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(64) % 4
    images = rng.standard_normal((64, 1, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 3
    return images, labels


def weights(trainer: SupernetTrainer) -> dict[str, torch.Tensor]:
    """Copies of the shared weights."""
    return {name: value.detach().clone() for name, value in trainer.supernet.shared.items()}


def test_subnets_learn(small_space: MobileNetV3, data: tuple[np.ndarray, np.ndarray]) -> None:
    """After a few epochs the largest, the smallest and a random subnet tell the quarters apart."""
    settings = TrainingSettings(epochs=8, batch_size=16, warmup_epochs=1, optimiser="adamw", learning_rate=0.01)
    trainer = SupernetTrainer(small_space, settings, *data)
    steps: list[tuple[int, int]] = []
    metrics = [trainer.train_epoch(lambda step, of, loss: steps.append((step, of))) for _ in range(8)]
    assert trainer.finished
    assert steps == [(step, 4) for _ in range(8) for step in (1, 2, 3, 4)]
    assert metrics[-1]["loss"] < metrics[0]["loss"]
    assert metrics[-1]["images_per_s"] > 0
    population = np.stack(
        [small_space.largest(), small_space.smallest(), small_space.sample(1, np.random.default_rng(0))[0]]
    )
    found = evaluate(trainer.supernet, population, [trainer.images], trainer.images, trainer.labels)
    assert found["accuracy"].min() > 0.9
    assert found["loss"].max() < 1


@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "lion"])
def test_resumed_training_ends_with_the_same_bits(
    small_space: MobileNetV3, data: tuple[np.ndarray, np.ndarray], tmp_path: Path, optimiser: str
) -> None:
    """Stopped after any epoch and taken up by a new trainer, the weights are those of the whole run."""
    settings = TrainingSettings(**{**QUICK.model_dump(), "optimiser": optimiser, "learning_rate": 0.01})
    whole = SupernetTrainer(small_space, settings, *data)
    paths = []
    while not whole.finished:
        paths.append(tmp_path / f"{whole.epoch}.safetensors")
        whole.save(paths[-1])
        whole.train_epoch()
    for epoch, path in enumerate(paths):
        resumed = SupernetTrainer(small_space, settings, *data)
        resumed.load(path)
        assert resumed.epoch == epoch
        while not resumed.finished:
            resumed.train_epoch()
        for name, value in weights(whole).items():
            assert torch.equal(value, resumed.supernet.shared[name]), name


@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "lion"])
def test_weights_may_come_to_be_used_late(optimiser: str) -> None:
    """In a space of operators a step trains those that its networks hold, the next step others."""
    space = NasBench201(resolution=8, widths=(4, 8), cells=1)
    settings = TrainingSettings(epochs=3, batch_size=4, optimiser=optimiser, learning_rate=0.01, random_subnets=1)
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(16, 3, 8, 8)).astype(np.float32), rng.integers(0, 10, 16)
    trainer = SupernetTrainer(space, settings, images, labels)
    before = {name: value.detach().clone() for name, value in trainer.supernet.shared.items()}
    while not trainer.finished:
        assert np.isfinite(trainer.train_epoch()["loss"])
    assert any((value != before[name]).any() for name, value in trainer.supernet.shared.items() if "1x1" in name)


def test_seeds_differ(small_space: MobileNetV3, data: tuple[np.ndarray, np.ndarray]) -> None:
    """Another seed is another training."""
    first, other = (SupernetTrainer(small_space, QUICK.model_copy(update={"seed": seed}), *data) for seed in (0, 1))
    assert not torch.equal(first.supernet.shared["stem.conv.weight"], other.supernet.shared["stem.conv.weight"])


def test_supernet_of_a_checkpoint(
    small_space: MobileNetV3, data: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    """An evaluating process gets the weights from the file alone."""
    trainer = SupernetTrainer(small_space, QUICK, *data)
    trainer.train_epoch()
    trainer.save(tmp_path / "supernet.safetensors")
    supernet = load_supernet(tmp_path / "supernet.safetensors", small_space)
    assert all(torch.equal(value, supernet.shared[name]) for name, value in weights(trainer).items())


def test_checkpoints_of_another_training_are_refused(
    small_space: MobileNetV3, data: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    """Another space, another recipe and other data are named, and nothing is changed."""
    path = tmp_path / "supernet.safetensors"
    SupernetTrainer(small_space, QUICK, *data).save(path)
    images, labels = data
    wider = MobileNetV3(**{**small_space.settings, "final_width": 40})
    with pytest.raises(CheckpointError, match="belongs to another training: its settings is"):
        SupernetTrainer(wider, QUICK, images, labels).load(path)
    with pytest.raises(CheckpointError, match="its training is"):
        SupernetTrainer(small_space, QUICK.model_copy(update={"seed": 6}), images, labels).load(path)
    with pytest.raises(CheckpointError, match="its samples is"):
        SupernetTrainer(small_space, QUICK, images[:32], labels[:32]).load(path)
    with pytest.raises(CheckpointError, match="was trained for settings"):
        load_supernet(path, wider)


def test_evaluation_agrees_with_one_by_one(small_space: MobileNetV3, data: tuple[np.ndarray, np.ndarray]) -> None:
    """Many subnets at once get the figures of each alone, whatever the batch size and resolution."""
    trainer = SupernetTrainer(small_space, QUICK, *data)
    trainer.train_epoch()
    population = small_space.sample(4, np.random.default_rng(0))
    calibration = [trainer.images[:24], trainer.images[24:]]
    found = evaluate(trainer.supernet, population, calibration, trainer.images, trainer.labels, batch_size=7)
    for row, genotype in enumerate(population):
        statistics = trainer.supernet.recalibrate(genotype, calibration)
        alone = score(trainer.supernet, genotype, statistics, trainer.images, trainer.labels)
        assert found["accuracy"][row] == pytest.approx(alone["accuracy"], abs=1 / 64)
        assert found["loss"][row] == pytest.approx(alone["loss"], rel=1e-3)


def test_a_loss_that_is_no_number_is_an_error(small_space: MobileNetV3, data: tuple[np.ndarray, np.ndarray]) -> None:
    """The step and the rate are said; the weights stay finite."""
    images, labels = data
    broken = images.copy()
    broken[:, 0, 0, 0] = np.nan
    trainer = SupernetTrainer(small_space, QUICK, broken, labels)
    with pytest.raises(TrainingError, match="the loss became nan in step 1 of epoch 1 at learning rate"):
        trainer.train_epoch()
    assert all(value.isfinite().all() for value in weights(trainer).values())


@pytest.mark.parametrize(
    "change, message",
    [
        ({"epoch": 3}, "epoch\n  Extra inputs are not permitted"),
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"learning_rate": float("nan")}, "finite number"),
        ({"optimiser": "adam"}, "'sgd', 'adamw' or 'lion'"),
        ({"distillation": 1.5}, "less than or equal to 1"),
        ({"epochs": 2, "warmup_epochs": 2}, r"warmup_epochs must be less than epochs \(2\), got 2.0"),
    ],
)
def test_recipes_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    """Unknown keys and values out of range, by name."""
    with pytest.raises(ValidationError, match=message):
        TrainingSettings(**change)


def test_data_that_cannot_be_are_refused(small_space: MobileNetV3, data: tuple[np.ndarray, np.ndarray]) -> None:
    """Fewer labels than images, fewer images than a batch, and more epochs than there are."""
    images, labels = data
    with pytest.raises(ValueError, match=r"one label for each image, got images \(64, 1, 8, 8\) and labels \(63,\)"):
        SupernetTrainer(small_space, QUICK, images, labels[:-1])
    with pytest.raises(ValueError, match="batch_size 16 is more than the 8 training images"):
        SupernetTrainer(small_space, QUICK, images[:8], labels[:8])
    trainer = SupernetTrainer(small_space, QUICK, images, labels)
    trainer.epoch = 3
    with pytest.raises(ValueError, match="all 3 epochs of this training are done"):
        trainer.train_epoch()


def test_augmentation_moves_and_mirrors_whole_images() -> None:
    """Each result is one of the possible shifts of the image or its mirror image, and each kind occurs."""
    image = torch.arange(1.0, 31.0).view(1, 1, 5, 6)
    batch = augment(image.expand(200, 2, 5, 6), np.random.default_rng(0), shift=1, flip=True)
    allowed = set()
    for source in (image[0, 0], image[0, 0].flip(1)):
        padded = torch.nn.functional.pad(source, [1] * 4)
        allowed |= {tuple(padded[r : r + 5, c : c + 6].flatten().tolist()) for r in range(3) for c in range(3)}
    assert len(allowed) == 18
    assert torch.equal(batch[:, 0], batch[:, 1])
    assert {tuple(result.flatten().tolist()) for result in batch[:, 0]} == allowed
    mirrored = augment(image.expand(50, 1, 5, 6), np.random.default_rng(0), shift=0, flip=True)
    assert {tuple(result.flatten().tolist()) for result in mirrored} == {
        tuple(source.flatten().tolist()) for source in (image[0, 0], image[0, 0].flip(1))
    }
    assert augment(image, np.random.default_rng(0), shift=0, flip=False) is image


def test_resizing_keeps_means_and_sizes() -> None:
    """Shrinking averages, and an image of the right size stays the same object."""
    image = torch.randn((1, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    assert resize(image, 8, 8) is image
    assert resize(image, 4, 4).shape == (1, 1, 4, 4)
    torch.testing.assert_close(resize(torch.full((1, 1, 8, 8), 3.0), 5, 5), torch.full((1, 1, 5, 5), 3.0))
