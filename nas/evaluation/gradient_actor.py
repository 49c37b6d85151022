"""What advances a differentiable search on a worker: a round at a time, its state as the bytes of a checkpoint."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nas.evaluation import checkpoint_bytes
from search_spaces.gradient.plan import GradientPlan
from search_spaces.recipe import SpaceRecipe


@dataclass(frozen=True, slots=True)
class RoundReport:
    """What a round gave.

    Attributes:
        number: how many rounds are done.
        metrics: of the round, see `GradientSearch.round`.
        genotype: (d,) derived.
        chances: of each decision the (k,) probabilities of its options.
        last: whether the search ended.
    """

    number: int
    metrics: dict[str, float]
    genotype: NDArray[np.int16]
    chances: tuple[NDArray[np.float64], ...]
    last: bool


class GradientActor:
    """Advances a differentiable search; `begin` comes first.

    A search that cannot be is an error of `begin` and not of the constructor, since an actor whose constructor fails
    looks like one that was lost.

    Args:
        space: the space.
        plan: the search.
        inputs: (n, C, H, W) float32 or (n, T) int64, training samples only.
        labels: (n,) int64, or for tokens (n, T).
        threads: of torch.
        device: `cpu` or `cuda`.
    """

    def __init__(
        self,
        space: SpaceRecipe,
        plan: GradientPlan,
        inputs: NDArray[Any],
        labels: NDArray[np.int64],
        threads: int,
        device: str = "cpu",
    ) -> None:
        self._space, self._plan, self._inputs, self._labels = space, plan, inputs, labels
        self._threads, self._device = threads, device

    def begin(self, checkpoint: bytes | None) -> int:
        """Prepare the search, where an earlier actor's `checkpoint` was if it is given; the rounds that are done."""
        torch.set_num_threads(self._threads)
        self._search = self._plan.search(self._space.make(), self._inputs, self._labels, self._device)
        if checkpoint is not None:
            checkpoint_bytes.load(checkpoint, self._search.load)
        return self._search.rounds

    def round(self) -> RoundReport:
        """Advance one round."""
        search = self._search
        metrics = search.round()
        chances = tuple([each.detach().double().cpu().numpy() for each in search.logits.probabilities()])
        return RoundReport(search.rounds, metrics, search.derive(), chances, search.finished)

    def checkpoint(self) -> bytes:
        """The state after the last round."""
        return checkpoint_bytes.saved(self._search.save)
