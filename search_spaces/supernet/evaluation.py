"""How good subnets are: batch norm recalibrated for each, then accuracy and loss on held-out samples."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from search_spaces.graph import Shape
from search_spaces.space import Genotype, Population
from search_spaces.supernet.images import resize
from search_spaces.supernet.supernet import Supernet

METRICS = ("accuracy", "loss")


def evaluate(
    supernet: Supernet,
    genotypes: Population,
    calibration: Sequence[Tensor],
    images: Tensor,
    labels: Tensor,
    *,
    batch_size: int = 256,
) -> dict[str, NDArray[np.float64]]:
    """Accuracy in [0, 1] and cross-entropy in nats of many subnets on the same samples.

    Networks of one input size are evaluated together, so that images are resized once for all of them.

    Args:
        supernet: the shared weights; they are not changed.
        genotypes: (n, d).
        calibration: batches of training inputs, from which the batch-norm statistics of each subnet are measured.
        images: (N, C, H, W) float32, or tokens (N, T) int64.
        labels: (N,) int64, or for tokens (N, T), the token that follows each.
        batch_size: samples at a time; the figures do not depend on it.

    Returns:
        `accuracy` and `loss`, each (n,).

    Raises:
        ValueError: images and labels that do not fit each other, no samples, or genotypes of another space.
    """
    if not len(images) or len(images) != len(labels):
        raise ValueError(
            f"evaluation needs as many images as labels and at least one, got {len(images)}, {len(labels)}"
        )
    found = {metric: np.full(len(genotypes), np.nan) for metric in METRICS}
    sizes = [supernet.subnet(genotype).input_shape for genotype in genotypes]
    for size in sorted(set(sizes)):
        batches, fitted = [_fitted(batch, size) for batch in calibration], _fitted(images, size)
        for row in [row for row, own in enumerate(sizes) if own == size]:
            statistics = supernet.recalibrate(genotypes[row], batches)
            scores = score(supernet, genotypes[row], statistics, fitted, labels, batch_size=batch_size)
            for metric, value in scores.items():
                found[metric][row] = value
    return found


@torch.no_grad()
def score(
    supernet: Supernet,
    genotype: Genotype,
    statistics: Mapping[str, Tensor],
    images: Tensor,
    labels: Tensor,
    *,
    batch_size: int = 256,
) -> dict[str, float]:
    """`accuracy` and `loss` of one subnet with its batch-norm statistics; arguments as for `evaluate`."""
    correct, loss = 0, 0.0
    for x, y in zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True):
        logits, y = supernet(x, genotype, statistics).flatten(0, -2), y.flatten()
        correct += int((logits.argmax(-1) == y).sum())
        loss += float(functional.cross_entropy(logits, y, reduction="sum"))
    return {"accuracy": correct / labels.numel(), "loss": loss / labels.numel()}


def _fitted(x: Tensor, shape: Shape) -> Tensor:
    """Images at a network's size, channels last, which torch's CPU kernels prefer."""
    if x.dim() != 4:
        return x
    x = resize(x, shape[2], shape[3]) if len(shape) == 4 else x
    return x.contiguous(memory_format=torch.channels_last)
