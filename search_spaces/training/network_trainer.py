"""Training of one network alone, from scratch or from weights that it had in a supernet."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from search_spaces.space import Genotype, SearchSpace
from search_spaces.supernet.supernet import Supernet
from search_spaces.training.checkpoint import CheckpointError, read_notes, save_checkpoint
from search_spaces.training.loop import TrainingLoop, restore
from search_spaces.training.network_settings import NetworkSettings


class NetworkTrainer(TrainingLoop[NetworkSettings]):
    """Trains the weights of one network, plain tensors of its own sizes.

    Args:
        space: what it belongs to.
        genotype: (d,) row.
        settings: the recipe.
        images: (N, C, H, W) float32, normalised; or tokens (N, T) where the networks take whole numbers.
        labels: (N,) whole numbers; for tokens (N, T), the token that follows each.
        start: the weights to begin with, by name; random ones if not given.
        device: where to train.

    Attributes:
        result: the network to score and to export: the moving average of the weights where there is one.
        results: what whoever trains found after each epoch, kept with the state.

    Raises:
        ValueError: images and labels that do not fit each other, augmentation that does not fit the images, no full
            batch, or weights that are not this network's.
    """

    def __init__(
        self,
        space: SearchSpace,
        genotype: Genotype,
        settings: NetworkSettings,
        images: NDArray[np.generic] | Tensor,
        labels: NDArray[np.integer[Any]] | Tensor,
        *,
        start: Mapping[str, Tensor] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        network = own_weights(space, genotype, settings.seed)
        if start is not None:
            _begin_with(network, start)
        super().__init__(network, settings, images, labels, device)
        self.genotype = genotype
        self.results: list[dict[str, float]] = []
        self.result = self.supernet
        if settings.ema:
            self.result = own_weights(space, genotype, settings.seed).to(device)
            _begin_with(self.result, self.supernet.shared)
        self._step = 0

    def save_result(self, path: Path) -> None:
        """Write the weights of `result` alone, as `load_network` reads them."""
        notes = {key: value for key, value in self._notes().items() if key not in ("scaler", "results")}
        save_checkpoint(path, {f"weights/{name}": value for name, value in self.result.shared.items()}, notes)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; see `TrainingLoop.load`."""
        super().load(path)
        self.results = list(read_notes(path).get("results", ()))

    def _learning_rate(self, step: int) -> float:
        self._step = self.epoch * self.steps + step
        return self._annealed(self.settings.learning_rate, self.settings.epochs, self.epoch, step)

    def _backward(self, x: Tensor, y: Tensor, rng: np.random.Generator) -> tuple[float, int]:
        logits = self._logits(x, self.genotype)
        loss = functional.cross_entropy(logits, y, label_smoothing=self.settings.label_smoothing)
        return self._add_gradient(loss, 1.0), int((logits.detach().argmax(-1) == y).sum())

    @torch.no_grad()
    def _update(self) -> None:
        super()._update()
        if self.settings.ema:
            decay = min(self.settings.ema, (1 + self._step) / (10 + self._step))
            averages: list[Tensor] = [self.result.shared[name] for name in self.supernet.shared]
            weights: list[Tensor] = list(self.supernet.shared.values())
            torch._foreach_lerp_(averages, weights, 1 - decay)

    def _tensors(self) -> dict[str, Tensor]:
        averages = {f"average/{name}": value for name, value in self.result.shared.items()} if self.settings.ema else {}
        return {**super()._tensors(), **averages}

    def _restore(self, path: Path) -> dict[str, Tensor]:
        if self.settings.ema:
            restore(self.result, path, "average")
        return super()._restore(path)

    def _notes(self) -> dict[str, Any]:
        return {**super()._notes(), "genotype": self.space.choices(self.genotype), "results": self.results}


def own_weights(space: SearchSpace, genotype: Genotype, seed: int = 0) -> Supernet:
    """Random weights of one network (d,), plain tensors of its own sizes."""
    return Supernet(space, seed, genotypes=genotype[None])


def load_network(path: Path, space: SearchSpace, genotype: Genotype) -> Supernet:
    """The weights that `NetworkTrainer.save_result` wrote, ready to evaluate.

    Raises:
        CheckpointError: no sound checkpoint, or one of another network.
    """
    notes = read_notes(path)
    for key, own in (("space", space.name), ("settings", space.settings), ("genotype", space.choices(genotype))):
        if notes.get(key) != own:
            raise CheckpointError(f"checkpoint {path} was trained for {key} {notes.get(key)!r}, this is {own!r}")
    network = own_weights(space, genotype)
    restore(network, path)
    return network


@torch.no_grad()
def _begin_with(network: Supernet, start: Mapping[str, Tensor]) -> None:
    for name, value in network.shared.items():
        if name not in start or start[name].shape != value.shape:
            given = tuple(start[name].shape) if name in start else "nothing"
            raise ValueError(f"the network needs {name!r} of {tuple(value.shape)} to begin with, got {given}")
        value.copy_(start[name])
