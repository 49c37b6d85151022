"""Random changes of training images by kornia, with all randomness from one seed for each batch."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from search_spaces.training.augmentation_settings import AugmentationSettings

Change = Callable[[Tensor], Tensor]


class Augmentation:
    """Changes batches of normalised images.

    Changes of colour are defined for pixels in [0, 1]. They are made on images that are scaled to that range and back
    again, where 0 and 1 are the smallest and the largest value of each channel in `images`: for images that were
    normalised with a mean and a deviation, those are black and full brightness.

    Args:
        settings: which changes.
        images: (N, C, H, W), all the training images.

    Raises:
        ValueError: these images cannot be changed like this.
    """

    def __init__(self, settings: AugmentationSettings, images: Tensor) -> None:
        settings.check(images.shape[1])
        self._low = images.amin((0, 2, 3))[:, None, None]
        self._span = images.amax((0, 2, 3))[:, None, None] - self._low
        self._span[self._span == 0] = 1  # a channel that is the same everywhere
        self._changes = _changes(settings, images.shape[1], (images.shape[2], images.shape[3]))

    @torch.no_grad()
    def __call__(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """A changed batch (N, C, H, W); it depends on `images` and one draw from `rng` only."""
        with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
            torch.manual_seed(int(rng.integers(2**63)))
            for change, on_pixels in self._changes:
                images = self._on_pixels(change, images) if on_pixels else change(images)
        return images

    def _on_pixels(self, change: Change, images: Tensor) -> Tensor:
        pixels = ((images - self._low) / self._span).clamp(0, 1)  # zeros that moved in may lie outside
        return change(pixels) * self._span + self._low


def _changes(settings: AugmentationSettings, channels: int, size: tuple[int, int]) -> list[tuple[Change, bool]]:
    """The changes in their order, and whether each is for pixels in [0, 1]."""
    import kornia.augmentation as kornia  # it takes a moment, and few trainings need it
    from kornia.augmentation.auto import RandAugment
    from kornia.augmentation.auto.rand_augment.rand_augment import default_policy

    changes: list[tuple[Change, bool]] = []
    if settings.random_resized_crop is not None:
        changes.append((kornia.RandomResizedCrop(size, scale=(settings.random_resized_crop, 1.0)), False))
    if settings.color_jitter is not None:
        changes.append((kornia.ColorJitter(**settings.color_jitter.model_dump(), p=1.0), True))
    if settings.randaugment is not None:
        policy = [step for step in default_policy if channels == 3 or step[0][0] != "color"]
        changes.append((RandAugment(**settings.randaugment.model_dump(), policy=policy), True))
    if settings.random_erasing is not None:
        changes.append((kornia.RandomErasing(p=settings.random_erasing), False))
    return changes
