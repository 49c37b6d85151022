"""What decisions cost on a device of the job: a few networks are measured there, and a table is fitted on them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nas.artifacts import sha256, write_atomically
from nas.evaluation.evaluator import RayEvaluator, Request
from nas.problem import Problem
from nas.progress import Progress
from nas.search import measurements
from search_spaces.costs.static import costs
from search_spaces.gradient.cost_table import CostTable
from search_spaces.space import Population
from storage.records import Architecture, Lease
from storage.store import ResultStore

FILE = "costs.json"
LEAST = 8


def measured_costs(
    store: ResultStore,
    lease: Lease,
    problem: Problem,
    folder: Path,
    devices: Mapping[str, dict[str, Any]],
    fingerprints: Mapping[str, str],
    progress: Progress,
) -> CostTable:
    """The job's table of costs, measured if it was not yet.

    What other jobs measured on the same device is not measured again. The table is kept in a file, because a search
    has to go on with the costs that it began with.

    Args:
        store: where measurements go and come from.
        lease: the right to write for the job.
        problem: the job made concrete, with a cost.
        folder: the job's artifacts.
        devices: with the one of the cost.
        fingerprints: the device fingerprint of each measured metric.
        progress: who is told about probes.

    Raises:
        RuntimeError: too few networks could be measured.
        ValueError: the file is damaged.
    """
    options = problem.gradient_options
    assert options is not None
    assert options.cost is not None
    path, metric = folder / FILE, options.cost.metric
    if path.exists():
        return CostTable.read(path.read_text(), problem.space)
    rows = probes(problem, options.cost.probes)
    values, error = _measured(store, lease, problem, rows, metric, devices, fingerprints, progress)
    known = np.isfinite(values)
    if known.sum() < LEAST:
        raise RuntimeError(
            f"{metric} is known of {int(known.sum())} of {len(rows)} probes, and at least {LEAST} are needed; the last "
            f"error: {error or 'none'}"
        )
    table = CostTable.fit(problem.space, metric, rows[known], values[known])
    progress.say(
        f"{metric} of {int(known.sum())} probes: {values[known].min():.4g} to {values[known].max():.4g}; the table of "
        f"decisions is off by {table.error:.2g} (root of the mean square, left out)"
    )
    content = table.text().encode()
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
    store.add_artifact(lease, "costs", str(path), sha256=sha256(content), size_bytes=len(content))
    return table


def probes(problem: Problem, count: int) -> Population:
    """The distinct canonical genotypes that are measured, (count, d) or fewer: the extremes and random ones."""
    space = problem.space
    drawn = space.sample(4 * count, np.random.default_rng([problem.spec.seed, 1]))
    rows = space.canonical(np.concatenate([space.smallest()[None], space.largest()[None], drawn]))
    _, first = np.unique(rows, axis=0, return_index=True)
    chosen: Population = rows[np.sort(first)][:count]
    return chosen


def _measured(
    store: ResultStore,
    lease: Lease,
    problem: Problem,
    rows: Population,
    metric: str,
    devices: Mapping[str, dict[str, Any]],
    fingerprints: Mapping[str, str],
    progress: Progress,
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], str | None]:
    """The metric of each probe, NaN where it could not be measured, and why the last one could not."""
    space, name = problem.space, metric.partition("@")[2]
    keys, architectures = [], []
    for row in rows:
        graph = space.graph(row)
        keys.append(space.key(row, graph))
        architectures.append(Architecture(keys[-1], space.name, dict(space.choices(row)), costs(graph)))
    store.add_architectures(lease, architectures)
    told = {each: fingerprint for each, fingerprint in fingerprints.items() if each.partition("@")[2] == name}
    found = {key: each.value for key, each in store.measurements(keys, told[metric], metric).items()}
    open_keys = dict.fromkeys(key for key in keys if key not in found)
    total, error = len(set(keys)), None
    progress.probing(len(found), total)
    evaluator = RayEvaluator(
        problem.recipe, scored=False, weights=None, data=None, devices={name: devices[name]}, workers=1
    )
    try:
        evaluator.submit(
            [Request(key, row) for key, row in dict(zip(keys, rows, strict=True)).items() if key in open_keys]
        )
        while answers := evaluator.wait():
            store.add_measurements(lease, [row for answer in answers for row in measurements(answer)])
            for answer in answers:
                found[answer.key] = answer.metrics.get(metric, np.nan)
                error = answer.error or error
            progress.probing(len(found), total)
    finally:
        evaluator.close()
    return np.array([found[key] for key in keys], np.float64), error
