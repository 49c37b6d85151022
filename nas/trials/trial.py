"""What runs on a worker: a network is trained, an epoch at a time, and scored after each."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.evaluation.scores import EvaluationData, batches, scores
from nas.tune import tune
from search_spaces.recipe import SpaceRecipe
from search_spaces.space import Genotype
from search_spaces.supernet.supernet import Supernet
from search_spaces.supernet.weights import SupernetWeights
from search_spaces.training.loop import TrainingError
from search_spaces.training.network_settings import NetworkSettings
from search_spaces.training.network_trainer import NetworkTrainer

SHARE_OF_SAVING = 0.1
"""Of the time, at most, that goes into checkpoints."""


@dataclass(frozen=True, slots=True)
class TrialData:
    """What all trials share.

    Attributes:
        space: whose networks are trained.
        inputs: (n, C, H, W) float32 or (n, T) int64, training samples only.
        labels: (n,) int64, or for tokens (n, T).
        evaluation: what networks are scored on.
        weights: the supernet's, for those that begin with them.
        threads: of torch.
        device: `cpu` or `cuda`.
    """

    space: SpaceRecipe
    inputs: NDArray[Any]
    labels: NDArray[np.int64]
    evaluation: EvaluationData
    weights: SupernetWeights | None
    threads: int
    device: str


def checkpoint_file(result: Path) -> Path:
    """Where the training is kept whose weights will lie in `result`."""
    return result.with_suffix(".checkpoint")


class NetworkTrial(tune.Trainable):  # type: ignore[misc]  # ray ships no types
    """Trains the network of its configuration: `genotype` (choices), `settings`, `init` and `result`, a file.

    Each result has `epoch`, `seconds` that it took, `accuracy` and `loss` on the validation split; the last one is
    `done`, and the weights are in the file then. What cannot be trained is `done` at once with a `failure`. The state
    is kept beside the file, so a trial that is set up again goes on where it was.
    """

    _trainer: NetworkTrainer
    _untold: bool
    _earlier: list[dict[str, float]]

    def setup(self, config: dict[str, Any], data: TrialData) -> None:
        """Take the data, once for all trials of this worker."""
        torch.set_num_threads(data.threads)
        self._data, self._space = data, data.space.make()
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Go over to another trial."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train and score an epoch."""
        started = time.perf_counter()
        try:
            if self._failure is not None:
                raise self._failure
            if not self._untold:
                self._trainer.train_epoch()
                self._keep()
            self._untold = False
            found = self._scores()
        except (TrainingError, ValueError, RuntimeError, ArithmeticError, MemoryError) as error:
            return {"failure": f"{type(error).__name__}: {error}", "done": True}
        if self._trainer.finished:
            self._trainer.save_result(self._result)
        told = {"epoch": self._trainer.epoch, "seconds": time.perf_counter() - started, **found}
        self._trainer.results.append(told)
        earlier, self._earlier = self._earlier, []
        return {**told, "done": self._trainer.finished, "earlier": earlier}

    def _begin(self, config: Mapping[str, Any]) -> None:
        data, self._result = self._data, Path(config["result"])
        self._failure: Exception | None = None
        self._earlier = []
        self._saving, self._saved_at, self._untold = 0.0, -math.inf, False
        try:
            genotype = self._space.genotype(config["genotype"])
            start = None
            if config["init"] == "supernet":
                assert data.weights is not None
                start = data.weights.supernet(self._space).weights(genotype)
            settings = NetworkSettings(**config["settings"])
            self._trainer = NetworkTrainer(
                self._space, genotype, settings, data.inputs, data.labels, start=start, device=data.device
            )
            self._untold = (path := checkpoint_file(self._result)).exists()
            if self._untold:  # perhaps nobody heard of the epochs before, so they are told again
                self._trainer.load(path)
                self._earlier = list(self._trainer.results)
        except (ValueError, RuntimeError, MemoryError) as error:
            self._failure = error

    def _keep(self) -> None:
        """Write the state, unless that was done a moment ago or would take too much of the time."""
        begun = time.monotonic()
        if self._trainer.finished or begun - self._saved_at > self._saving / SHARE_OF_SAVING:
            self._trainer.save(checkpoint_file(self._result))
            self._saved_at = time.monotonic()
            self._saving = self._saved_at - begun

    def _scores(self) -> dict[str, float]:
        """Accuracy and loss; in the end on a CPU, as whoever uses the network will find them."""
        network = self._trainer.result
        if self._trainer.finished and self._data.device != "cpu":
            network = _on_cpu(network, self._trainer.genotype)
        return scored(network, self._trainer.genotype, self._data.evaluation)


def scored(network: Supernet, genotype: Genotype, data: EvaluationData) -> dict[str, float]:
    """Accuracy and loss of a network (d,) on the validation split, its statistics taken from the training split."""
    device = network.device
    statistics = network.recalibrate(genotype, (batch.to(device) for batch in batches(data.calibration)))

    def logits(inputs: Tensor) -> Tensor:
        found: Tensor = network(inputs.to(device), genotype, statistics)
        return found.cpu()

    return scores(logits, data)


def _on_cpu(network: Supernet, genotype: Genotype) -> Supernet:
    copy = Supernet(network.space, seed=0, genotypes=genotype[None])
    with torch.no_grad():
        for name, value in copy.shared.items():
            value.copy_(network.shared[name])
    return copy
