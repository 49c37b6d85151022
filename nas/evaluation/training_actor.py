"""What trains a supernet on a worker: an epoch at a time, its state as the bytes of a checkpoint."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nas.evaluation.subnet_actor import SpaceSpec
from search_spaces.registry import SPACES
from search_spaces.training import SupernetTrainer
from search_spaces.training_settings import TrainingSettings


class TrainingActor:
    """Trains the supernet of a space.

    Args:
        space: the space.
        settings: how it is trained.
        images: (n, C, H, W) float32, training images only.
        labels: (n,) int64.
        checkpoint: where an earlier actor was, as `checkpoint` gave it; None to begin.
        threads: of torch.
    """

    def __init__(
        self,
        space: SpaceSpec,
        settings: TrainingSettings,
        images: NDArray[np.float32],
        labels: NDArray[np.int64],
        checkpoint: bytes | None,
        threads: int,
    ) -> None:
        torch.set_num_threads(threads)
        self._trainer = SupernetTrainer(SPACES[space.name](**space.settings), settings, images, labels)
        if checkpoint is not None:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "checkpoint.safetensors")
                path.write_bytes(checkpoint)
                self._trainer.load(path)

    def epoch(self) -> int:
        """Epochs that are done."""
        return self._trainer.epoch

    def train_epoch(self) -> tuple[int, dict[str, float]]:
        """Train one epoch; how many are done, and its metrics."""
        metrics = self._trainer.train_epoch()
        return self._trainer.epoch, metrics

    def checkpoint(self) -> bytes:
        """The state after the last epoch."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "checkpoint.safetensors")
            self._trainer.save(path)
            return path.read_bytes()
