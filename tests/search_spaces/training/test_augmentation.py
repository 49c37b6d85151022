"""Augmentation by kornia: every change works on normalised images, from one seed, and refuses what it cannot do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.training.augmentation import Augmentation
from search_spaces.training.augmentation_settings import AugmentationSettings
from search_spaces.training.settings import TrainingSettings
from search_spaces.training.trainer import SupernetTrainer

EVERYTHING = {
    "random_resized_crop": 0.4,
    "color_jitter": {"brightness": 0.3, "contrast": 0.3},
    "randaugment": {"n": 3, "m": 15},
    "random_erasing": 0.5,
}


def images(channels: int) -> torch.Tensor:
    """Normalised pictures: gradients with a bright corner, 0 and 1 before they were normalised."""
    ramp = torch.linspace(0, 1, 12)
    pictures = (ramp[:, None] * ramp).expand(16, channels, 12, 12).clone()
    pictures[:, :, :3, :3] = torch.rand((16, 1, 3, 3), generator=torch.Generator().manual_seed(0))
    return (pictures - 0.4) / 0.25


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("change", EVERYTHING)
def test_each_change_keeps_what_it_must(channels: int, change: str) -> None:
    """Same shape, still within the range of the pixels, other pixels, and no image of the training set touched."""
    pictures = images(channels)
    before = pictures.clone()
    augment = Augmentation(AugmentationSettings(**{change: EVERYTHING[change]}), pictures)
    rng, same = np.random.default_rng(0), 0
    for _ in range(12):
        changed = augment(pictures, rng)
        assert changed.shape == pictures.shape
        assert changed.dtype == torch.float32
        assert changed.min() >= pictures.min() - 1e-5
        assert changed.max() <= pictures.max() + 1e-5
        same += torch.equal(changed, pictures)
    assert same <= 3  # some changes of RandAugment find nothing to do, such as to colours of grey images
    assert torch.equal(pictures, before)


def test_colours_change_as_if_images_were_not_normalised() -> None:
    """Kornia gets pixels in [0, 1]: the same pictures before normalisation give the same changes."""
    settings = AugmentationSettings(color_jitter={"brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.2})
    normalised = images(3)
    plain = normalised * 0.25 + 0.4
    found = Augmentation(settings, normalised)(normalised, np.random.default_rng(1))
    expected = Augmentation(settings, plain)(plain, np.random.default_rng(1))
    torch.testing.assert_close(found * 0.25 + 0.4, expected, rtol=0, atol=1e-5)


def test_randomness_comes_from_the_generator_alone() -> None:
    """The same generator gives the same images, another other ones, and torch's own state is left alone."""
    pictures = images(1)
    augment = Augmentation(AugmentationSettings(**EVERYTHING), pictures)
    state = torch.random.get_rng_state()
    first, again, other = (augment(pictures, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_augmented_training_resumes_with_the_same_bits(small_space: MobileNetV3, tmp_path: Path) -> None:
    """Stopped in the middle and taken up, the weights are those of the whole run."""
    settings = TrainingSettings(
        epochs=2, batch_size=8, warmup_epochs=0, random_subnets=0, learning_rate=0.05, shift=1, augmentation=EVERYTHING
    )
    data = images(1)[:, :, 2:10, 2:10].numpy(), np.arange(16) % 4
    whole = SupernetTrainer(small_space, settings, *data)
    whole.train_epoch()
    whole.save(tmp_path / "half.safetensors")
    torch.rand(3)  # whatever else draws from torch
    whole.train_epoch()
    resumed = SupernetTrainer(small_space, settings, *data)
    resumed.load(tmp_path / "half.safetensors")
    resumed.train_epoch()
    for name, value in whole.supernet.shared.items():
        assert torch.equal(value, resumed.supernet.shared[name]), name


@pytest.mark.parametrize(
    "given, message",
    [
        ({"randaugment": {"n": 0}}, "greater than or equal to 1"),
        ({"random_erasing": 1.5}, "less than or equal to 1"),
        ({"colour_jitter": {}}, "Extra inputs are not permitted"),
        ({"color_jitter": {"hue": 0.7}}, "less than or equal to 0.5"),
    ],
)
def test_settings_out_of_range_are_refused(given: dict[str, Any], message: str) -> None:
    """By name and bound."""
    with pytest.raises(ValidationError, match=message):
        AugmentationSettings(**given)


@pytest.mark.parametrize(
    "given, channels, message",
    [
        ({"color_jitter": {"hue": 0.1}}, 1, "color_jitter.hue is 0.1, but only images of 3 channels have a hue"),
        ({"randaugment": {}}, 4, "randaugment is for images of 1 or 3 channels, these have 4"),
    ],
)
def test_images_that_a_change_is_not_for_are_refused(given: dict[str, Any], channels: int, message: str) -> None:
    """Colours need colour."""
    with pytest.raises(ValueError, match=message):
        Augmentation(AugmentationSettings(**given), torch.zeros((2, channels, 8, 8)))
