"""The published tasks of latency transfer, beside the published figures.

    python benchmarks/latency_tasks.py --data ../shared/data --samples 20 --seeds 5 --json tasks.json

The twelve tasks of NASFLAT (Y. Akhauri and M. Abdelfattah, MLSys 2024) with its numbers of measurements on the source
devices, 16 for NAS-Bench-201 and 800 for FBNet, on the devices that the tables have; and with `--help-protocol` the
two of HELP (H. Lee et al., NeurIPS 2021). The folder holds `nb201.npz`, `fbnet.npz` and `splits_and_headlines.json`.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # fits are small: threads would only wait for each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from latency_transfer import Data, Protocol, Record, run, write
from rich.console import Console
from rich.progress import track
from rich.table import Table as Shown

SOURCE_SAMPLES = {"nb201": 16, "fbnet": 800}
TASKS = ("ND", "N1", "N2", "N3", "N4", "NA", "FD", "F1", "F2", "F3", "F4", "FA")
SIMPLE = {
    "count-ridge": (0.954, 0.981, 0.911, 0.973, 0.973, 0.937, 0.950, 0.847, 0.883, 0.883, 0.711, 0.695),
    "transfer-ridge": (0.947, 0.844, 0.833, 0.856, 0.921, 0.862, 0.971, 0.866, 0.888, 0.884, 0.781, 0.701),
}
"""Two simple baselines at 20 samples, measured on the same tables before this was written."""
HELP_TASKS = {"nb201": "HELP_nb201", "fbnet": "HELP_fbnet"}
HELP_SOURCE_SAMPLES = {"nb201": 900, "fbnet": 4000}


def tasks(splits: dict[str, Any], help_protocol: bool) -> list[tuple[str, str, list[str], list[str]]]:
    """Table, task, source devices and target devices."""
    if help_protocol:
        pairs = [(table, name, splits[name]) for table, name in HELP_TASKS.items()]
        return [(table, name, each["meta_train"], each["meta_test"]) for table, name, each in pairs]
    return [
        (table, task, split["train"], split["test"])
        for table in ("nb201", "fbnet")
        for task, split in splits[table].items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tasks; returns the exit code, 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", nargs="*", help="some of the tasks; all by default")
    parser.add_argument("--predictors", nargs="+", default=["auto", "counts"])
    parser.add_argument("--choose", choices=("predictor", "random"), default="predictor")
    parser.add_argument("--asked", type=int, help="random networks that are tested on; all by default")
    parser.add_argument("--help-protocol", action="store_true")
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        splits = json.loads((given.data / "splits_and_headlines.json").read_text())
        wanted = [task for task in tasks(splits, given.help_protocol) if not given.tasks or task[1] in given.tasks]
        tables = {name: Data.load(given.data / f"{name}.npz") for name in dict.fromkeys(task[0] for task in wanted)}
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    published = splits["headline_task_means"]
    published |= {name: dict(zip(TASKS, row, strict=True)) for name, row in SIMPLE.items()}
    found: dict[str, list[Record]] = {}
    for table, task, sources, targets in wanted:
        data = tables[table]
        have = [
            [f"latency_ms@{d}" for d in devices if f"latency_ms@{d}" in data.columns] for devices in (sources, targets)
        ]
        many = HELP_SOURCE_SAMPLES if given.help_protocol else SOURCE_SAMPLES
        protocol = Protocol(
            given.samples, many[table], given.choose, "help" if given.help_protocol else "all", asked=given.asked
        )
        records = run(data, *have, given.predictors, protocol, given.seeds)
        total = len(have[1]) * len(given.predictors) * given.seeds
        found[task] = list(track(records, task, total, console=Console(stderr=True)))
        _tell(task, found[task], given.predictors)
    _show(found, given.predictors, {} if given.help_protocol else published)
    write(given.json, [record for records in found.values() for record in records])
    return 0


def _mean(records: Sequence[Record], kind: str, name: str) -> float:
    return float(np.mean([getattr(record, name) for record in records if record.predictor == kind]))


def _tell(task: str, records: Sequence[Record], kinds: Sequence[str]) -> None:
    """One line for each predictor as soon as a task is done."""
    for kind in kinds:
        cells = []
        for target in dict.fromkeys(record.target for record in records):
            own = [record for record in records if record.target == target]
            spearman, coverage = _mean(own, kind, "spearman"), _mean(own, kind, "coverage_90")
            cells.append(f"{target.removeprefix('latency_ms@')[:16]} {spearman:.3f}/{coverage:.2f}")
        means = f"{_mean(records, kind, 'spearman'):.4f} covers {_mean(records, kind, 'coverage_90'):.3f}"
        print(f"{task} {kind}: {means} | {', '.join(cells)}", flush=True)


def _show(found: dict[str, list[Record]], kinds: Sequence[str], published: dict[str, dict[str, float]]) -> None:
    table = Shown(title="mean Spearman over targets and seeds", title_justify="left")
    for name in ("task", *kinds, "within 10 %", "coverage", *published, "best published"):
        table.add_column(name, justify="right")
    sums = []
    for task, records in found.items():
        ours = [_mean(records, kind, "spearman") for kind in kinds]
        others = [column[task] for column in published.values()]
        first = kinds[0]
        more = [_mean(records, first, "within_10"), _mean(records, first, "coverage_90")]
        row = [*ours, *more, *others, max(others, default=float("nan"))]
        sums.append(row)
        table.add_row(task, *(f"{value:.3f}" for value in row))
    table.add_section()
    table.add_row("mean", *(f"{value:.3f}" for value in np.mean(sums, axis=0)))
    Console(width=160, highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(main())
