"""How fast whole populations are handled: operations on genotypes of the published Once-for-All MobileNetV3 space.

The speed of searches is in `search_speed.py`.

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

from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.genotypes import GenotypeSpace


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


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="genotypes per operation (default 100000)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the median counts (default 3)")
    parser.add_argument("--json", type=Path, help="write the records here")
    arguments = parser.parse_args()

    space = MobileNetV3()
    done = operations(space, arguments.rows, arguments.repeats)
    print(f"Once-for-All space: {len(space.names)} decisions, {space.size():.2e} genotypes")
    print(f"\n{'operation':<12}{'genotypes':>10}{'seconds':>10}{'per second':>14}")
    for record in done:
        rate = record["genotypes"] / record["seconds"]
        print(f"{record['operation']:<12}{record['genotypes']:>10,}{record['seconds']:>10.4f}{rate:>14,.0f}")

    if arguments.json:
        arguments.json.write_text(json.dumps({"operations": done}, indent=2) + "\n")


if __name__ == "__main__":
    main()
