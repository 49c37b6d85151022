"""A real job that measures where it must and predicts elsewhere, against the same job that measures every network.

    python benchmarks/predicted_job.py --evaluations 400 --json job.json
    python benchmarks/predicted_job.py --job examples/digits.yaml --bound 0.2 --evaluations 300 --json digits.json

Both jobs run as `nas run` runs them, on this machine, each with a store of its own. Without `--job` networks of the
`mobilenet_v3` space are searched for the most multiply-adds in the least time, so that nothing is trained. At the end
the finalists of both are measured once more side by side, in one series, because a device is never the same twice; the
hypervolumes are those of these values, between the best and the worst of all finalists.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from nas.evaluation.subnet import subnets
from nas.front import front, hypervolume
from nas.jobspec.document import read_document
from nas.jobspec.load import parse_job
from nas.jobspec.space_code import space_recipe
from nas.objectives import losses
from nas.results import Results
from profilers.measurement import Measurement
from profilers.registry import make_device, open_profiler
from profilers.series import Series
from search_spaces.space import SearchSpace
from storage.store import ResultStore

Array = NDArray[np.float64]

PREDICTED = "latency_ms"
DEFAULT: dict[str, Any] = {
    "name": "predicted",
    "space": {"name": "mobilenet_v3", "resolutions": [32, 48, 64], "stem_stride": 1},
    "devices": {"cpu": {"kind": "host", "threads": 1}},
    "objectives": [{"metric": "macs", "direction": "max"}, "latency_ms@cpu"],
    "strategy": {"name": "nsga2", "population": 20},
    "execution": {"workers": 1, "batch": 10, "in_flight": 1},
}


class Ran(NamedTuple):
    """A job that has ended: its results, and how many networks it measured for the metric."""

    results: Results
    measured: int


def job(document: dict[str, Any], source: str, bound: float | None, evaluations: int, seed: int) -> dict[str, Any]:
    """The job with its latency from a source; without other limits than the number of evaluations."""
    objectives = []
    for given in document["objectives"]:
        objective = {"metric": given} if isinstance(given, str) else dict(given)
        if objective["metric"].startswith(f"{PREDICTED}@"):
            objective |= {"from": source, **({} if bound is None else {"bound": bound})}
        objectives.append(objective)
    return {**document, "objectives": objectives, "budget": {"evaluations": evaluations}, "seed": seed}


def run(document: dict[str, Any], folder: Path, metric: str) -> Ran:
    """Run a job to its end in a process of its own.

    Raises:
        RuntimeError: it failed; what it said is on the terminal.
    """
    folder.mkdir()
    file, url = folder / "job.yaml", f"sqlite:///{folder / 'nas.db'}"
    file.write_text(yaml.safe_dump(document))
    done = subprocess.run([sys.executable, "-m", "nas", "run", str(file), "--store", url], check=False)
    if done.returncode:
        raise RuntimeError(f"the job ended with code {done.returncode}")
    with ResultStore(url, create=False) as store:
        found = store.jobs(limit=1)[0]
        objectives = parse_job(found.spec, source=str(file)).objectives
        results = Results.of(objectives, store.evaluations(found.id), store.replications(found.id))
    return Ran(results, results.spared.get(metric, (len(results.evaluations), 0))[0])


def anew(space: SearchSpace, rows: NDArray[np.int16], section: dict[str, Any]) -> Array:
    """(n,) latencies of networks in ms, measured in one series; NaN where one failed."""
    device, networks = make_device(section), subnets(space, None, None)
    with open_profiler(device) as profiler, Progress(console=Console(stderr=True)) as bars:
        task = bars.add_task("finalists", total=len(rows))
        found = Series(profiler, device).measure(
            [networks.network(row).model({}) for row in rows], lambda done: bars.update(task, completed=done)
        )
    return np.array([each.metrics[PREDICTED] if isinstance(each, Measurement) else np.nan for each in found])


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and report; returns the exit code, 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--job", type=Path, help="a job file with one objective latency_ms@DEVICE")
    parser.add_argument("--bound", type=float, help="of the latency, in ms")
    parser.add_argument("--evaluations", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        document = DEFAULT if given.job is None else read_document(given.job)
        names = [each if isinstance(each, str) else each["metric"] for each in document["objectives"]]
        latencies = [name for name in names if name.startswith(f"{PREDICTED}@")]
        if len(latencies) != 1:
            raise ValueError(f"the job needs one objective {PREDICTED}@DEVICE (got {', '.join(names)})")
        (metric,) = latencies
        documents = {s: job(document, s, given.bound, given.evaluations, given.seed) for s in ("measure", "auto")}
        for each in documents.values():
            parse_job(each, source=str(given.job or "the job"))
        device = document["devices"][metric.partition("@")[2]]
        if not given.json.resolve().parent.is_dir():
            raise ValueError(f"--json: there is no folder {given.json.parent}")
    except (ValueError, OSError, KeyError, TypeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        ran = {source: run(each, Path(folder) / source, metric) for source, each in documents.items()}
    space = space_recipe(dict(document["space"]), allow_code=False).make()
    objectives = ran["auto"].results.objectives
    rows, values = {}, {}
    for source, (results, _) in ran.items():
        best = [results.evaluations[place] for place in results.front]
        rows[source] = np.array([space.genotype(each.genotype) for each in best], np.int16)
        values[source] = results.values[results.front]
    again = anew(space, np.concatenate(list(rows.values())), device)
    column = [objective.metric for objective in objectives].index(metric)
    start, lost, broken = 0, {}, {}
    for source, told in values.items():
        told = told.copy()
        told[:, column] = again[start : start + len(told)]
        start += len(told)
        good = np.isfinite(told).all(axis=1)
        by_name = {objective.metric: told[good, place] for place, objective in enumerate(objectives)}
        lost[source] = losses(objectives, by_name)
        broken[source] = 0 if given.bound is None else int((told[:, column] > given.bound).sum())
    union = np.concatenate(list(lost.values()))
    low, high = union.min(axis=0), union.max(axis=0)
    corner = np.full(len(objectives), 1.1)
    volume = {
        source: hypervolume(((each - low) / np.where(high > low, high - low, 1.0))[front(each)], corner)
        for source, each in lost.items()
    }
    records = []
    names = ("measured", "of", "finalists", "hypervolume", "share", "over the bound")
    print("from    ", *(f"{name:>{max(len(name), 7)}}" for name in names))
    for source, (results, measured) in ran.items():
        record = {
            "source": source,
            "measured": measured,
            "evaluations": len(results.evaluations),
            "finalists": len(rows[source]),
            "hypervolume": volume[source],
            "share": volume[source] / volume["measure"],
            "stored_violations": int((results.violations[results.front] > 0).sum()),
            "violations_measured_once_more": broken[source],
        }
        records.append(record)
        print(
            f"{source:8} {measured:8} {len(results.evaluations):7} {len(rows[source]):9} {volume[source]:11.4f} "
            f"{record['share']:7.4f} {record['stored_violations']}, once more {broken[source]}"
        )
    print(f"{ran['measure'].measured / max(ran['auto'].measured, 1):.1f} times fewer measurements")
    given.json.write_text(json.dumps(records, indent=1))
    print(f"written: {given.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
