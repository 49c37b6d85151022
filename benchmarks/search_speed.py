"""How much time strategies take themselves, on the Once-for-All space with losses that cost next to nothing.

Two tables: milliseconds of `ask` and `tell` for each evaluation of every strategy, one by one and in batches, with
histories of growing length; and a whole NSGA-II run with a predicted accuracy, a predicted latency and a bound on MACs,
beside pymoo's on the same predictions in the same process when it is installed (`pip install -e '.[bench]'`). `--data`
is a folder with `ofa_accuracy.npz` and `ofa_latency.npz` to fit the predictors on; without it their weights are random.

Published on other machines for 500 generations of 100: Once-for-All's own evolution 44 s.

    python benchmarks/search_speed.py --data FOLDER --json search_speed.json
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from once_for_all import OnceForAll

from nas.front import hypervolume
from nas.strategies.nsga2 import Nsga2, Nsga2Options
from nas.strategies.registry import STRATEGIES, create
from search_spaces.genotypes import Population

FIRST = 100
"""Proposals before anything is told."""

Run = tuple[float, float, NDArray[np.float64]]
"""Wall seconds, CPU seconds of this process, and the losses (n, 2) of everything that was feasible."""


def growth(problem: OnceForAll, name: str, sizes: Sequence[int], batches: Sequence[int]) -> list[dict[str, Any]]:
    """Tell random results until each size is reached; there, measure `ask` and `tell` in batches of each size.

    A share of the history is asked for, a fiftieth, so that models that are asked once for many proposals are asked
    as often as in a search; at least 20 batches.
    """
    space = problem.space
    seeds = np.stack([space.smallest(), space.largest()])
    searcher = create(STRATEGIES[name].options_type.model_validate({"name": name}), space, 2, 0, seeds=seeds)
    rng = np.random.default_rng(3)
    searcher.ask(FIRST)  # structured first points are over
    records = []
    for size in sizes:
        while len(searcher.history) < size:
            population = space.sample(min(1000, size - len(searcher.history)), rng)
            searcher.tell(population, problem(population), np.zeros(len(population)))
        for batch in batches:
            rounds = max(20, size // 50 // batch)
            searcher.tell(*_evaluated(problem, searcher.ask(batch)))  # what is kept between calls is there
            started, started_cpu = time.perf_counter(), time.process_time()
            for _ in range(rounds):
                searcher.tell(*_evaluated(problem, searcher.ask(batch)))
            evaluations = rounds * batch
            records.append(
                {
                    "strategy": name,
                    "evaluations": size,
                    "batch": batch,
                    "ms_per_evaluation": 1e3 * (time.perf_counter() - started) / evaluations,
                    "cpu_ms_per_evaluation": 1e3 * (time.process_time() - started_cpu) / evaluations,
                }
            )
    return records


def _evaluated(problem: OnceForAll, rows: Population) -> tuple[Population, NDArray[np.float64], NDArray[np.float64]]:
    return rows, problem(rows), np.zeros(len(rows))


def bred_by_us(problem: OnceForAll, generations: int, size: int, bound: float | None, seed: int) -> Run:
    """Run NSGA-II for a number of generations."""
    started, started_cpu = time.perf_counter(), time.process_time()
    over = None if bound is None else (lambda population: problem.macs(population) - bound)
    searcher = Nsga2(problem.space, 2, seed, Nsga2Options(population=size), static_violation=over)
    nothing = np.zeros(size)
    for _ in range(generations):
        population = searcher.ask(size)
        searcher.tell(population, problem(population), nothing[: len(population)])
    return time.perf_counter() - started, time.process_time() - started_cpu, searcher.history.losses


def bred_by_pymoo(problem: OnceForAll, generations: int, size: int, bound: float | None, seed: int) -> Run | None:
    """Run pymoo's NSGA-II on the same predictions; return None without pymoo."""
    try:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling
        from pymoo.optimize import minimize
    except ImportError:
        return None

    evaluated: list[NDArray[np.float64]] = []

    class Space(Problem):  # type: ignore[misc]  # pymoo has no types
        def __init__(self) -> None:
            upper = problem.space.cardinalities.astype(int) - 1
            constraints = 0 if bound is None else 1
            super().__init__(
                n_var=len(upper), n_obj=2, n_ieq_constr=constraints, xl=np.zeros_like(upper), xu=upper, vtype=int
            )

        def _evaluate(self, x: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            rows = problem.space.canonical(x.astype(np.int16))
            out["F"] = problem(rows)
            kept = np.ones(len(rows), np.bool_)
            if bound is not None:
                out["G"] = (problem.macs(rows) - bound)[:, None]
                kept = out["G"][:, 0] <= 0
            evaluated.append(out["F"][kept])

    algorithm = NSGA2(
        pop_size=size,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=0.9, eta=3, vtype=float, repair=RoundingRepair()),
        mutation=PM(eta=3, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    started, started_cpu = time.perf_counter(), time.process_time()
    minimize(Space(), algorithm, ("n_gen", generations), seed=seed, verbose=False)
    return time.perf_counter() - started, time.process_time() - started_cpu, np.concatenate(evaluated)


def loops(problem: OnceForAll, generations: int, size: int, repeats: int) -> list[dict[str, Any]]:
    """Time NSGA-II, ours and pymoo's in turns, without and with a MACs bound that half of all genotypes break."""
    sample = problem.space.sample(10_000, np.random.default_rng(2))
    losses = problem(sample)
    lower, upper = losses.min(axis=0), losses.max(axis=0)
    records = []
    for bound in (None, float(np.median(problem.macs(sample)))):
        runs: dict[str, list[Run]] = {"nsga2": [], "pymoo NSGA2": []}
        for seed in range(repeats):
            runs["nsga2"].append(bred_by_us(problem, generations, size, bound, seed))
            if (peer := bred_by_pymoo(problem, generations, size, bound, seed)) is not None:
                runs["pymoo NSGA2"].append(peer)
        for name, done in runs.items():
            if done:
                seconds = statistics.median(run[0] for run in done)
                records.append(
                    {
                        "search": name,
                        "macs_bound": bound,
                        "generations": generations,
                        "population": size,
                        "seconds": seconds,
                        "cpu_seconds": statistics.median(run[1] for run in done),
                        "architectures_per_second": generations * size / seconds,
                        "hypervolume": statistics.median(
                            hypervolume((run[2] - lower) / (upper - lower), [1.0, 1.0]) for run in done
                        ),
                    }
                )
    return records


def print_growth(names: Sequence[str], problem: OnceForAll, sizes: Sequence[int], batches: Sequence[int]) -> list[Any]:
    """Measure strategies and print each one's CPU milliseconds for an evaluation; return the records."""
    print("ask + tell, CPU ms for each evaluation, after so many results in batches of so many")
    columns = [f"{size:,} by {batch}" for size in sizes for batch in batches]
    print(f"{'strategy':<24}" + "".join(f"{column:>16}" for column in columns))
    found = []
    for name in names:
        mine = growth(problem, name, sizes, batches)
        print(f"{name:<24}" + "".join(f"{record['cpu_ms_per_evaluation']:>16.3f}" for record in mine), flush=True)
        found += mine
    return found


def print_loops(records: list[dict[str, Any]]) -> None:
    """Print the whole runs, with how much faster ours is."""
    print(f"\n{'search':<14}{'MACs bound':>11}{'seconds':>9}{'CPU':>8}{'arch/s':>10}{'hypervolume':>13}{'ours is':>10}")
    for record in records:
        ours = next(r for r in records if r["search"] == "nsga2" and r["macs_bound"] == record["macs_bound"])
        print(
            f"{record['search']:<14}{'no' if record['macs_bound'] is None else 'yes':>11}{record['seconds']:>9.3f}"
            f"{record['cpu_seconds']:>8.3f}{record['architectures_per_second']:>10,.0f}{record['hypervolume']:>13.4f}"
            f"{record['seconds'] / ours['seconds']:>9.1f}x"
        )
    if not any(record["search"].startswith("pymoo") for record in records):
        print("pymoo is not installed: no peer in this run")


def main() -> None:
    """Print both tables and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of ofa_accuracy.npz and ofa_latency.npz")
    parser.add_argument("--strategies", nargs="+", choices=list(STRATEGIES), default=list(STRATEGIES), metavar="NAME")
    parser.add_argument("--sizes", nargs="+", type=int, default=[1_000, 10_000, 100_000], help="told evaluations")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 10], help="asked for at once (default 1 10)")
    parser.add_argument("--generations", type=int, default=500, help="generations of NSGA-II (default 500)")
    parser.add_argument("--population", type=int, default=100, help="genotypes per generation (default 100)")
    parser.add_argument("--repeats", type=int, default=3, help="runs, by seed, of which the median counts (default 3)")
    parser.add_argument("--json", type=Path, help="write the records here")
    arguments = parser.parse_args()

    problem = OnceForAll(arguments.data)
    sizes = sorted(arguments.sizes)
    grown = print_growth(arguments.strategies, problem, sizes, arguments.batches)
    searched = loops(problem, arguments.generations, arguments.population, arguments.repeats)
    print_loops(searched)
    if arguments.json:
        arguments.json.write_text(json.dumps({"growth": grown, "searches": searched}, indent=2) + "\n")


if __name__ == "__main__":
    main()
