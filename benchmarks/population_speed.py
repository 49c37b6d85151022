"""How fast whole populations are handled and bred, without any evaluation.

Two tables: operations on genotypes of the published Once-for-All MobileNetV3 space, and NSGA-II on it with
additive losses that cost next to nothing, so that the time is the search itself. pymoo's NSGA-II runs on the
same losses in the same process when it is installed (`pip install -e '.[bench]'`).

    python benchmarks/population_speed.py --json population_speed.json
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.front import hypervolume
from nas.strategies.nsga2 import Nsga2, Nsga2Options
from search_spaces.decision import Condition, Decision
from search_spaces.genotypes import GenotypeSpace, Population


def once_for_all() -> GenotypeSpace:
    """The Once-for-All MobileNetV3 space: five stages of two to four layers, 25 resolutions."""
    decisions = []
    for stage in range(5):
        for layer in range(4):
            depth = (Condition(f"depth_{stage}", tuple(d for d in (2, 3, 4) if d > layer)),)
            decisions.append(Decision(f"kernel_{stage}_{layer}", (3, 5, 7), depth))
            decisions.append(Decision(f"expansion_{stage}_{layer}", (3, 4, 6), depth))
        decisions.append(Decision(f"depth_{stage}", (2, 3, 4)))
    return GenotypeSpace([*decisions, Decision("resolution", tuple(range(128, 228, 4)))])


class AdditiveCosts:
    """Costs that are sums over active decisions, the larger option costing more: three at once.

    Column 0 stands for latency, column 1 for error (falling, with noise of its own), column 2 for MACs.
    """

    def __init__(self, space: GenotypeSpace) -> None:
        rng = np.random.default_rng(1)
        self.space = space
        self.starts = np.cumsum(space.cardinalities, dtype=np.intp) - space.cardinalities
        steps = np.concatenate([np.linspace(0.3, 1, size) for size in space.cardinalities])
        size = steps * rng.uniform(0.5, 1.5, len(steps))
        gain = np.sqrt(steps) * rng.uniform(0.5, 1.5, len(steps))
        self.table = np.stack([size, -gain, steps], axis=1).astype(np.float32)

    def __call__(self, population: Population) -> NDArray[np.float32]:
        """Return (n, 3) costs."""
        cells = self.table.take(population + self.starts, axis=0)
        return np.einsum("ndk,nd->nk", cells, self.space.active(population).astype(np.float32))


def median_seconds(action: Callable[[], object], repeats: int) -> float:
    """Run an action once to warm up, then say the median duration of the repeats."""
    action()
    durations = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        durations.append(time.perf_counter() - started)
    return statistics.median(durations)


def operations(space: GenotypeSpace, rows: int, repeats: int) -> list[dict[str, Any]]:
    """Time every operation on a population of `rows` genotypes."""
    rng = np.random.default_rng(0)
    first, second = space.sample(rows, rng), space.sample(rows, rng)
    raw = rng.integers(0, space.cardinalities, first.shape, dtype=np.int16)
    actions: dict[str, Callable[[], object]] = {
        "sample": lambda: space.sample(rows, rng),
        "mutate": lambda: space.mutate(first, rng),
        "crossover": lambda: space.crossover(first, second, rng),
        "canonical": lambda: space.canonical(raw),
        "encode": lambda: space.encode(first),
        "validate": lambda: space.validate(first),
        "keys": lambda: space.keys(first).tolist(),
    }
    return [
        {"operation": name, "genotypes": rows, "seconds": median_seconds(action, repeats)}
        for name, action in actions.items()
    ]


def bred_by_us(
    space: GenotypeSpace, costs: AdditiveCosts, generations: int, size: int, bound: float | None, seed: int
) -> Any:
    """Run NSGA-II for a number of generations; return (seconds, losses of everything evaluated)."""
    started = time.perf_counter()
    over = None if bound is None else (lambda population: costs(population)[:, 2] - bound)
    searcher = Nsga2(space, 2, seed, Nsga2Options(population=size), static_violation=over)
    nothing = np.zeros(size)
    for _ in range(generations):
        population = searcher.ask(size)
        searcher.tell(population, costs(population)[:, :2], nothing[: len(population)])
    return time.perf_counter() - started, searcher.history.losses


def bred_by_pymoo(
    space: GenotypeSpace, costs: AdditiveCosts, generations: int, size: int, bound: float | None, seed: int
) -> Any:
    """Run pymoo's NSGA-II on the same costs; return None without pymoo."""
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

    evaluated: list[NDArray[np.float32]] = []

    class Space(Problem):
        def __init__(self) -> None:
            upper = space.cardinalities.astype(int) - 1
            constraints = 0 if bound is None else 1
            super().__init__(
                n_var=len(upper), n_obj=2, n_ieq_constr=constraints, xl=np.zeros_like(upper), xu=upper, vtype=int
            )

        def _evaluate(self, x: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            found = costs(space.canonical(x.astype(np.int16)))
            out["F"] = found[:, :2].astype(float)
            kept = found
            if bound is not None:
                out["G"] = found[:, 2:].astype(float) - bound
                kept = found[found[:, 2] <= bound]
            evaluated.append(kept[:, :2])

    algorithm = NSGA2(
        pop_size=size,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=0.9, eta=3, vtype=float, repair=RoundingRepair()),
        mutation=PM(eta=3, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    started = time.perf_counter()
    minimize(Space(), algorithm, ("n_gen", generations), seed=seed, verbose=False)
    return time.perf_counter() - started, np.concatenate(evaluated).astype(float)


def loops(space: GenotypeSpace, generations: int, size: int, repeats: int) -> list[dict[str, Any]]:
    """Time NSGA-II, ours and pymoo's, without and with a bound that half of all genotypes break."""
    costs = AdditiveCosts(space)
    sample = costs(space.sample(10_000, np.random.default_rng(2)))
    reference = sample[:, :2].max(axis=0) + 1
    records = []
    for bound in (None, float(np.median(sample[:, 2]))):
        for name, run in (("nsga2", bred_by_us), ("pymoo NSGA2", bred_by_pymoo)):
            runs = [run(space, costs, generations, size, bound, seed) for seed in range(repeats)]
            if runs[0] is None:
                continue
            seconds = statistics.median(run[0] for run in runs)
            records.append(
                {
                    "search": name,
                    "static_bound": bound is not None,
                    "generations": generations,
                    "population": size,
                    "seconds": seconds,
                    "architectures_per_second": generations * size / seconds,
                    "hypervolume": statistics.median(hypervolume(run[1], reference) for run in runs),
                }
            )
    return records


def main() -> None:
    """Print both tables and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="genotypes per operation (default 100000)")
    parser.add_argument("--generations", type=int, default=500, help="generations of NSGA-II (default 500)")
    parser.add_argument("--population", type=int, default=100, help="genotypes per generation (default 100)")
    parser.add_argument("--repeats", type=int, default=3, help="runs, by seed, of which the median counts (default 3)")
    parser.add_argument("--json", type=Path, help="write the records here")
    arguments = parser.parse_args()

    space = once_for_all()
    done = operations(space, arguments.rows, arguments.repeats)
    print(f"Once-for-All space: {len(space.names)} decisions, {space.size():.2e} genotypes")
    print(f"\n{'operation':<12}{'genotypes':>10}{'seconds':>10}{'per second':>14}")
    for record in done:
        rate = record["genotypes"] / record["seconds"]
        print(f"{record['operation']:<12}{record['genotypes']:>10,}{record['seconds']:>10.4f}{rate:>14,.0f}")

    searched = loops(space, arguments.generations, arguments.population, arguments.repeats)
    print(f"\n{'search':<14}{'MACs bound':>11}{'seconds':>9}{'arch/s':>10}{'hypervolume':>13}{'ours is':>12}")
    for record in searched:
        ours = next(r for r in searched if r["search"] == "nsga2" and r["static_bound"] == record["static_bound"])
        ratio = record["seconds"] / ours["seconds"]
        print(
            f"{record['search']:<14}{'yes' if record['static_bound'] else 'no':>11}{record['seconds']:>9.3f}"
            f"{record['architectures_per_second']:>10,.0f}{record['hypervolume']:>13.2f}{ratio:>11.1f}x"
        )
    if not any(record["search"].startswith("pymoo") for record in searched):
        print("pymoo is not installed: no peer in this run")
    if arguments.json:
        arguments.json.write_text(json.dumps({"operations": done, "searches": searched}, indent=2) + "\n")


if __name__ == "__main__":
    main()
