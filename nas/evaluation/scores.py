"""What networks are evaluated on, and how good their answers are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nas.datasets.samples import Data
from nas.evaluation.hopeless import Hope

SCORES = ("accuracy", "loss")
INT8 = "int8"
"""`accuracy@int8` and `loss@int8` are the scores of a network that computes with 8-bit integers."""
BATCH = 256  # samples at a time; fixed, so that a result is the same wherever it is computed


@dataclass(frozen=True, slots=True)
class EvaluationData:
    """Held-out samples, and training samples to calibrate on.

    Attributes:
        calibration: (k, ...) training inputs that batch-norm statistics are taken from.
        inputs: (n, C, H, W) float32 validation images, or (n, T) int64 tokens.
        labels: (n,) int64, or for tokens (n, T), the token that follows each.
    """

    calibration: NDArray[Any]
    inputs: NDArray[Any]
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, dataset: Data, calibration_samples: int, *, shuffled: bool = False) -> "EvaluationData":
        """The validation split, in random order if that is asked for, and the same random training inputs each time."""
        chosen = np.random.default_rng(0).permutation(len(dataset.train))[:calibration_samples]
        inputs, labels = dataset.validation.inputs(), np.asarray(dataset.validation.labels, np.int64)
        if shuffled:
            order = np.random.default_rng(1).permutation(len(labels))
            inputs, labels = inputs[order], labels[order]
        return cls(dataset.train.inputs(np.sort(chosen)), inputs, labels)


class Scored(NamedTuple):
    """Accuracy in [0, 1] and cross-entropy in nats, and the share of the samples that they are of."""

    metrics: dict[str, float]
    share: float


def scores(network: Callable[[Tensor], Tensor], data: EvaluationData) -> dict[str, float]:
    """Share of right answers in [0, 1] as `accuracy`, and mean cross-entropy in nats as `loss`, on validation samples.

    Args:
        network: a batch of inputs -> logits (n, classes), or (n, T, vocabulary) for tokens.
        data: what to evaluate on.

    Raises:
        ArithmeticError: the network puts out values that are not finite.
    """
    return scores_while(network, data, None).metrics


@torch.no_grad()
def scores_while(network: Callable[[Tensor], Tensor], data: EvaluationData, hope: Hope | None) -> Scored:
    """As `scores`, as long as there is hope; samples that are to be given up on must be in random order.

    Raises:
        ArithmeticError: the network puts out values that are not finite.
    """
    right, loss, seen = 0, 0.0, 0
    parts = np.array_split(data.labels, _count(data.labels))
    for inputs, answers in zip(batches(data.inputs), parts, strict=True):
        logits = network(inputs).flatten(0, -2)
        labels = torch.from_numpy(np.array(answers)).flatten()
        if not bool(torch.isfinite(logits).all()):
            raise ArithmeticError("the network puts out values that are not finite")
        right += int((logits.argmax(-1) == labels).sum())
        loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
        seen += len(labels)
        if hope is not None and seen < data.labels.size and hope.gone(right, seen, data.labels.size, len(parts)):
            break
    return Scored({"accuracy": right / seen, "loss": loss / seen}, seen / data.labels.size)


def batches(inputs: NDArray[Any]) -> Iterator[Tensor]:
    """Batches of nearly equal size, so that none has a single sample."""
    for part in np.array_split(inputs, _count(inputs)):
        yield torch.from_numpy(np.array(part))


def _count(samples: NDArray[Any]) -> int:
    return max(1, -(-len(samples) // BATCH))
