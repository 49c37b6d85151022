"""Which of the most probable networks is the one that a search gives in the end."""

import torch
from torch import Tensor

from search_spaces.gradient.masks import Masks
from search_spaces.space import Genotype, Population
from search_spaces.supernet.evaluation import evaluate
from search_spaces.supernet.supernet import Supernet

MOST_SAMPLES = 2048
"""Samples by which networks are judged."""
CALIBRATED = 512
"""Of the others, those from which batch norm is recalibrated."""


def select(
    supernet: Supernet, candidates: Population, calibration: Tensor, inputs: Tensor, labels: Tensor, masks: Masks | None
) -> Genotype:
    """Of (n, d) candidates the one with the lowest loss by the shared weights, the first of equals.

    Methods that mix train their weights for mixtures, and some train a part of the channels; a network that is cut out
    of these is judged roughly, which still tells one that cannot work from one that can. (FBNet, too, draws several
    networks from what it learned and keeps the best.)

    Args:
        supernet: the shared weights; they are not changed.
        candidates: canonical genotypes.
        calibration: inputs from which the weights learned, for the statistics of batch norm.
        inputs: of samples from which the weights did not learn, with their labels.
        labels: (N,), or for tokens (N, T).
        masks: of sparse weights.
    """
    if len(candidates) == 1:
        only: Genotype = candidates[0]
        return only
    kept = {} if masks is None else {name: supernet.shared[name].detach().clone() for name in masks.scores}
    with torch.no_grad():
        if masks is not None:
            for name, value in masks.masked().items():
                supernet.shared[name].copy_(value)
        try:
            found = evaluate(supernet, candidates, [calibration[:CALIBRATED]], inputs, labels)
        finally:
            for name, value in kept.items():
                supernet.shared[name].copy_(value)
    best: Genotype = candidates[found["loss"].argmin()]
    return best
