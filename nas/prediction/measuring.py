"""Measuring networks of a space that no job evaluates: those that predictors and tables of layers are made from."""

from collections.abc import Callable

from nas.evaluation.subnet import subnets
from profilers.device import Device
from profilers.profiler import Outcome, Profiler
from profilers.series import Series
from search_spaces.genotypes import Population
from search_spaces.space import SearchSpace

AT_ONCE = 8
"""Models that are held at a time."""


def measure_networks(
    space: SearchSpace,
    rows: Population,
    device: Device,
    profiler: Profiler,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Outcome]:
    """What comes of each of the (n, d) genotypes' networks, with random weights.

    Args:
        space: of the genotypes.
        rows: the genotypes.
        device: where.
        profiler: what measures; it stays the caller's.
        progress: told how many are done.

    Raises:
        DeviceLost: the device is gone.
    """
    networks, series = subnets(space, None, None), Series(profiler, device)
    outcomes: list[Outcome] = []
    progress(0)
    for start in range(0, len(rows), AT_ONCE):
        outcomes += series.measure([networks.network(row).model({}) for row in rows[start : start + AT_ONCE]])
        progress(len(outcomes))
    return outcomes
