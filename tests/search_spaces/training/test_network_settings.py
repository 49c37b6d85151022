"""A recipe with decisions in the place of its own values."""

import pytest

from search_spaces.training.augmentation_settings import AugmentationSettings
from search_spaces.training.network_settings import NetworkSettings


def test_decisions_take_the_place_of_the_recipe() -> None:
    """Each value for itself, and a strength for all changes of images."""
    augmentation = AugmentationSettings(random_resized_crop=0.6, random_erasing=0.4, randaugment={"m": 10})
    settings = NetworkSettings(shift=2, flip=True, augmentation=augmentation)
    assert settings.decided({}) == settings
    decided = settings.decided({"learning_rate": 0.5, "epochs": 7, "ema": 0.9})
    assert (decided.learning_rate, decided.epochs, decided.ema, decided.shift) == (0.5, 7, 0.9, 2)
    lion = settings.decided({"optimiser": "lion", "learning_rate": 0.2})  # twice what is usual for sgd, so for lion
    assert (lion.optimiser, lion.learning_rate) == ("lion", pytest.approx(0.0004))
    assert lion.decided({"optimiser": "lion"}) == lion
    assert settings.decided({"augmentation": 1}) == settings
    none = settings.decided({"augmentation": 0})
    assert (none.shift, none.flip, none.augmentation) == (0, False, None)
    half = settings.decided({"augmentation": 0.5})
    assert (half.shift, half.flip) == (1, True)
    assert half.augmentation is not None
    assert half.augmentation.random_resized_crop == pytest.approx(0.8)
    assert half.augmentation.random_erasing == pytest.approx(0.2)
    assert half.augmentation.randaugment is not None
    assert half.augmentation.randaugment.m == 5
    with pytest.raises(ValueError, match="a strength from 0 to 2"):
        settings.decided({"augmentation": 3})
    with pytest.raises(ValueError, match="warmup_epochs must be less than epochs"):
        settings.decided({"epochs": 2})


def test_colours_are_scaled_as_far_as_they_go() -> None:
    """Amounts stay within what they may be, and nothing is left of a strength of 0."""
    jitter = AugmentationSettings(color_jitter={"brightness": 0.8, "hue": 0.4})
    doubled = jitter.scaled(2.0)
    assert doubled is not None
    assert doubled.color_jitter is not None
    assert (doubled.color_jitter.brightness, doubled.color_jitter.hue) == (1.0, 0.5)
    assert jitter.scaled(0.0) is None
    assert AugmentationSettings(randaugment={"m": 1}).scaled(0.2) is None
