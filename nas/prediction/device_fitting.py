"""Getting to know a device: choose networks of a space, measure them, and fit what predicts all others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.features.network_features import SpaceFeatures
from nas.features.operators import operators_of
from nas.prediction.measuring import measure_networks
from predictors.auto import Auto
from predictors.errors import PredictorError
from predictors.graph import Graph
from predictors.layer_table import LAYER_FEATURES, LayerTable
from predictors.lookup import Lookup
from predictors.node_features import node_features
from predictors.predictor import Predictor, Source, checked_values
from predictors.scores import Scores
from profilers.device import Device
from profilers.measurement import Measurement
from profilers.profiler import Profiler
from search_spaces.genotypes import Population
from search_spaces.space import SearchSpace

Array = NDArray[np.float64]

CANDIDATES = 800
"""Random networks among which those to measure are chosen."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of measuring a device.

    Attributes:
        predictor: for networks of the space.
        universal: for any network; what it knew of other spaces is kept. None where too little was measured.
        lookup: for any network, from what layers take alone. None where no layers were measured.
        chosen: (n, d) genotypes of the networks that were chosen and measured, the most telling first.
        measured: (n,) their values.
        held: (n,) what was predicted for each without it.
        tested: measured and predicted values of random networks that were kept apart, and their scores.
        failed: why networks could not be measured.
    """

    predictor: Predictor
    universal: Graph | None
    lookup: Lookup | None
    chosen: Population
    measured: Array
    held: Array
    tested: tuple[Array, Array, Scores] | None
    failed: list[str]


def fit_device(
    space: SearchSpace,
    device: Device,
    profiler: Profiler,
    metric: str,
    *,
    samples: int,
    tests: int = 0,
    seed: int = 0,
    known: Graph | None = None,
    others: Mapping[str, Predictor] | None = None,
    layers: LayerTable | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Fitted:
    """Measure networks of a space and learn from them.

    Args:
        space: whose networks are built, with random weights.
        device: what they are measured on.
        profiler: what measures; it stays the caller's.
        metric: of the device, such as `latency_ms`.
        samples: how many the predictor may choose.
        tests: how many random ones are measured beside, only to see how good it is.
        seed: of the candidates and of the predictor.
        known: what is known of the device from other spaces.
        others: what predicts the metric of other devices, by their names; those of the same features are sources.
        layers: what layers take on the device.
        progress: told how many of how many are measured.

    Raises:
        PredictorError: too few of them could be measured, or all are the same.
        DeviceLost: the device is gone.
    """
    rng = np.random.default_rng([seed, 20])
    made = SpaceFeatures(space)
    extremes = np.stack([space.smallest(), space.largest()])
    population = _distinct(np.concatenate([extremes, space.sample(CANDIDATES + tests, rng)]))
    if len(population) < samples + tests:
        raise PredictorError(
            f"{samples + tests} networks are to be measured, but {len(population)} of {space.name!r} were found"
        )
    pool, apart = population[: len(population) - tests], population[len(population) - tests :]
    x = made(pool)
    sources = [
        Source(name, x, other.predict(x).mean)
        for name, other in (others or {}).items()
        if other.features.digest == made.features.digest
    ]
    predictor = Auto(made.features, seed=seed)
    chosen = pool[predictor.choose(x, samples, sources=sources)]
    rows = np.concatenate([chosen, apart])
    outcomes = measure_networks(space, rows, device, profiler, lambda done: progress(done, len(rows)))
    values = np.array([each.metrics[metric] if isinstance(each, Measurement) else np.nan for each in outcomes])
    failed = [str(each) for each in outcomes if not isinstance(each, Measurement)]
    good = np.isfinite(values)
    train = np.flatnonzero(good[:samples])
    if len(train) < predictor.least_samples and failed:
        raise PredictorError(f"{len(failed)} of {len(rows)} networks could not be measured; the first: {failed[0]}")
    predictor.fit(made(rows[train]), values[train], sources)
    tested = None
    if test := (samples + np.flatnonzero(good[samples:])).tolist():
        guess = predictor.predict(made(rows[test])).mean
        scores = Scores.of(values[test], guess, *predictor.interval(made(rows[test])))
        tested = values[test], guess, scores
    everything = np.flatnonzero(good)
    operators = operators_of([space.graph(row) for row in rows[everything]])
    nodes, y = node_features(*operators), values[everything]
    lookup = None if layers is None else Lookup(LAYER_FEATURES, seed=seed).fit(layers(*operators), y)
    if known is not None:
        nodes, y = np.concatenate([known.seen[0], nodes]), np.concatenate([known.seen[1], y])
    universal = None
    if len(y) >= Graph.least_samples and (y > 0).all():
        checked_values(y, len(y), Graph.least_samples, Graph.name)
        universal = Graph(seed=seed).fit(nodes, y)
    return Fitted(predictor, universal, lookup, rows[train], values[train], predictor.held.mean, tested, failed)


def _distinct(population: Population) -> Population:
    """Rows in their order, each once."""
    _, firsts = np.unique(population, axis=0, return_index=True)
    return population[np.sort(firsts)]
