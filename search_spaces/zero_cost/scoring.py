"""Scores a network by several zero-cost scores; what has no value says why."""

import math
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch

from search_spaces.graph import Graph
from search_spaces.supernet.images import resize
from search_spaces.zero_cost.errors import Undefined
from search_spaces.zero_cost.network import Batch, FreshNetwork
from search_spaces.zero_cost.registry import zero_cost_score


class Scored(NamedTuple):
    """What became of one score.

    Attributes:
        value: NaN where there is none.
        seconds: that it took.
        cause: why there is no value; None where there is one.
    """

    value: float
    seconds: float
    cause: str | None


def zero_cost_scores(graph: Graph, names: Sequence[str], batch: Batch | None, seed: int) -> dict[str, Scored]:
    """Score a network; the same for the same seed and number of threads.

    One network at a time: as a batch, even eight of one structure are no faster unless they are tiny or see one input
    (`benchmarks/batched_scores.py`), and random ones of a space differ in structure.

    Args:
        graph: the network.
        names: of scores.
        batch: what scores look at that need data; images are resized to what the network takes.
        seed: of its weights.

    Raises:
        ValueError: an unknown name, a score that needs data where there are none, or too few samples.
    """
    scores = [zero_cost_score(name) for name in names]
    for score in scores:
        if score.needs == "nothing":
            continue
        if batch is None:
            raise ValueError(f"zero-cost score {score.name!r} needs {score.needs} of a data set, and there is none")
        if len(batch.inputs) < score.least_samples:
            raise ValueError(
                f"zero-cost score {score.name!r} needs at least {score.least_samples} samples (got {len(batch.inputs)})"
            )
    network: FreshNetwork | None = None
    found = {}
    for score in scores:
        started = time.perf_counter()
        value, cause = math.nan, None
        try:
            network = network or FreshNetwork(graph, seed)
            value = score.value(network, None if batch is None else _fitted(batch, network))
            if not math.isfinite(value):
                value, cause = math.nan, f"the score is {value}"
        except Undefined as error:
            cause = str(error)
        except (ValueError, RuntimeError, ArithmeticError, MemoryError) as error:
            cause = f"{type(error).__name__}: {error}"
        found[score.name] = Scored(value, time.perf_counter() - started, cause)
    return found


def _fitted(batch: Batch, network: FreshNetwork) -> Batch:
    """The batch as the network takes it."""
    if batch.inputs.dim() != 4 or len(network.shape) != 4:
        return batch
    images = resize(batch.inputs, *network.shape[2:])
    return Batch(images.contiguous(memory_format=torch.channels_last), batch.labels)
