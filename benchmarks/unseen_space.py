"""Networks of a space that was never measured, predicted from networks of other spaces on the same device.

    python benchmarks/unseen_space.py --networks 20 --json unseen.json

Random networks of four spaces, small enough for any CPU, are measured on this machine in one run. For each space the
`graph` predictor learns from the three others, beside a line through the multiply-adds and one through the bytes moved.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from nas.evaluation.subnet import subnets
from nas.predictor_fitting import graph_features
from predictors.graph import Graph
from predictors.scores import Scores
from profilers.measurement import Measurement
from profilers.registry import make_device, open_profiler
from profilers.series import Series
from search_spaces.registry import SPACES

Array = NDArray[np.float64]

SETTINGS: dict[str, dict[str, object]] = {
    "mobilenet_v3": {"resolutions": [32, 48, 64]},
    "fbnet": {"resolution": 64},
    "nasbench201": {"resolution": 16},
    "resnet50": {"resolutions": [32, 48]},
}


def measured(name: str, count: int, seed: int, series: Series, bars: Progress) -> tuple[Array, Array, Array]:
    """Features, costs (n, 2) and latencies of random networks."""
    space = SPACES[name](**SETTINGS[name])  # type: ignore[arg-type]
    rows = space.sample(count, np.random.default_rng([seed, 21]))
    networks = subnets(space, None, None)
    task = bars.add_task(name, total=count)
    models = [networks.network(row).model({}) for row in rows]
    found = series.measure(models, lambda done: bars.update(task, completed=done))
    good = [place for place, outcome in enumerate(found) if isinstance(outcome, Measurement)]
    y = np.array([outcome.metrics["latency_ms"] for outcome in found if isinstance(outcome, Measurement)])
    costs = space.costs(rows[good])
    return (
        graph_features([space.graph(row) for row in rows[good]]),
        np.stack([costs["macs"], costs["bytes_moved"]], axis=1),
        y,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, fit and report; returns the exit code, 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=20, help="of each space")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args(arguments)
    if given.networks < 5:
        print(f"error: --networks must be at least 5 (got {given.networks})", file=sys.stderr)
        return 2
    device = make_device({})
    with open_profiler(device) as profiler, Progress(console=Console(stderr=True)) as bars:
        series = Series(profiler, device)
        data = {name: measured(name, given.networks, given.seed, series, bars) for name in SETTINGS}
        noise = series.noise
    records = []
    for name, (x, costs, y) in data.items():
        others = [data[other] for other in data if other != name]
        seen, known = np.concatenate([each[0] for each in others]), np.concatenate([each[2] for each in others])
        predictor = Graph().fit(seen, known)
        guesses = {"graph": (predictor.predict(x).mean, *predictor.interval(x))}
        for column, what in enumerate(("macs", "bytes moved")):
            reference = np.concatenate([each[1][:, column] for each in others])
            slope, level = np.polyfit(reference, known, 1, w=1 / known)
            line = slope * costs[:, column] + level
            guesses[what] = (line, np.full(len(y), np.nan), np.full(len(y), np.nan))
        for what, (mean, low, high) in guesses.items():
            scores = Scores.of(y, mean, low, high)
            error = float(np.median(np.abs(mean / y - 1)))
            records.append(
                {"space": name, "predictor": what, "networks": len(y), "median_error": error, **scores._asdict()}
            )
    print(f"noise of this device: {noise if noise is None else round(noise, 3)}")
    print(
        f"{'space never seen':18} {'from':12} {'spearman':>9} {'within 10 %':>12} {'median error':>13} {'covered':>8}"
    )
    for each in records:
        covered = "-" if each["predictor"] != "graph" else f"{each['coverage_90']:.2f}"
        print(
            f"{each['space']:18} {each['predictor']:12} {each['spearman']:9.3f} {each['within_10']:12.2f} "
            f"{each['median_error']:13.3f} {covered:>8}"
        )
    given.json.write_text(json.dumps(records, indent=1))
    print(f"written: {given.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
