"""The samples that a training sees: checked once, shuffled and augmented in every pass."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search_spaces.space import SearchSpace
from search_spaces.supernet.images import augment
from search_spaces.training.augmentation import Augmentation
from search_spaces.training.augmentation_settings import AugmentationSettings


class DataSettings(Protocol):
    """What of a recipe is about samples."""

    @property
    def batch_size(self) -> int:
        """Samples a step."""

    @property
    def shift(self) -> int:
        """Pixels by which images are moved at random."""

    @property
    def flip(self) -> bool:
        """Whether images are mirrored at random."""

    @property
    def augmentation(self) -> AugmentationSettings | None:
        """Further random changes of images."""


class TrainingData:
    """Images with labels, or tokens with those that follow, on the device of a training.

    Args:
        space: whose networks take them.
        settings: of the training.
        images: (N, C, H, W) float32, normalised; or tokens (N, T) where the networks take whole numbers.
        labels: (N,) whole numbers; for tokens (N, T), the token that follows each.
        device: where the training is.

    Raises:
        ValueError: images and labels that do not fit each other, augmentation that does not fit the images, or no full
            batch.
    """

    def __init__(
        self,
        space: SearchSpace,
        settings: DataSettings,
        images: NDArray[np.generic] | Tensor,
        labels: NDArray[np.integer[Any]] | Tensor,
        device: torch.device | str,
    ) -> None:
        takes = space.graph(space.smallest()).inputs[0].dtype
        self.settings = settings
        self.images = torch.as_tensor(images, dtype=getattr(torch, takes), device=device)
        self.labels = torch.as_tensor(labels, dtype=torch.int64, device=device)
        tokens = not self.images.is_floating_point()
        if self.labels.shape != (self.images.shape if tokens else self.images.shape[:1]):
            raise ValueError(
                f"training needs one label for each {'token' if tokens else 'image'}, got images "
                f"{tuple(self.images.shape)} and labels {tuple(self.labels.shape)}"
            )
        for option in ("shift", "flip", "augmentation"):
            if tokens and getattr(settings, option):
                raise ValueError(f"{option} is for images, got {getattr(settings, option)!r} with tokens")
        if len(self.images) < settings.batch_size:
            raise ValueError(f"batch_size {settings.batch_size} is more than the {len(self.images)} training images")
        changes = settings.augmentation
        self.augmentation = None if changes is None else Augmentation(changes, self.images)

    def batches(
        self, rng: np.random.Generator, rows: NDArray[np.intp] | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass: full batches, shuffled and augmented, images channels last, and labels.

        Args:
            rng: where the randomness comes from.
            rows: the samples; by default all.
        """
        size, settings = self.settings.batch_size, self.settings
        shuffled = rng.permutation(len(self.images)) if rows is None else rng.permutation(rows)
        order = torch.from_numpy(shuffled).to(self.images.device)
        for batch in torch.split(order[: len(order) // size * size], size):
            x = self.images[batch]
            if x.dim() == 4:
                x = augment(x, rng, shift=settings.shift, flip=settings.flip)
                if self.augmentation is not None:
                    x = self.augmentation(x, rng)
                x = x.contiguous(memory_format=torch.channels_last)
            yield x, self.labels[batch]
