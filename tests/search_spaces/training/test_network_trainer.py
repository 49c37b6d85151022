"""One network trained alone: from scratch, from a supernet's weights, averaged, resumed to the bit."""

from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.supernet.evaluation import evaluate
from search_spaces.supernet.supernet import Supernet
from search_spaces.training.checkpoint import CheckpointError
from search_spaces.training.network_settings import NetworkSettings
from search_spaces.training.network_trainer import NetworkTrainer, load_network
from search_spaces.training.settings import TrainingSettings
from search_spaces.training.trainer import SupernetTrainer, load_supernet

QUICK = NetworkSettings(epochs=3, batch_size=16, warmup_epochs=0, shift=1, flip=True, seed=5, ema=0.8)
Data = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def data() -> Data:
    """Which quarter of a noisy 8 px image is bright: 64 images, 4 classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(64) % 4
    images = rng.standard_normal((64, 1, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 3
    return images, labels


def values(network: Supernet) -> dict[str, torch.Tensor]:
    """Copies of the weights."""
    return {name: value.detach().clone() for name, value in network.shared.items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of weights have the same bits."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("optimiser, rate", [("sgd", 0.2), ("adamw", 0.01), ("lion", 0.002)])
def test_it_learns_with_its_own_tensors_alone(
    small_space: MobileNetV3, data: Data, optimiser: str, rate: float
) -> None:
    """Only that network's tensors exist, and after a few epochs it tells the quarters apart."""
    genotype = small_space.smallest()
    settings = NetworkSettings(epochs=8, batch_size=16, warmup_epochs=1, optimiser=optimiser, learning_rate=rate)
    trainer = NetworkTrainer(small_space, genotype, settings, *data)
    shapes = {name: tuple(value.shape) for name, value in trainer.result.shared.items()}
    graph = small_space.graph(genotype)
    assert shapes == {name: value.shape for name, value in graph.parameters.items() if value.trainable}
    while not trainer.finished:
        trainer.train_epoch()
    found = evaluate(trainer.result, genotype[None], [trainer.images], trainer.images, trainer.labels)
    assert found["accuracy"][0] > 0.9


def test_resumed_training_ends_with_the_same_bits(small_space: MobileNetV3, data: Data, tmp_path: Path) -> None:
    """Weights and their average; the finished file holds the average alone, and no supernet."""
    genotype = small_space.largest()
    whole = NetworkTrainer(small_space, genotype, QUICK, *data)
    for _ in range(3):
        whole.train_epoch()
    first = NetworkTrainer(small_space, genotype, QUICK, *data)
    first.train_epoch()
    first.results.append({"epoch": 1, "accuracy": 0.25})
    first.save(tmp_path / "one.safetensors")
    again = NetworkTrainer(small_space, genotype, QUICK, *data)
    again.load(tmp_path / "one.safetensors")
    assert again.results == [{"epoch": 1, "accuracy": 0.25}]
    while not again.finished:
        again.train_epoch()
    assert same(values(again.supernet), values(whole.supernet))
    assert same(values(again.result), values(whole.result))
    assert not same(values(again.result), values(again.supernet))
    again.save_result(tmp_path / "result.safetensors")
    assert same(values(load_network(tmp_path / "result.safetensors", small_space, genotype)), values(again.result))
    with pytest.raises(CheckpointError, match="was trained for genotype"):
        load_network(tmp_path / "result.safetensors", small_space, small_space.smallest())
    with pytest.raises(CheckpointError, match="genotype"):
        load_supernet(tmp_path / "result.safetensors", small_space)
    with pytest.raises(CheckpointError, match="belongs to another training: its training is"):
        NetworkTrainer(small_space, genotype, QUICK.model_copy(update={"ema": 0.0}), *data).load(
            tmp_path / "one.safetensors"
        )


def test_the_average_is_the_one_of_the_definition(small_space: MobileNetV3, data: Data) -> None:
    """Each step moves it to d times itself and (1 - d) times the weights, d rising to the decay that was asked for."""
    trainer = NetworkTrainer(small_space, small_space.smallest(), QUICK, *data)
    name = next(iter(trainer.supernet.shared))
    expected, steps = trainer.supernet.shared[name].detach().double().clone(), []

    def follow(step: int, of: int, loss: float) -> None:
        steps.append(step)
        done = len(steps) - 1
        decay = min(0.8, (1 + done) / (10 + done))
        expected.mul_(decay).add_(trainer.supernet.shared[name].detach().double(), alpha=1 - decay)

    for _ in range(3):
        trainer.train_epoch(follow)
    assert len(steps) == 12
    torch.testing.assert_close(trainer.result.shared[name].detach().double(), expected, rtol=1e-5, atol=1e-6)


def test_it_begins_with_the_weights_of_a_supernet(small_space: MobileNetV3, data: Data) -> None:
    """The network computes what it did in the supernet, kernel transformation included."""
    settings = TrainingSettings(epochs=1, batch_size=16, warmup_epochs=0, kernel_transformation=True)
    supernet = SupernetTrainer(small_space, settings, *data)
    supernet.train_epoch()
    genotype = small_space.smallest()
    weights = supernet.supernet.weights(genotype)
    trainer = NetworkTrainer(small_space, genotype, QUICK, *data, start=weights)
    images = torch.from_numpy(data[0])
    with torch.no_grad():
        torch.testing.assert_close(trainer.result(images, genotype), supernet.supernet(images, genotype))
    trainer.train_epoch()
    torch.testing.assert_close(weights, supernet.supernet.weights(genotype))
    with pytest.raises(ValueError, match=r"the network needs .* to begin with, got"):
        NetworkTrainer(small_space, small_space.largest(), QUICK, *data, start=weights)
