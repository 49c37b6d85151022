"""The loop that every training of weights is: epochs of steps, resumable to the bit.

Everything random in epoch e comes from `default_rng([seed, e])`, so a training that is resumed after any epoch ends
with the same bits as one that was never interrupted (on a CPU, on as many threads).
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search_spaces.space import Genotype
from search_spaces.supernet.supernet import Supernet
from search_spaces.training.checkpoint import CheckpointError, load_checkpoint, read_notes, save_checkpoint
from search_spaces.training.data import TrainingData
from search_spaces.training.optimiser import OPTIMISER_STATE, weights_optimiser
from search_spaces.training.recipe_settings import RecipeSettings

OnStep = Callable[[int, int, float], None]
"""Called after each step with the steps done in this epoch, the steps of an epoch, and the loss."""

Settings = TypeVar("Settings", bound=RecipeSettings)


class TrainingError(RuntimeError):
    """Training that cannot go on: the loss is no longer a number."""


class TrainingLoop(ABC, Generic[Settings]):
    """Advances a training epoch by epoch; a subclass says what is learned in a step.

    Args:
        supernet: the weights that are trained.
        settings: the recipe.
        images: (N, C, H, W) float32, normalised; or tokens (N, T) where the networks take whole numbers.
        labels: (N,) whole numbers; for tokens (N, T), the token that follows each.
        device: where to train.

    Attributes:
        supernet: the weights.
        epoch: epochs done.

    Raises:
        ValueError: images and labels that do not fit each other, augmentation that does not fit the images, or no full
            batch.
    """

    def __init__(
        self,
        supernet: Supernet,
        settings: Settings,
        images: NDArray[np.generic] | Tensor,
        labels: NDArray[np.integer[Any]] | Tensor,
        device: torch.device | str,
    ) -> None:
        self.space, self.settings, self.device = supernet.space, settings, torch.device(device)
        self.data = TrainingData(self.space, settings, images, labels, device)
        self.images, self.labels = self.data.images, self.data.labels
        self.supernet = supernet.to(device)
        self.optimiser = weights_optimiser(self.supernet, settings)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "float16")
        self.steps = len(self.images) // settings.batch_size
        self.epoch = 0

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self.epoch >= self.settings.epochs

    def train_epoch(self, on_step: OnStep | None = None) -> dict[str, float]:
        """Train one epoch.

        Returns:
            `loss` (mean over steps and networks), `accuracy` (of the first network of each step, the largest in a
            sandwich, on augmented training batches), `learning_rate` (of the last step), `seconds` and `images_per_s`.

        Raises:
            TrainingError: the loss is not finite; the weights are those after the step before.
            ValueError: all epochs are done.
        """
        if self.finished:
            raise ValueError(f"all {self.settings.epochs} epochs of this training are done")
        rng = np.random.default_rng([self.settings.seed, self.epoch])
        start, losses, correct, rate = time.perf_counter(), 0.0, 0, 0.0
        self._begin_epoch()
        for step, (x, y) in enumerate(self.data.batches(rng)):
            rate = self._learning_rate(step)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            self.optimiser.zero_grad()
            loss, right = self._backward(x, y.flatten(), rng)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss} in step {step + 1} of epoch {self.epoch + 1} at learning rate {rate:.3g}: "
                    "lower learning_rate, lengthen warmup_epochs or set gradient_clip"
                )
            self._update()
            losses += loss
            correct += right
            if on_step is not None:
                on_step(step + 1, self.steps, loss)
        self.epoch += 1
        seconds, seen = time.perf_counter() - start, self.steps * self.settings.batch_size
        return {
            "loss": losses / self.steps,
            "accuracy": correct / (seen * self.labels[0].numel()),
            "learning_rate": rate,
            "seconds": seconds,
            "images_per_s": seen / seconds,
        }

    def save(self, path: Path) -> None:
        """Write weights, optimiser state and epoch; `load` goes on from there."""
        save_checkpoint(path, self._tensors(), self._notes())

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of the same space, settings and amount of data.

        Raises:
            CheckpointError: no sound checkpoint, or one of another training; nothing is changed then.
        """
        notes, own = read_notes(path), self._notes()
        for key in ("space", "settings", "training", "genotype", "samples"):
            if notes.get(key) != own.get(key):
                raise CheckpointError(
                    f"checkpoint {path} belongs to another training: its {key} is {notes.get(key)!r}, here it is "
                    f"{own.get(key)!r}"
                )
        epoch = notes.get("epoch")
        if type(epoch) is not int or not 0 <= epoch <= self.settings.epochs:
            raise CheckpointError(f"checkpoint {path} has epoch {epoch!r} of {self.settings.epochs}")
        scaler = notes.get("scaler")
        if not isinstance(scaler, dict) or scaler.keys() != own["scaler"].keys():
            raise CheckpointError(
                f"checkpoint {path} has the loss scale {scaler!r}, of another kind than {own['scaler']}"
            )
        self._restore(path)
        if scaler:
            self.scaler.load_state_dict(scaler)
        self.epoch = epoch

    @abstractmethod
    def _learning_rate(self, step: int) -> float:
        """Of a step of this epoch, counted from 0."""

    @abstractmethod
    def _backward(self, x: Tensor, y: Tensor, rng: np.random.Generator) -> tuple[float, int]:
        """Add the gradients of a step by `_add_gradient`.

        Args:
            x: a batch of inputs.
            y: (B,) labels, or (B * T,) of tokens.
            rng: where the randomness of this epoch comes from.

        Returns:
            The loss, and how many labels were predicted.
        """

    def _begin_epoch(self) -> None:
        """What is done before the first step of an epoch."""

    def _annealed(self, peak: float, epochs: int, done: int, step: int) -> float:
        """The rate in a step behind `done` of `epochs`: up over the warm-up, down along a cosine."""
        step, warm, total = done * self.steps + step, self.settings.warmup_epochs * self.steps, epochs * self.steps
        if step < warm:
            return peak * (step + 1) / (warm + 1)
        return peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))

    def _logits(self, x: Tensor, genotype: Genotype) -> Tensor:
        """What a network says in the settings' precision: (B, classes), or (B * T, vocabulary) for tokens."""
        precision = self.settings.precision
        with torch.autocast(self.device.type, getattr(torch, precision), precision != "float32"):
            logits: Tensor = self.supernet(x, genotype)
        return logits.flatten(0, -2).float()

    def _add_gradient(self, loss: Tensor, share: float) -> float:
        """Add a share of the gradient of a loss, unless that is no number; its value."""
        value = loss.item()
        if math.isfinite(value):
            torch.autograd.backward(self.scaler.scale(loss * share))
        return value

    def _update(self) -> None:
        """One step of the optimiser."""
        if self.settings.gradient_clip is not None:
            self.scaler.unscale_(self.optimiser)  # type: ignore[arg-type]  # it asks for no more than groups
            torch.nn.utils.clip_grad_norm_(self.supernet.parameters(), self.settings.gradient_clip)
        self.scaler.step(self.optimiser)  # type: ignore[arg-type]  # and a step
        self.scaler.update()

    def _tensors(self) -> dict[str, Tensor]:
        """All that a checkpoint holds."""
        tensors: dict[str, Tensor] = {f"weights/{name}": value for name, value in self.supernet.shared.items()}
        for name, value in self.supernet.shared.items():
            for key, state in self.optimiser.state.get(value, {}).items():
                tensors[f"optimiser/{name}/{key}"] = state
        return tensors

    def _restore(self, path: Path) -> dict[str, Tensor]:
        """Take what a checkpoint holds; all its tensors."""
        tensors = restore(self.supernet, path)
        for name, parameter in self.supernet.shared.items():
            self.optimiser.state[parameter] = {
                key: tensors[f"optimiser/{name}/{key}"].to(self.device)
                for key in OPTIMISER_STATE[self.settings.optimiser]
                if f"optimiser/{name}/{key}" in tensors
            }
        return tensors

    def _notes(self) -> dict[str, Any]:
        return {
            "space": self.space.name,
            "settings": self.space.settings,
            "training": self.settings.model_dump(mode="json"),
            "samples": list(self.images.shape),
            "epoch": self.epoch,
            "scaler": self.scaler.state_dict(),
        }


def restore(supernet: Supernet, path: Path, prefix: str = "weights") -> dict[str, Tensor]:
    """Copy weights of a checkpoint into a supernet.

    Args:
        supernet: what they are for.
        path: the checkpoint.
        prefix: of the names of the tensors that are taken; the others may be there.

    Returns:
        All tensors of the checkpoint, the optimiser's among them.

    Raises:
        CheckpointError: no sound checkpoint, or one of other tensors.
    """
    shapes = {name: tuple(value.shape) for name, value in supernet.shared.items()}
    taken = {f"{prefix}/{name}": shape for name, shape in shapes.items()}
    others = {f"{kind}/{name}": shape for kind in ("weights", "average") for name, shape in shapes.items()}
    others |= {
        f"optimiser/{name}/{key}": () if key == "step" else shape
        for name, shape in shapes.items()
        for keys in OPTIMISER_STATE.values()
        for key in keys
    }
    tensors = load_checkpoint(path, taken, others).tensors
    with torch.no_grad():
        for name, parameter in supernet.shared.items():
            parameter.copy_(tensors[f"{prefix}/{name}"])
    return tensors
