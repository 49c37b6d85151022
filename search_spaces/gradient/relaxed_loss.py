"""The loss of what a step runs, and the score by which drawn attributes learn from it."""

import torch
from torch import Tensor
from torch.nn import functional

from search_spaces.gradient.logits import Logits
from search_spaces.gradient.masks import Masks
from search_spaces.gradient.method import Relaxation
from search_spaces.gradient.relaxed_supernet import RelaxedSupernet
from search_spaces.gradient.search_settings import SearchSettings
from search_spaces.gradient.structure import Structure

BASELINE_MEMORY = 0.9

Batch = tuple[Tensor, Tensor]


class RelaxedLoss:
    """Cross entropy of relaxed networks.

    Args:
        relaxed: the networks.
        structure: which decisions are attributes.
        masks: of sparse weights, if there are any.
        settings: precision and label smoothing.

    Attributes:
        baseline: running mean of the validation loss in nats, None before the first.
    """

    def __init__(
        self, relaxed: RelaxedSupernet, structure: Structure, masks: Masks | None, settings: SearchSettings
    ) -> None:
        self._relaxed, self._structure, self._masks, self._settings = relaxed, structure, masks, settings
        self.baseline: float | None = None

    def __call__(self, batch: Batch, relaxation: Relaxation) -> tuple[Tensor, int]:
        """Of a batch in nats, and how many were right."""
        x, y = batch
        shared, precision = self._relaxed.supernet.shared, self._settings.precision
        with torch.autocast(x.device.type, getattr(torch, precision), precision != "float32"):
            replaced = {} if self._masks is None else self._masks.masked()
            for name, factor in relaxation.factors.items():
                replaced[name] = replaced.get(name, shared[name]) * factor
            outputs = self._relaxed(x, relaxation.paths, relaxation.weights, replaced)
        outputs, y = outputs.flatten(0, -2).float(), y.flatten()
        loss = functional.cross_entropy(outputs, y, label_smoothing=self._settings.label_smoothing)
        return loss, int((outputs.detach().argmax(-1) == y).sum())

    def score(self, logits: Logits, relaxation: Relaxation, loss: float) -> Tensor:
        """A term whose gradient is the score function's for the attributes that were drawn; its value is 0.

        Args:
            logits: of the decisions.
            relaxation: what was drawn.
            loss: of it, in nats.
        """
        names, chosen = logits.space.names, self._relaxed.network(relaxation.paths).chosen
        logs = [
            torch.log_softmax(logits.values[column], 0)[int(relaxation.row[column])]
            for column in self._structure.attributes
            if names[column] in chosen and column not in relaxation.soft
        ]
        if not logs:
            return torch.zeros((), device=logits.values[0].device)
        advantage = 0.0 if self.baseline is None else loss - self.baseline
        total = torch.stack(logs).sum()
        return advantage * (total - total.detach())

    def observe(self, loss: float) -> None:
        """Take a validation loss into the baseline."""
        share = 0.0 if self.baseline is None else BASELINE_MEMORY
        self.baseline = share * (self.baseline or 0.0) + (1 - share) * loss
