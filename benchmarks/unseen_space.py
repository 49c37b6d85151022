"""Networks of a space that was never measured, predicted from networks of other spaces on the same device.

    python benchmarks/unseen_space.py --networks 20 --json unseen.json

Random networks of four spaces, small enough for any CPU, are measured on this machine in one run. For each space the
`graph` predictor learns from the three others; beside it stand `lookup`, which corrects the sum of what layers take by
the layers that the three others have, that sum as it is, and a line through the multiply-adds and one through the bytes
moved. `--keep` writes what was measured, and `--measured` reads it, so that predictors can be compared on the same
values.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from nas.evaluation.subnet import subnets
from nas.features.operators import Operators, operators_of
from predictors.graph import Graph
from predictors.layer_table import LAYER_FEATURES, LayerTable
from predictors.lookup import Lookup
from predictors.node_features import node_features
from predictors.scores import Scores
from profilers.layer_timing import LayerTime
from profilers.measurement import Measurement
from profilers.registry import make_device, open_profiler
from profilers.series import Series
from profilers.timing import TimingRule
from search_spaces.registry import SPACES

Array = NDArray[np.float64]

SETTINGS: dict[str, dict[str, object]] = {
    "mobilenet_v3": {"resolutions": [32, 48, 64]},
    "fbnet": {"resolution": 64},
    "nasbench201": {"resolution": 16},
    "resnet50": {"resolutions": [32, 48]},
}


LAYER_RUNS = 30


class Measured(NamedTuple):
    """Operators, features for `graph`, costs (n, 2) and latencies (n,) of networks, and what their layers take."""

    operators: Operators
    features: Array
    costs: Array
    latencies: Array
    layers: dict[str, float]


def measured(name: str, count: int, seed: int, series: Series, bars: Progress) -> Measured:
    """Measure random networks."""
    space = SPACES[name](**SETTINGS[name])  # type: ignore[arg-type]
    rows = space.sample(count, np.random.default_rng([seed, 21]))
    networks = subnets(space, None, None)
    task = bars.add_task(name, total=count)
    models = [networks.network(row).model({}) for row in rows]
    found = series.measure(models, lambda done: bars.update(task, completed=done))
    good = [place for place, outcome in enumerate(found) if isinstance(outcome, Measurement)]
    outcomes = [outcome for outcome in found if isinstance(outcome, Measurement)]
    costs = space.costs(rows[good])
    operators = operators_of([space.graph(row) for row in rows[good]])
    return Measured(
        operators,
        node_features(*operators),
        np.stack([costs["macs"], costs["bytes_moved"]], axis=1),
        np.array([outcome.metrics["latency_ms"] for outcome in outcomes]),
        {e.signature: e.latency_ms for outcome in outcomes for e in outcome.layers if isinstance(e, LayerTime)},
    )


def keep(path: Path, data: Mapping[str, Measured]) -> None:
    """Write what was measured of networks, by space, without pickle."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, each in data.items():
        parts = {**each.operators._asdict(), "costs": each.costs, "latencies": each.latencies}
        parts |= {"layers": json.dumps(each.layers)}
        arrays |= {f"{name}.{part}": np.array(value) for part, value in parts.items()}
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def kept(path: Path) -> dict[str, Measured]:
    """Read what `keep` wrote.

    Raises:
        OSError: there is no such file.
        ValueError: it is no such file.
    """
    data = {}
    with np.load(path, allow_pickle=False) as file:
        for name in SETTINGS:
            if f"{name}.latencies" not in file.files:
                raise ValueError(f"{path} has no latencies of {name}")
            own = {part: file[f"{name}.{part}"] for part in ("operators", "numbers", "starts", "columns")}
            own["columns"] = tuple(own["columns"].tolist())
            operators = Operators(**own)
            values = (file[f"{name}.{part}"] for part in ("costs", "latencies"))
            data[name] = Measured(
                operators, node_features(*operators), *values, json.loads(str(file[f"{name}.layers"]))
            )
    return data


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, fit and report; returns the exit code, 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=20, help="of each space")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="an .npz file to write what was measured to")
    parser.add_argument("--measured", type=Path, help="such a file of an earlier run, in the place of measuring")
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args(arguments)
    if given.networks < 5:
        print(f"error: --networks must be at least 5 (got {given.networks})", file=sys.stderr)
        return 2
    noise = None
    if given.measured is not None:
        try:
            data = kept(given.measured)
        except (OSError, ValueError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    else:
        device = make_device({})
        with (
            open_profiler(device, TimingRule(layer_runs=LAYER_RUNS)) as profiler,
            Progress(console=Console(stderr=True)) as bars,
        ):
            series = Series(profiler, device)
            data = {name: measured(name, given.networks, given.seed, series, bars) for name in SETTINGS}
            noise = series.noise
    if given.keep is not None:
        keep(given.keep, data)
    records = []
    for name, own in data.items():
        others = [data[other] for other in data if other != name]
        y, known = own.latencies, np.concatenate([each.latencies for each in others])
        table = LayerTable({signature: ms for each in others for signature, ms in each.layers.items()})
        sums = table(*own.operators)
        predictor = Graph().fit(np.concatenate([each.features for each in others]), known)
        lookup = Lookup(LAYER_FEATURES).fit(np.concatenate([table(*each.operators) for each in others]), known)
        none = np.full(len(y), np.nan)
        guesses = {
            "graph": (predictor.predict(own.features).mean, *predictor.interval(own.features)),
            "lookup": (lookup.predict(sums).mean, *lookup.interval(sums)),
            "lookup sum": (sums[:, :-1].sum(axis=1), none, none),
        }
        for column, what in enumerate(("macs", "bytes moved")):
            reference = np.concatenate([each.costs[:, column] for each in others])
            slope, level = np.polyfit(reference, known, 1, w=1 / known)
            guesses[what] = (slope * own.costs[:, column] + level, none, none)
        for what, (mean, low, high) in guesses.items():
            scores = Scores.of(y, mean, low, high)
            told = {key: None if np.isnan(value) else value for key, value in scores._asdict().items()}
            told |= {"coverage_90": None} if np.isnan(low).any() else {}
            error = float(np.median(np.abs(mean / y - 1)))
            records.append({"space": name, "predictor": what, "networks": len(y), "median_error": error, **told})
    if noise is not None:
        print(f"noise of this device: {noise:.3f}")
    print(
        f"{'space never seen':18} {'from':12} {'spearman':>9} {'within 10 %':>12} {'median error':>13} {'covered':>8}"
    )
    for each in records:
        covered = "-" if each["coverage_90"] is None else f"{each['coverage_90']:.2f}"
        print(
            f"{each['space']:18} {each['predictor']:12} {each['spearman']:9.3f} {each['within_10']:12.2f} "
            f"{each['median_error']:13.3f} {covered:>8}"
        )
    given.json.write_text(json.dumps(records, indent=1))
    print(f"written: {given.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
