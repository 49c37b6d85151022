"""A few networks that between them have the layers of a space, so that measuring them measures each layer."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nas.features.operators import operators_of
from nas.prediction.measuring import measure_networks
from predictors.layer_table import COLUMNS
from profilers.device import Device
from profilers.layer_timing import LayerTime
from profilers.measurement import Measurement
from profilers.profiler import Profiler
from search_spaces.covering import covering_genotypes
from search_spaces.genotypes import Population
from search_spaces.space import SearchSpace

DRAWN = 256
"""Random networks that are looked at beside those that use every option."""


@dataclass(frozen=True, slots=True)
class Cover:
    """Networks, and which share of the layers they have.

    Attributes:
        rows: (n, d) canonical genotypes, the one with the most new layers first.
        layers: distinct layers of all networks that were looked at.
        covered: how many of these the rows have.
    """

    rows: Population
    layers: int
    covered: int


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What layers take.

    Attributes:
        fingerprint: of the device.
        layers: each once, with the median over the networks that have it, by operator and name.
        failed: why networks could not be measured.
    """

    fingerprint: str
    layers: tuple[LayerTime, ...]
    failed: list[str]


def cover(space: SearchSpace, most: int, seed: int = 0) -> Cover:
    """Choose networks greedily: next is the one with the most layers that none before it has (Chvatal, 1979).

    Args:
        space: whose networks are looked at, those that use every option of every decision and `DRAWN` random ones.
        most: networks that are chosen.
        seed: of the random ones.
    """
    pool = covering_genotypes(space, np.random.default_rng([seed, 21]), random=DRAWN)
    operators, numbers, starts, columns = operators_of([space.graph(row) for row in pool])
    told = numbers[:, [columns.index(name) for name in COLUMNS]]
    codes = np.unique(operators, return_inverse=True)[1]
    kinds, layer = np.unique(np.column_stack([codes, told]), axis=0, return_inverse=True)
    has = np.zeros((len(pool), len(kinds)), np.bool_)
    has[np.repeat(np.arange(len(pool)), np.diff(starts)), layer.ravel()] = True
    missing = np.ones(len(kinds), np.bool_)
    chosen: list[int] = []
    while len(chosen) < most and missing.any():
        chosen.append(int((has & missing).sum(axis=1).argmax()))
        missing &= ~has[chosen[-1]]
    return Cover(pool[chosen], len(kinds), int((~missing).sum()))


def survey(
    space: SearchSpace,
    rows: Population,
    device: Device,
    profiler: Profiler,
    progress: Callable[[int], None] = lambda done: None,
) -> Surveyed:
    """Measure the layers of networks, as the runtime runs them, after it fused what it could.

    Args:
        space: of the networks, which get random weights.
        rows: (n, d) their genotypes.
        device: one that tells layers.
        profiler: whose rule has runs for layers; it stays the caller's.
        progress: told how many networks are measured.

    Raises:
        DeviceLost: the device is gone.
        ValueError: none of the networks could be measured.
    """
    outcomes = measure_networks(space, rows, device, profiler, progress)
    measured = [each for each in outcomes if isinstance(each, Measurement)]
    failed = [str(each) for each in outcomes if not isinstance(each, Measurement)]
    if not measured:
        raise ValueError(f"none of {len(rows)} networks of space {space.name!r} could be measured; first: {failed[0]}")
    seen: dict[str, list[LayerTime]] = {}
    for layer in (each for measurement in measured for each in measurement.layers if isinstance(each, LayerTime)):
        seen.setdefault(layer.signature, []).append(layer)
    layers = [
        replace(times[0], latency_ms=float(np.median([each.latency_ms for each in times]))) for times in seen.values()
    ]
    return Surveyed(measured[0].fingerprint, tuple(sorted(layers, key=lambda each: (each.op, each.signature))), failed)
