"""How zero-cost scores rank the networks of a table, beside MACs and the published ranges.

    python benchmarks/zero_cost.py --table nb201.npz --images cifar10_subset_12k.npz --target accuracy@cifar10 \
        --networks 1000 --json zero_cost.json

Takes random rows of a table whose space the registry can build, scores each network once with fresh weights on the same
few training images, and prints the rank correlation with the target. What has no value ranks last. The published
ranges are those of NAS-Bench-201 on CIFAR-10. `--scored FILE.npz` writes a table of these rows that has the scores as
metrics `zero_cost@NAME`, which `accuracy_prediction.py --features` takes; what has no value has the least of all there.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one network at a time on one core, as an evaluation actor does it

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table as Shown
from scipy import stats

from nas.datasets.load import load_dataset
from nas.evaluation.zero_cost_data import SAMPLES, ZeroCostData
from nas.table import Table, TableError
from search_spaces.space import SearchSpace
from search_spaces.zero_cost.registry import ZERO_COST, zero_cost_score
from search_spaces.zero_cost.scoring import Scored, zero_cost_scores

PUBLISHED = {"synflow": ".74", "jacov": ".73", "snip": ".58", "grad_norm": ".58", "grasp": ".48", "fisher": ".36",
             "naswot": "about .75", "zico": ".75-.80"}  # fmt: skip
"""Spearman on NAS-Bench-201 CIFAR-10: M. S. Abdelfattah et al. (ICLR 2021) for the first six, the papers of the other
two; their batches are of 64 and 128 images, and their networks are the literal ones."""


@dataclass(frozen=True, slots=True)
class Record:
    """How one score ranked the networks."""

    score: str
    target: str
    networks: int
    undefined: int
    spearman: float
    kendall: float
    seconds_median: float
    seconds_90: float
    seconds_most: float


def buildable(table: Table) -> SearchSpace:
    """The space of a table whose networks can be built.

    Raises:
        TableError: the registry has no such space with these decisions.
    """
    if not isinstance(table.space, SearchSpace):
        raise TableError(
            f"networks of {table.space_name!r} with these decisions cannot be built, so they have no score"
        )
    return table.space


def ranks(scored: Sequence[Scored]) -> NDArray[np.float64]:
    """(n,) values, below all others where there is none."""
    return np.array([-np.inf if each.cause is not None else each.value for each in scored])


def compared(name: str, target: str, scored: Sequence[Scored], y: NDArray[np.float64]) -> Record:
    """What came of one score."""
    values, seconds = ranks(scored), np.array([each.seconds for each in scored])
    varied = len(np.unique(values)) > 1 and np.ptp(y) > 0
    return Record(
        name,
        target,
        len(y),
        sum(each.cause is not None for each in scored),
        float(stats.spearmanr(values, y).statistic) if varied else float("nan"),
        float(stats.kendalltau(values, y).statistic) if varied else float("nan"),
        *(float(np.percentile(seconds, q)) for q in (50, 90, 100)),
    )


def write(path: Path, table: Table, rows: NDArray[np.intp], found: Mapping[str, Sequence[Scored]]) -> None:
    """Write some rows of a table with the scores as metrics; a score that nobody has is left out."""
    scores = {name: ranks(scored) for name, scored in found.items()}
    known = {name: values[np.isfinite(values)] for name, values in scores.items()}
    columns = {f"zero_cost@{n}": np.maximum(scores[n], each.min()) for n, each in known.items() if each.size}
    np.savez_compressed(
        path,
        genotypes=table.genotypes[rows],
        decisions=np.array([decision.name for decision in table.space.decisions]),
        options=np.array([json.dumps(list(decision.options)) for decision in table.space.decisions]),
        metrics=np.array([*table.metrics, *columns]),
        values=np.column_stack([table.values[rows], *columns.values()]),
        space=np.array(table.space_name),
    )


def show(records: Sequence[Record], title: str) -> None:
    """Print a row for each score."""
    table = Shown(title=title, title_justify="left")
    table.add_column("score")
    for name in ("spearman", "kendall", "published", "undefined", "ms median", "ms 90 %", "ms most"):
        table.add_column(name, justify="right")
    for r in sorted(records, key=lambda record: -np.nan_to_num(record.spearman, nan=-1)):
        times = (r.seconds_median, r.seconds_90, r.seconds_most)
        published = PUBLISHED.get(r.score, "") if r.target == "accuracy@cifar10" else ""
        told = (f"{r.spearman:.3f}", f"{r.kendall:.3f}", published, str(r.undefined))
        table.add_row(r.score, *told, *(f"{1e3 * each:.0f}" for each in times))
    Console(width=110, highlight=False).print(table)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, required=True, help="an .npz file of the schema in nas/table.py")
    parser.add_argument("--images", type=Path, help="an .npz file with images and labels; for scores that need some")
    parser.add_argument("--target", default="accuracy@cifar10", metavar="METRIC")
    parser.add_argument("--networks", type=int, default=1000, help="random rows of the table")
    parser.add_argument("--scores", nargs="+", default=list(ZERO_COST), metavar="NAME", help=", ".join(ZERO_COST))
    parser.add_argument("--seed", type=int, default=0, help="of the rows, the images and the weights")
    parser.add_argument("--scored", type=Path, metavar="FILE.npz", help="where to write a table with the scores")
    parser.add_argument("--json", type=Path, required=True)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Score and report; returns the exit code, 2 for bad input."""
    given = parse(arguments)
    torch.set_num_threads(1)
    try:
        scores = [zero_cost_score(name) for name in dict.fromkeys(given.scores)]
        if given.networks < 2 or given.seed < 0:
            raise ValueError(f"--networks must be at least 2, --seed at least 0 (got {given.networks}, {given.seed})")
        for option, path in (("--json", given.json), ("--scored", given.scored)):
            if path is not None and not path.resolve().parent.is_dir():
                raise ValueError(f"{option}: there is no folder {path.parent}")
        needy = [score.name for score in scores if score.needs != "nothing"]
        if given.images is None and needy:
            raise ValueError(f"--images is needed for {', '.join(needy)}")
        table = Table.load(given.table)
        y, space = table.column(given.target), buildable(table)
        known = np.flatnonzero(np.isfinite(y))
        if len(known) < given.networks:
            raise ValueError(f"--networks is {given.networks}, but {given.target!r} is known of {len(known)}")
        dataset = None if given.images is None else load_dataset(path=str(given.images))
        batch = ZeroCostData.of(dataset, given.seed).batch
        rows = np.sort(np.random.default_rng([given.seed, 31]).choice(known, given.networks, replace=False))
        names = [score.name for score in scores]
        found: dict[str, list[Scored]] = {name: [] for name in names}
        zero_cost_scores(space.graph(table.genotypes[rows[0]]), names, batch, given.seed)  # torch warms up
        for row in track(rows.tolist(), "scoring", console=Console(stderr=True)):
            graph = space.graph(table.genotypes[row])
            for name, scored in zero_cost_scores(graph, names, batch, given.seed).items():
                found[name].append(scored)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    records = [compared(name, given.target, scored, y[rows]) for name, scored in found.items()]
    show(records, f"{given.table.name}, {given.target}, {len(rows)} networks, {SAMPLES} images")
    plain = [{k: None if v != v else v for k, v in asdict(record).items()} for record in records]
    given.json.write_text(json.dumps(plain, indent=1))
    print(f"written: {given.json}")
    if given.scored is not None:
        write(given.scored, table, rows, found)
        print(f"written: {given.scored}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
