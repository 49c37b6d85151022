"""What trains a supernet on a worker: an epoch at a time, its state as the bytes of a checkpoint."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nas.evaluation import checkpoint_bytes
from search_spaces.recipe import SpaceRecipe
from search_spaces.training.settings import TrainingSettings
from search_spaces.training.trainer import SupernetTrainer


class TrainingActor:
    """Trains the supernet of a space; `begin` comes first.

    A training that cannot be is an error of `begin` and not of the constructor, since an actor whose constructor
    fails looks like one that was lost.

    Args:
        space: the space.
        settings: how it is trained.
        inputs: (n, C, H, W) float32 or (n, T) int64, training samples only.
        labels: (n,) int64, or for tokens (n, T).
        threads: of torch.
        device: `cpu` or `cuda`.
    """

    def __init__(
        self,
        space: SpaceRecipe,
        settings: TrainingSettings,
        inputs: NDArray[Any],
        labels: NDArray[np.int64],
        threads: int,
        device: str = "cpu",
    ) -> None:
        self._space, self._settings, self._inputs, self._labels = space, settings, inputs, labels
        self._threads, self._device = threads, device

    def begin(self, checkpoint: bytes | None) -> int:
        """Prepare the training, where an earlier actor's `checkpoint` was if it is given; the epochs that are done."""
        torch.set_num_threads(self._threads)
        self._trainer = SupernetTrainer(
            self._space.make(), self._settings, self._inputs, self._labels, device=self._device
        )
        if checkpoint is not None:
            checkpoint_bytes.load(checkpoint, self._trainer.load)
        return self._trainer.epoch

    def train_epoch(self) -> tuple[int, dict[str, float]]:
        """Train one epoch; how many are done, and its metrics."""
        metrics = self._trainer.train_epoch()
        return self._trainer.epoch, metrics

    def checkpoint(self) -> bytes:
        """The state after the last epoch."""
        return checkpoint_bytes.saved(self._trainer.save)
