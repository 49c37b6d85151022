"""Training of a supernet by the sandwich rule with in-place distillation, or of one network from scratch.

Each step trains the largest network on the labels, then the smallest and a few random ones on what the largest
predicts, and takes one optimiser step along the mean of all gradients (Yu and Huang, arXiv 1903.05134; Yu et al.,
BigNAS, arXiv 2003.11142), or it trains random ones on the labels alone (`sampling`). Everything random in epoch e
comes from `default_rng([seed, e])`, so a training that is resumed after any epoch ends with the same bits as one that
was never interrupted (on a CPU, on as many threads).
"""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from search_spaces.space import Genotype, Population, SearchSpace
from search_spaces.supernet.channel_order import order_channels
from search_spaces.supernet.phases import PhaseNetworks
from search_spaces.supernet.settings import SupernetSettings
from search_spaces.supernet.supernet import Supernet
from search_spaces.training.checkpoint import CheckpointError, load_checkpoint, read_notes, save_checkpoint
from search_spaces.training.data import TrainingData
from search_spaces.training.optimiser import OPTIMISER_STATE, weights_optimiser
from search_spaces.training.settings import Phase, TrainingSettings

OnStep = Callable[[int, int, float], None]
"""Called after each step with the steps done in this epoch, the steps of an epoch, and the loss."""


class TrainingError(RuntimeError):
    """Training that cannot go on: the loss is no longer a number."""


