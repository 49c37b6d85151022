"""Supernets with every option at once: trained, kept, handed on and exported like plain ones."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.interchange.onnx_file import model_bytes
from search_spaces.supernet.images import resize
from search_spaces.supernet.settings import SupernetSettings
from search_spaces.supernet.weights import SupernetWeights
from search_spaces.training.checkpoint import CheckpointError
from search_spaces.training.settings import TrainingSettings
from search_spaces.training.trainer import SupernetTrainer, load_supernet

SETTINGS = TrainingSettings(
    epochs=2, batch_size=8, warmup_epochs=0, random_subnets=1, learning_rate=0.05, kernel_transformation=True, experts=2
)


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    """Sixteen images of noise."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((16, 1, 8, 8)).astype(np.float32), np.arange(16) % 4


@pytest.fixture(scope="module")
def trained(small_space: MobileNetV3, data: tuple[np.ndarray, np.ndarray]) -> SupernetTrainer:
    """Both epochs done."""
    trainer = SupernetTrainer(small_space, SETTINGS, *data)
    while not trainer.finished:
        trainer.train_epoch()
    return trainer


def test_training_resumes_with_the_same_bits(
    small_space: MobileNetV3, data: tuple[np.ndarray, np.ndarray], trained: SupernetTrainer, tmp_path: Path
) -> None:
    """Matrices, experts and router are part of the checkpoint, and so is what the optimiser knows of them."""
    half = SupernetTrainer(small_space, SETTINGS, *data)
    before = {name: value.detach().clone() for name, value in half.supernet.shared.items()}
    half.train_epoch()
    half.save(tmp_path / "half.safetensors")
    resumed = SupernetTrainer(small_space, SETTINGS, *data)
    resumed.load(tmp_path / "half.safetensors")
    resumed.train_epoch()
    for name, value in trained.supernet.shared.items():
        assert torch.equal(value, resumed.supernet.shared[name]), name
        assert not torch.equal(value, before[name]), name
    other = SupernetTrainer(small_space, SETTINGS.model_copy(update={"experts": 1}), *data)
    with pytest.raises(CheckpointError, match="its training is"):
        other.load(tmp_path / "half.safetensors")


def test_a_checkpoint_says_which_supernet_it_holds(
    small_space: MobileNetV3, trained: SupernetTrainer, tmp_path: Path
) -> None:
    """Who evaluates gets the same networks from the file, and from plain values."""
    path = tmp_path / "supernet.safetensors"
    trained.save(path)
    loaded = load_supernet(path, small_space)
    assert loaded.settings == SupernetSettings(kernel_transformation=True, experts=2)
    handed = SupernetWeights.of(loaded).supernet(small_space)
    for genotype in small_space.sample(3, np.random.default_rng(1)):
        for name, tensor in trained.supernet.weights(genotype).items():
            assert torch.equal(tensor, loaded.weights(genotype)[name])
            assert torch.equal(tensor, handed.weights(genotype)[name])


def test_exported_networks_run_alike_in_onnx_runtime(small_space: MobileNetV3, trained: SupernetTrainer) -> None:
    """An exported network holds the mixed and transformed weights as plain tensors."""
    for genotype in (small_space.smallest(), *small_space.sample(3, np.random.default_rng(2))):
        statistics = trained.supernet.recalibrate(genotype, [trained.images])
        graph = small_space.graph(genotype)
        file = model_bytes(graph, trained.supernet.subnet_state(genotype, statistics))
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        images = resize(trained.images, *graph.inputs[0].shape[2:])
        (logits,) = session.run(None, {"image": images.numpy()})
        with torch.no_grad():
            expected = trained.supernet(images, genotype, statistics)
        np.testing.assert_allclose(logits, expected.numpy(), rtol=1e-3, atol=1e-4)
