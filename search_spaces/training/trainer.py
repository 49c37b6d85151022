"""Training of a supernet by the sandwich rule with in-place distillation.

Each step trains the largest network on the labels, then the smallest and a few random ones on what the largest
predicts, and takes one optimiser step along the mean of all gradients (Yu and Huang, arXiv 1903.05134; Yu et al.,
BigNAS, arXiv 2003.11142), or it trains random ones on the labels alone (`sampling`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from search_spaces.space import Population, SearchSpace
from search_spaces.supernet.channel_order import order_channels
from search_spaces.supernet.phases import PhaseNetworks
from search_spaces.supernet.settings import SupernetSettings
from search_spaces.supernet.supernet import Supernet
from search_spaces.training.checkpoint import CheckpointError, read_notes
from search_spaces.training.loop import TrainingLoop, restore
from search_spaces.training.settings import TrainingSettings


class SupernetTrainer(TrainingLoop[TrainingSettings]):
    """Trains the shared weights of a space.

    Args:
        space: what can be built.
        settings: the recipe.
        images: (N, C, H, W) float32, normalised; or tokens (N, T) where the networks take whole numbers.
        labels: (N,) whole numbers; for tokens (N, T), the token that follows each.
        device: where to train.

    Raises:
        ValueError: images and labels that do not fit each other, augmentation that does not fit the images, no full
            batch, or phases that name no decision.
    """

    def __init__(
        self,
        space: SearchSpace,
        settings: TrainingSettings,
        images: NDArray[np.generic] | Tensor,
        labels: NDArray[np.integer[Any]] | Tensor,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        self.phases = [PhaseNetworks(space, phase.elastic) for phase in settings.schedule]
        super().__init__(Supernet(space, settings.seed, settings=settings), settings, images, labels, device)

    def _begin_epoch(self) -> None:
        index, done = self.settings.place(self.epoch)
        if self.settings.schedule[index].order_channels and not done:
            order_channels(self.supernet, self.optimiser.state, self.phases[:index])

    def _learning_rate(self, step: int) -> float:
        """It rises and falls anew in each phase."""
        index, done = self.settings.place(self.epoch)
        phase = self.settings.schedule[index]
        return self._annealed(phase.learning_rate or self.settings.learning_rate, phase.epochs, done, step)

    def _networks(self, rng: np.random.Generator) -> Population:
        """The networks of a step; in a sandwich the largest comes first."""
        index, _ = self.settings.place(self.epoch)
        random = self.settings.schedule[index].random_subnets
        random = self.settings.random_subnets if random is None else random
        return self.phases[index].draw(self.settings.sampling, random, rng)

    def _backward(self, x: Tensor, y: Tensor, rng: np.random.Generator) -> tuple[float, int]:
        """The gradients' mean over the networks of a step; the mean loss, and how many the first got right."""
        settings, genotypes = self.settings, self._networks(rng)
        teacher: Tensor | None = None
        total, correct = 0.0, 0
        for place, genotype in enumerate(genotypes):
            logits = self._logits(x, genotype)
            if teacher is None:
                loss = functional.cross_entropy(logits, y, label_smoothing=settings.label_smoothing)
            else:
                loss = self._distilled(logits, y, teacher)
            if place == 0:
                correct = int((logits.detach().argmax(-1) == y).sum())
                if settings.sampling == "sandwich":
                    teacher = torch.softmax(logits.detach() / settings.temperature, -1)
            value = self._add_gradient(loss, 1 / len(genotypes))
            if not np.isfinite(value):
                return value, correct
            total += value / len(genotypes)
        return total, correct

    def _distilled(self, logits: Tensor, y: Tensor, teacher: Tensor) -> Tensor:
        """Cross-entropy with the teacher's predictions and, for the rest, with the labels."""
        share, temperature = self.settings.distillation, self.settings.temperature
        soft = functional.cross_entropy(logits / temperature, teacher) * temperature**2
        if share == 1:
            return soft
        hard = functional.cross_entropy(logits, y, label_smoothing=self.settings.label_smoothing)
        return share * soft + (1 - share) * hard


def load_supernet(path: Path, space: SearchSpace) -> Supernet:
    """The supernet of a checkpoint that `SupernetTrainer.save` wrote, ready to evaluate.

    Raises:
        CheckpointError: no sound checkpoint, or one of another space or settings.
    """
    notes = read_notes(path)
    for key, own in (("space", space.name), ("settings", space.settings), ("genotype", None)):
        if notes.get(key) != own:
            raise CheckpointError(f"checkpoint {path} was trained for {key} {notes.get(key)!r}, this is {own!r}")
    supernet = Supernet(space, seed=0, settings=_settings(notes, path))
    restore(supernet, path)
    return supernet


def _settings(notes: Mapping[str, Any], path: Path) -> SupernetSettings:
    """Which tensors the supernet of a checkpoint holds."""
    try:
        return SupernetSettings(**{key: notes["training"][key] for key in SupernetSettings.model_fields})
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"checkpoint {path} does not say which supernet was trained: {error!r}") from error