class SupernetTrainer:
    """Advances a training epoch by epoch.

    Args:
        space: what can be built.
        settings: the recipe.
        images: (N, C, H, W) float32, normalised; or tokens (N, T) where the networks take whole numbers.
        labels: (N,) whole numbers; for tokens (N, T), the token that follows each.
        genotype: a (d,) row to train that network alone, from scratch, with plain weights, whatever the settings
            add to a supernet; by default the supernet is trained.
        device: where to train.

    Attributes:
        supernet: the weights; with `genotype` they are exactly that network's.
        epoch: epochs done.

    Raises:
        ValueError: images and labels that do not fit each other, augmentation that does not fit the images, or no full
            batch.
    """

    def __init__(
        self,
        space: SearchSpace,
        settings: TrainingSettings,
        images: NDArray[np.generic] | Tensor,
        labels: NDArray[np.integer[Any]] | Tensor,
        *,
        genotype: Genotype | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.space, self.settings, self.genotype, self.device = space, settings, genotype, torch.device(device)
        self.data = TrainingData(space, settings, images, labels, device)
        self.images, self.labels = self.data.images, self.data.labels
        if settings.phases and genotype is not None:
            raise ValueError("phases are for the supernet; a network that is trained alone has none")
        self.phases = [PhaseNetworks(space, phase.elastic) for phase in settings.schedule]
        if genotype is None:
            supernet = Supernet(space, settings.seed, settings=settings)
        else:
            supernet = Supernet(space, settings.seed, genotypes=genotype[None])
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
        index, done = self.settings.place(self.epoch)
        phase = self.settings.schedule[index]
        if phase.order_channels and not done:
            order_channels(self.supernet, self.optimiser, self.phases[:index])
        for step, (x, y) in enumerate(self.data.batches(rng)):
            rate = self._learning_rate(phase, done * self.steps + step)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            loss, right = self._step(x, y, self._networks(index, rng))
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss} in step {step + 1} of epoch {self.epoch + 1} at learning rate {rate:.3g}: "
                    "lower learning_rate, lengthen warmup_epochs or set gradient_clip"
                )
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
        tensors: dict[str, Tensor] = {f"weights/{name}": value for name, value in self.supernet.shared.items()}
        for name, value in self.supernet.shared.items():
            for key, state in self.optimiser.state[value].items():
                if state is not None:
                    tensors[f"optimiser/{name}/{key}"] = state
        save_checkpoint(path, tensors, self._notes())

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of the same space, settings and amount of data.

        Raises:
            CheckpointError: no sound checkpoint, or one of another training; nothing is changed then.
        """
        notes, own = read_notes(path), self._notes()
        for key in ("space", "settings", "training", "genotype", "samples"):
            if notes.get(key) != own[key]:
                raise CheckpointError(
                    f"checkpoint {path} belongs to another training: its {key} is {notes.get(key)!r}, here it is "
                    f"{own[key]!r}"
                )
        epoch = notes.get("epoch")
        if type(epoch) is not int or not 0 <= epoch <= self.settings.epochs:
            raise CheckpointError(f"checkpoint {path} has epoch {epoch!r} of {self.settings.epochs}")
        scaler = notes.get("scaler")
        if not isinstance(scaler, dict) or scaler.keys() != own["scaler"].keys():
            raise CheckpointError(
                f"checkpoint {path} has the loss scale {scaler!r}, of another kind than {own['scaler']}"
            )
        tensors = _restore(self.supernet, path)
        if scaler:
            self.scaler.load_state_dict(scaler)
        for name, parameter in self.supernet.shared.items():
            self.optimiser.state[parameter] = {
                key: tensors[f"optimiser/{name}/{key}"].to(self.device)
                for key in OPTIMISER_STATE[self.settings.optimiser]
                if f"optimiser/{name}/{key}" in tensors
            }
        self.epoch = epoch

    def _notes(self) -> dict[str, Any]:
        return {
            "space": self.space.name,
            "settings": self.space.settings,
            "training": self.settings.model_dump(mode="json"),
            "genotype": None if self.genotype is None else self.space.choices(self.genotype),
            "samples": list(self.images.shape),
            "epoch": self.epoch,
            "scaler": self.scaler.state_dict(),
        }

    def _networks(self, phase: int, rng: np.random.Generator) -> Population:
        """The networks of a step; in a sandwich the largest comes first."""
        if self.genotype is not None:
            return self.genotype[None]
        random = self.settings.schedule[phase].random_subnets
        random = self.settings.random_subnets if random is None else random
        return self.phases[phase].draw(self.settings.sampling, random, rng)

    def _step(self, x: Tensor, y: Tensor, genotypes: Population) -> tuple[float, int]:
        """One optimiser step along the mean gradient; returns the mean loss and how many the first got right."""
        settings = self.settings
        self.optimiser.zero_grad()
        y = y.flatten()
        teacher: Tensor | None = None
        total, correct = 0.0, 0
        for place, genotype in enumerate(genotypes):
            with torch.autocast(self.device.type, getattr(torch, settings.precision), settings.precision != "float32"):
                logits = self.supernet(x, genotype)
            logits = logits.flatten(0, -2).float()  # (B, classes); (B * T, vocabulary) for tokens
            if teacher is None:
                loss = functional.cross_entropy(logits, y, label_smoothing=settings.label_smoothing)
            else:
                loss = self._distilled(logits, y, teacher)
            if place == 0:
                correct = int((logits.detach().argmax(-1) == y).sum())
                if settings.sampling == "sandwich":
                    teacher = torch.softmax(logits.detach() / settings.temperature, -1)
            value = loss.item()
            if not math.isfinite(value):
                return value, correct
            torch.autograd.backward(self.scaler.scale(loss / len(genotypes)))
            total += value / len(genotypes)
        if settings.gradient_clip is not None:
            self.scaler.unscale_(self.optimiser)
            torch.nn.utils.clip_grad_norm_(self.supernet.parameters(), settings.gradient_clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return total, correct

    def _distilled(self, logits: Tensor, y: Tensor, teacher: Tensor) -> Tensor:
        """Cross-entropy with the teacher's predictions and, for the rest, with the labels."""
        share, temperature = self.settings.distillation, self.settings.temperature
        soft = functional.cross_entropy(logits / temperature, teacher) * temperature**2
        if share == 1:
            return soft
        hard = functional.cross_entropy(logits, y, label_smoothing=self.settings.label_smoothing)
        return share * soft + (1 - share) * hard

    def _learning_rate(self, phase: Phase, step: int) -> float:
        """Of a step of a phase, counted from 0."""
        peak = phase.learning_rate or self.settings.learning_rate
        warm = self.settings.warmup_epochs * self.steps
        total = phase.epochs * self.steps
        if step < warm:
            return peak * (step + 1) / (warm + 1)
        return peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))


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
    _restore(supernet, path)
    return supernet


def _settings(notes: Mapping[str, Any], path: Path) -> SupernetSettings:
    """Which tensors the supernet of a checkpoint holds."""
    try:
        return SupernetSettings(**{key: notes["training"][key] for key in SupernetSettings.model_fields})
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"checkpoint {path} does not say which supernet was trained: {error!r}") from error


def _restore(supernet: Supernet, path: Path) -> dict[str, Tensor]:
    """Copy the weights of a checkpoint into a supernet; returns all its tensors, the optimiser's among them."""
    weights = {f"weights/{name}": tuple(value.shape) for name, value in supernet.shared.items()}
    states = {
        f"optimiser/{name}/{key}": () if key == "step" else tuple(value.shape)
        for name, value in supernet.shared.items()
        for keys in OPTIMISER_STATE.values()
        for key in keys
    }
    tensors = load_checkpoint(path, weights, states).tensors
    with torch.no_grad():
        for name, parameter in supernet.shared.items():
            parameter.copy_(tensors[f"weights/{name}"])
    return tensors
