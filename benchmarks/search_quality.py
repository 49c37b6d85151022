"""How good the fronts are that strategies and peers find, at the same number of distinct evaluations.

The protocol of honest comparison of A. Yang, P. Esperanca, F. Carlucci, "NAS evaluation is frustratingly hard" (ICLR
2020): several seeds, medians and quartiles, relative improvement over the random average, a test against random. The
hypervolume's reference point is the table's worst values; both losses are scaled to the table's range; 1 is the table's
true front. Peers need `pip install -e '.[bench]'`.

    python benchmarks/search_quality.py --table nb201.npz --objectives accuracy@cifar10:max latency_ms@raspi4:min \
        --budget 300 --seeds 20 --json quality.json
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process for each run; before NumPy is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import importlib.util
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from landscape import Array, Landscape, objective
from quality_report import Curve, against_random, goals, plot, table
from search_peers import NEEDS, PEERS

from nas.front import front, hypervolume
from nas.strategies.base import StrategyOptions
from nas.strategies.registry import STRATEGIES, create, strategy
from nas.table import Table
from search_spaces.space import SearchSpace

SHOWN = (50, 100, 200, 300, 500, 1000, 2000)
EVERY = 10

_landscape: Landscape  # what worker processes search; they inherit it


def run_strategy(landscape: Landscape, options: StrategyOptions, budget: int, batch: int, seed: int) -> Array:
    """Search with one of ours, told after each batch; returns (k, m) losses in the order of evaluation."""
    space = landscape.space
    seeds = np.stack([space.smallest(), space.largest()]) if isinstance(space, SearchSpace) else None
    searcher = create(
        options,
        space,
        len(landscape.objectives),
        seed,
        static_violation=landscape.missing if landscape.restricted else None,
        seeds=seeds,
        features=landscape.features,
    )
    while len(searcher.history) < budget:
        rows = searcher.ask(min(batch, budget - len(searcher.history)))
        if not len(rows):
            break
        searcher.tell(rows, landscape.losses(rows), np.zeros(len(rows)))
    return np.array(searcher.history.losses)


def one(job: tuple[str, StrategyOptions | None, int, int, int]) -> tuple[Array, float]:
    """Run one search in a worker; returns its losses and the seconds it took."""
    name, options, budget, batch, seed = job
    started = time.perf_counter()
    if options is None:
        losses = PEERS[name](_landscape, budget, seed)
    else:
        losses = run_strategy(_landscape, options, budget, batch, seed)
    return losses, time.perf_counter() - started


def strategy_options(text: str) -> StrategyOptions:
    """Read `NAME` or `NAME:OPTION=VALUE,...`.

    Raises:
        ValueError: no such strategy, or no such option, or a value that it does not take.
    """
    name, _, settings = text.partition(":")
    kind = strategy(name).options_type
    given: dict[str, Any] = {"name": name}
    for part in filter(None, settings.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"an option of strategy {name!r} must be OPTION=VALUE (got {part!r})")
        given[key] = value
    return kind.model_validate(given)


def moments_of(budget: int) -> list[int]:
    """The numbers of evaluations at which hypervolumes are recorded."""
    return sorted({*range(EVERY, budget + 1, EVERY), *(shown for shown in SHOWN if shown <= budget), budget})


def compare(
    landscape: Landscape,
    searches: Sequence[tuple[str, StrategyOptions | None, int]],
    budget: int,
    batch: int,
    processes: int,
) -> tuple[list[Curve], bool]:
    """Run all searches, each with its number of seeds; returns their curves and whether the true front is known."""
    global _landscape  # forked workers inherit what is too large to send with every job
    _landscape = landscape
    jobs = [(name, options, budget, batch, seed) for name, options, seeds in searches for seed in range(seeds)]
    if processes > 1:
        with multiprocessing.get_context("fork").Pool(processes, maxtasksperchild=8) as pool:
            runs = pool.map(one, jobs, chunksize=1)
    else:
        runs = [one(job) for job in jobs]
    moments = moments_of(budget)
    volumes = np.array([landscape.hypervolumes(losses, moments) for losses, _ in runs])
    if landscape.full is None:
        found = landscape.scaled(np.concatenate([losses for losses, _ in runs]))
        volumes /= hypervolume(found[front(found)], np.ones(found.shape[1]))
    curves, start = [], 0
    for name, options, seeds in searches:
        mine = slice(start, start + seeds)
        start += seeds
        counts = np.array([len(losses) for losses, _ in runs[mine]], np.intp)
        seconds = np.array([taken for _, taken in runs[mine]])
        curves.append(Curve(name, options is None, volumes[mine], counts, seconds))
    return curves, landscape.full is not None


def records(curves: Sequence[Curve], moments: Sequence[int]) -> list[dict[str, Any]]:
    """One record for each search, seed and recorded number of evaluations that was reached."""
    return [
        {"name": c.name, "peer": c.peer, "seed": seed, "evaluations": moment, "hypervolume": float(volume)}
        for c in curves
        for seed, volumes in enumerate(c.volumes)
        for moment, volume in zip(moments, volumes, strict=True)
        if moment <= c.evaluations[seed] or moment == moments[-1]
    ]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--table", nargs="+", required=True, metavar="FILE", help="one or more of the same space")
    parser.add_argument("--objectives", nargs="+", required=True, metavar="METRIC:min|max")
    parser.add_argument("--budget", type=int, default=300, help="distinct evaluations of each run")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--strategies", nargs="*", default=list(STRATEGIES), metavar="NAME[:OPTION=VALUE,...]", help="by default all"
    )
    parser.add_argument("--peers", nargs="*", default=list(PEERS), metavar="NAME", help=f"of {', '.join(PEERS)}")
    parser.add_argument("--tpe-seeds", type=int, help="fewer for Optuna's TPE, which takes a hundred times as long")
    parser.add_argument("--batch", type=int, default=5, help="proposals that our strategies are asked for at once")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", required=True, type=Path, metavar="OUT", help="records; the plot goes beside it")
    parser.add_argument("--plot", type=Path, help="by default OUT with .png")
    return parser.parse_args(arguments)


def searches_of(given: argparse.Namespace) -> list[tuple[str, StrategyOptions | None, int]]:
    """The searches to run: (name, options, seeds); random is always among them.

    Raises:
        ValueError: something unknown or out of range.
    """
    for name, value in (("seeds", given.seeds), ("processes", given.processes), ("batch", given.batch)):
        if value < 1:
            raise ValueError(f"--{name} must be at least 1 (got {value})")
    if given.budget < given.batch:
        raise ValueError(f"--budget must be at least one batch of {given.batch} (got {given.budget})")
    if given.tpe_seeds is not None and given.tpe_seeds < 1:
        raise ValueError(f"--tpe-seeds must be at least 1 (got {given.tpe_seeds})")
    if not given.json.parent.is_dir():
        raise ValueError(f"--json: there is no folder {given.json.parent}")
    found: list[tuple[str, StrategyOptions | None, int]] = []
    for text in dict.fromkeys(given.strategies):
        if text != "random":  # it is the baseline, and runs among the peers
            found.append((text, strategy_options(text), given.seeds))
    for name in dict.fromkeys([*given.peers, "random"]):
        if name not in PEERS:
            raise ValueError(f"unknown peer {name!r}; known: {', '.join(PEERS)}")
        for start, package in NEEDS.items():
            if name.startswith(start) and importlib.util.find_spec(package) is None:
                raise ValueError(f"peer {name!r} needs {package}: pip install -e '.[bench]'")
        few = given.tpe_seeds if name == "optuna_tpe" and given.tpe_seeds else given.seeds
        found.append((name, None, min(few, given.seeds)))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and report; returns the exit code, 2 for bad input."""
    given = parse(arguments)
    try:
        searches = searches_of(given)
        tables = [Table.load(path) for path in given.table]
        landscape = Landscape.of(tables, [objective(text) for text in given.objectives])
        if given.budget > landscape.size:
            raise ValueError(f"--budget {given.budget} is more than the {landscape.size} architectures there are")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    title = f"{' + '.join(given.objectives)}, {', '.join(Path(path).name for path in given.table)}"
    print(f"{title}\n{landscape.describe()}\nbudget {given.budget}, {given.seeds} seeds, batches of {given.batch}\n")
    curves, known = compare(landscape, searches, given.budget, given.batch, given.processes)
    moments = moments_of(given.budget)
    shown = sorted({*(moment for moment in SHOWN if moment <= given.budget), given.budget})
    baseline = next(curve for curve in curves if curve.name == "random")
    print(table(curves, moments, shown), goals(curves, moments), sep="\n\n")
    print(f"\n{against_random(curves, baseline, moments, shown)}")
    given.json.write_text(json.dumps(records(curves, moments)))
    picture = given.plot or given.json.with_suffix(".png")
    plot(curves, moments, title, known, picture)
    print(f"\nwritten: {given.json}, {picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
