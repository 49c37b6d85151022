"""A real job that measures where it must and predicts elsewhere, against the same job that measures every network.

    python benchmarks/predicted_job.py --evaluations 300 --seeds 3 --json job.json
    python benchmarks/predicted_job.py --job examples/digits.yaml --bound 0.2 --evaluations 300 --json digits.json

Both jobs run as `nas run` runs them, on this machine, each with a store of its own. Without `--job` networks of the
`mobilenet_v3` space are searched for the most multiply-adds in the least time, so that nothing is trained. At the end
the finalists of all are measured once more side by side, in one series, because a device is never the same twice; the
hypervolumes are those of these values, between the best and the worst finalists of the two jobs of a seed. With several
seeds it tells by how much two jobs differ that both measure everything: less than that says little.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import combinations
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
from nas.objectives import deviation, losses
from nas.results import Results
from profilers.measurement import Measurement
from profilers.registry import make_device, open_profiler
from profilers.series import Series
from search_spaces.space import SearchSpace
from storage.store import ResultStore

Array = NDArray[np.float64]

PREDICTED = "latency_ms"
SOURCES = ("measure", "auto")
DEFAULT: dict[str, Any] = {
    "name": "predicted",
    "space": {"name": "mobilenet_v3", "resolutions": [32, 48, 64], "stem_stride": 1},
    "devices": {"cpu": {"kind": "host", "threads": 1}},
    "objectives": [{"metric": "macs", "direction": "max"}, "latency_ms@cpu"],
    "strategy": {"name": "nsga2", "population": 20},
    "execution": {"workers": 1, "batch": 10, "in_flight": 1},
}


class Ran(NamedTuple):
    """A job that has ended: its results, how many networks it measured for the metric, and how often in all."""

    results: Results
    measured: int
    measurements: int


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
        anew = store.replications(found.id)
        results = Results.of(objectives, store.evaluations(found.id), anew)
    count = len(results.evaluations)
    searched = sum(each.metrics.get(deviation(metric), 0.0) == 0 for each in results.evaluations)
    passes = sum(int(row.statistics["passes"]) for row in anew if row.metric == metric)
    return Ran(results, results.spared.get(metric, (count, 0))[0], searched + passes)


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
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        document = DEFAULT if given.job is None else read_document(given.job)
        names = [each if isinstance(each, str) else each["metric"] for each in document["objectives"]]
        latencies = [name for name in names if name.startswith(f"{PREDICTED}@")]
        if len(latencies) != 1:
            raise ValueError(f"the job needs one objective {PREDICTED}@DEVICE (got {', '.join(names)})")
        (metric,) = latencies
        if given.seeds < 1:
            raise ValueError(f"--seeds must be at least 1 (got {given.seeds})")
        seeds = range(given.seed, given.seed + given.seeds)
        for source in SOURCES:
            parse_job(job(document, source, given.bound, given.evaluations, given.seed), source=str(given.job or "job"))
        device = document["devices"][metric.partition("@")[2]]
        if not given.json.resolve().parent.is_dir():
            raise ValueError(f"--json: there is no folder {given.json.parent}")
    except (ValueError, OSError, KeyError, TypeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    space = space_recipe(dict(document["space"]), allow_code=False).make()
    ran: dict[tuple[str, int], Ran] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            for source in SOURCES:
                asked = job(document, source, given.bound, given.evaluations, seed)
                ran[source, seed] = run(asked, Path(folder) / f"{source}{seed}", metric)
    best = {which: [each.results.evaluations[place] for place in each.results.front] for which, each in ran.items()}
    rows = np.array([space.genotype(each.genotype) for found in best.values() for each in found], np.int16)
    again = iter(anew(space, rows, device).tolist())
    latencies = {which: np.array([next(again) for _ in found]) for which, found in best.items()}
    lost = {which: measured(each.results, latencies[which], metric) for which, each in ran.items()}
    records = []
    for seed in seeds:
        share = ratio(lost["auto", seed], lost["measure", seed])
        for source in SOURCES:
            results, networks, runs = ran[source, seed]
            over = 0 if given.bound is None else int((latencies[source, seed] > given.bound).sum())
            records.append(
                {
                    "source": source,
                    "seed": seed,
                    "measured": networks,
                    "measurements": runs,
                    "evaluations": len(results.evaluations),
                    "finalists": len(results.front),
                    "share": share if source == "auto" else 1.0,
                    "stored_violations": int((results.violations[results.front] > 0).sum()),
                    "violations_measured_once_more": over,
                }
            )
    report(records)
    apart = [ratio(lost["measure", a], lost["measure", b]) for a, b in combinations(seeds, 2)]
    if apart:
        print(
            f"hypervolumes of two jobs that measure all differ by {100 * np.mean(np.abs(np.log(apart))):.1f} % (mean)"
        )
    given.json.write_text(json.dumps(records, indent=1))
    print(f"written: {given.json}")
    return 0


def measured(results: Results, latencies: Array, metric: str) -> Array:
    """(k, m) losses of the finalists of a job, with latencies (k,) that were measured once more."""
    values = results.values[results.front].copy()
    values[:, [objective.metric for objective in results.objectives].index(metric)] = latencies
    good = values[np.isfinite(values).all(axis=1)]
    return losses(results.objectives, {o.metric: good[:, place] for place, o in enumerate(results.objectives)})


def ratio(one: Array, other: Array) -> float:
    """The hypervolume of some losses (k, m) as a share of that of others, between the best and worst of both."""
    union = np.concatenate([one, other])
    low, high = union.min(axis=0), union.max(axis=0)
    corner = np.full(union.shape[1], 1.1)
    scaled = [(each - low) / np.where(high > low, high - low, 1.0) for each in (one, other)]
    return hypervolume(scaled[0][front(scaled[0])], corner) / hypervolume(scaled[1][front(scaled[1])], corner)


def report(records: Sequence[dict[str, Any]]) -> None:
    """A line for each job, and what they come to."""
    names = ("seed", "measured", "measurements", "evaluations", "finalists", "share")
    print("from    ", *(f"{name:>{max(len(name), 6)}}" for name in names), "over the bound")
    for each in records:
        columns = (f"{each[name]:{max(len(name), 6)}{'.4f' if name == 'share' else ''}}" for name in names)
        once_more = each["violations_measured_once_more"]
        print(f"{each['source']:8}", *columns, f"{each['stored_violations']}, once more {once_more}")
    plain, spared = ([each for each in records if each["source"] == source] for source in SOURCES)
    for name in ("measured", "measurements"):
        times = [a[name] / max(b[name], 1) for a, b in zip(plain, spared, strict=True)]
        what = "networks measured" if name == "measured" else "measurements, repeated ones counted"
        print(f"{np.mean(times):.1f} times fewer {what} (least {min(times):.1f})")
    shares = [each["share"] for each in spared]
    print(f"{np.mean(shares):.4f} of the hypervolume (from {min(shares):.4f} to {max(shares):.4f})")


if __name__ == "__main__":
    sys.exit(main())
