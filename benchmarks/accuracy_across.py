"""What accuracies of one space say of networks of another: before any label of it, and after a few.

    python benchmarks/accuracy_across.py --table ofa_accuracy.npz --target accuracy@imagenet \
        --source-table nb201.npz --source accuracy@cifar10 --source-labels 1000 --labels 0 10 --seeds 10 --json out.json

Both predictors see operators of whole networks alone, as `nas predictor predict` sees an ONNX file. `across` learns the
source's labels first; with 0 labels it is asked for the target's networks as it is. `alone` has the labels only.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table as Shown
from scipy import stats

from nas.prediction.accuracy_fitting import whole_features, whole_networks
from nas.table import Table, TableError
from predictors.accuracy import Accuracy
from predictors.predictor import Source
from search_spaces.space import SearchSpace

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Record:
    """What one predictor reached from so many labels of the target's space with one seed."""

    predictor: str
    target: str
    source: str
    labels: int
    seed: int
    kendall: float
    spearman: float


def networks(path: Path, metric: str, most: int) -> tuple[Array, Array]:
    """(n, f) features of whole networks and (n,) values of random rows of a table, at most so many.

    Raises:
        TableError: there is no such table or metric, or its networks cannot be built.
    """
    table = Table.load(path)
    y, space = table.column(metric), table.space
    if not isinstance(space, SearchSpace):
        raise TableError(f"{path}: networks of {table.space_name!r} with these decisions cannot be built")
    known = np.flatnonzero(np.isfinite(y))
    rows = np.random.default_rng(35).permutation(known)[:most]
    graphs = [space.graph(table.genotypes[row]) for row in track(rows, "building", console=Console(stderr=True))]
    return whole_networks(graphs), y[rows]


def run(
    source: tuple[Array, Array], target: tuple[Array, Array], names: tuple[str, str], labels: Sequence[int], seeds: int
) -> Iterator[Record]:
    """Learn and ask for every number of labels and seed."""
    (there, known), (x, y) = source, target
    features = whole_features(np.concatenate([there, x]))
    for seed in range(seeds):
        order = np.random.default_rng([seed, 36]).permutation(len(y))
        for count in labels:
            train, test = order[:count], order[count:]
            found: dict[str, Accuracy] = {}
            if count:
                told = [Source(names[0], there, known)]
                found["alone"] = Accuracy(features, seed=seed).fit(x[train], y[train])
                found["across"] = Accuracy(features, seed=seed).fit(x[train], y[train], told)
            else:
                found["across"] = Accuracy(features, seed=seed).fit(there, known)
            for kind, predictor in found.items():
                mean = predictor.predict(x[test]).mean
                tau, rho = stats.kendalltau(mean, y[test]).statistic, stats.spearmanr(mean, y[test]).statistic
                yield Record(kind, names[1], names[0], count, seed, float(tau), float(rho))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, required=True, help="an .npz file of the schema in nas/table.py")
    parser.add_argument("--target", required=True, metavar="METRIC")
    parser.add_argument("--source-table", type=Path, required=True, help="the same, of another space")
    parser.add_argument("--source", required=True, metavar="METRIC")
    parser.add_argument("--source-labels", type=int, default=1000)
    parser.add_argument("--labels", type=int, nargs="+", default=[0, 10], metavar="N")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--asked", type=int, default=1000, help="networks of the target's space, labels included")
    parser.add_argument("--json", type=Path, required=True)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and report; returns the exit code, 2 for bad input."""
    given = parse(arguments)
    least = Accuracy.least_samples
    try:
        if not given.json.resolve().parent.is_dir():
            raise ValueError(f"--json: there is no folder {given.json.parent}")
        if given.seeds < 1 or given.source_labels < least:
            raise ValueError(f"--seeds must be at least 1, --source-labels {least}")
        if wrong := [count for count in given.labels if count and not least <= count <= given.asked - 2]:
            raise ValueError(
                f"--labels must be 0 or {least} to {given.asked - 2}, with --asked {given.asked} (got {wrong[0]})"
            )
        source = networks(given.source_table, given.source, given.source_labels)
        target = networks(given.table, given.target, given.asked)
        if max(given.labels) > len(target[1]) - 2:
            raise ValueError(f"--labels: the table has {len(target[1])} values of {given.target!r}")
        found = run(source, target, (given.source, given.target), given.labels, given.seeds)
        records = list(found)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    table = Shown(title=f"{given.target} from {len(source[1])} of {given.source}", title_justify="left")
    for column in ("labels", "predictor", "kendall", "spearman"):
        table.add_column(column)
    for count in given.labels:
        for kind in ("alone", "across"):
            chosen = [r for r in records if (r.labels, r.predictor) == (count, kind)]
            if chosen:
                means = (np.mean([r.kendall for r in chosen]), np.mean([r.spearman for r in chosen]))
                table.add_row(str(count), kind, *(f"{mean:.3f}" for mean in means))
    Console(width=110, highlight=False).print(table)
    plain = [{k: None if v != v else v for k, v in asdict(record).items()} for record in records]
    given.json.write_text(json.dumps(plain, indent=1))
    print(f"written: {given.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
