"""How well accuracies of networks are ranked from few labels, by each predictor, on any table.

    python benchmarks/accuracy_prediction.py --table nb201.npz --target accuracy@cifar10 --labels 16 32 128 512 1563 \
        --seeds 10 --json out.json

Works on any table of the schema in `nas/table.py`, for any metric. Labels are random rows; scores are over all other
rows that have the metric. `--sources METRIC:LABELS` gives so many random labels of another metric, such as the accuracy
on another data set, and `--statistics NAME ...` zero-cost scores, MACs or parameters of `--unlabelled` random networks
without a label; then `auto` is run without them and, as `auto+sources`, with them. `--features METRIC ...` are further
features that the table has of every row, such as its own zero-cost scores.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # fits are small: threads would only wait for each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table as Shown

from nas.features.accuracy_features import AccuracyFeatures, beside
from nas.table import Table, TableError
from predictors.accuracy import Accuracy
from predictors.counts import Counts
from predictors.feature_set import FeatureSet
from predictors.predictor import NORMAL, Predictor, Source
from predictors.ranking_boosting import RankingBoosting
from predictors.ranking_ensemble import RankingEnsemble
from predictors.scores import Scores
from predictors.warped_process import RankingProcess
from search_spaces.space import SearchSpace
from search_spaces.zero_cost.needs import NEEDS

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

KINDS: dict[str, type[Predictor]] = {
    "auto": Accuracy,
    "gaussian_process": RankingProcess,
    "boosting": RankingBoosting,
    "neural": RankingEnsemble,
    "counts": Counts,
}
WITH_SOURCES = "auto+sources"


@dataclass(frozen=True, slots=True)
class Record:
    """What one predictor reached from so many labels with one seed."""

    predictor: str
    target: str
    labels: int
    seed: int
    kendall: float
    spearman: float
    mae: float
    coverage_90: float
    fit_s: float


@dataclass(frozen=True, slots=True)
class Data:
    """Networks and what is known of them.

    Attributes:
        table: what was read.
        features: what the columns of `x` are.
        x: (n, f).
        statistics: name -> (n,) values of unlabelled networks, NaN for all others.
    """

    table: Table
    features: FeatureSet
    x: Array
    statistics: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, table: Table, given: Sequence[str] = ()) -> "Data":
        """The networks of a table; the given metrics of it are features.

        Raises:
            ValueError: a given metric is missing, in the table or of a row.
        """
        made = AccuracyFeatures(table.space, table.space_name)
        features, x = made.features, made(table.genotypes)
        if given:
            features, x = beside(features, x, given, np.stack([table.column(metric) for metric in given], axis=1))
        return cls(table, features, x)

    def add_statistics(self, names: Sequence[str], unlabelled: int, images: Path | None) -> None:
        """Find statistics of random networks.

        Raises:
            ValueError: a score that is not known, needs images where there are none, or networks that cannot be built.
        """
        unknown = [name for name in names if name not in NEEDS]
        if unknown:
            raise ValueError(f"--statistics: {unknown[0]!r} is not known; known: {', '.join(NEEDS)}")
        needy = [name for name in names if NEEDS[name] != "nothing"]
        if needy and images is None:
            raise ValueError(f"--images is needed for {', '.join(needy)}")
        space = self.table.space
        if not isinstance(space, SearchSpace):
            raise TableError(f"networks of {self.table.space_name!r} with these decisions cannot be built")
        from nas.datasets.load import load_dataset  # with torch, which everything else here does without
        from nas.evaluation.zero_cost_data import ZeroCostData
        from nas.prediction.free_statistics import free_statistics

        batch = ZeroCostData.of(None if images is None else load_dataset(path=str(images)), 0).batch
        rows = np.random.default_rng(32).permutation(len(self.x))[:unlabelled]
        drawn = track(rows.tolist(), "scoring", console=Console(stderr=True))
        scored = free_statistics((space.graph(self.table.genotypes[row]) for row in drawn), names, batch, 0)
        for name, values in scored.items():
            self.statistics[name] = np.full(len(self.x), np.nan)
            self.statistics[name][rows] = values

    def sources(self, given: Sequence[tuple[str, int]], seed: int) -> list[Source]:
        """What is told of other metrics and of statistics."""
        found = []
        for place, (metric, labels) in enumerate(given):
            rows = np.random.default_rng([seed, 33, place]).choice(known(self.table, metric), labels, replace=False)
            found.append(Source(metric, self.x[rows], self.table.column(metric)[rows]))
        for name, values in self.statistics.items():
            rows = np.flatnonzero(np.isfinite(values))
            found.append(Source(name, self.x[rows], values[rows]))
        return found


def known(table: Table, metric: str) -> Rows:
    """The rows that have a metric.

    Raises:
        TableError: the table has no such metric.
    """
    return np.flatnonzero(np.isfinite(table.column(metric)))


def run(
    data: Data, target: str, labels: Sequence[int], seeds: int, kinds: Sequence[str], given: Sequence[tuple[str, int]]
) -> Iterator[Record]:
    """Fit and ask every kind for every number of labels and seed."""
    y, labelled = data.table.column(target), known(data.table, target)
    for seed in range(seeds):
        order = np.random.default_rng([seed, 10]).permutation(labelled)
        sources = data.sources(given, seed)
        for count in labels:
            train, test = order[:count], order[count:]
            for kind in kinds:
                predictor = (Accuracy if kind == WITH_SOURCES else KINDS[kind])(data.features, seed=seed)
                started = time.perf_counter()
                predictor.fit(data.x[train], y[train], sources if kind == WITH_SOURCES else [])
                seconds = time.perf_counter() - started
                mean, std = predictor.predict(data.x[test])
                scores = Scores.of(y[test], mean, mean - NORMAL * std, mean + NORMAL * std)
                mae = float(np.abs(mean - y[test]).mean())
                told = (scores.kendall, scores.spearman, mae, scores.coverage_90, seconds)
                yield Record(kind, target, count, seed, *told)


def show(records: Sequence[Record], title: str) -> None:
    """Print means over seeds for each number of labels and predictor."""
    table = Shown(title=title, title_justify="left")
    names = ("kendall", "spearman", "mae", "coverage_90", "fit_s")
    for column in ("labels", "predictor", *names):
        table.add_column(column, justify="left" if column == "predictor" else "right")
    for count in dict.fromkeys(record.labels for record in records):
        for kind in dict.fromkeys(record.predictor for record in records):
            chosen = [asdict(r) for r in records if (r.labels, r.predictor) == (count, kind)]
            means = {name: float(np.mean([each[name] for each in chosen])) for name in names}
            table.add_row(str(count), kind, *(f"{v:.5f}" if n == "mae" else f"{v:.3f}" for n, v in means.items()))
        table.add_section()
    Console(width=110, highlight=False).print(table)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, required=True, help="an .npz file of the schema in nas/table.py")
    parser.add_argument("--target", required=True, metavar="METRIC")
    parser.add_argument("--labels", type=int, nargs="+", default=[16, 32, 128, 512, 1563], metavar="N")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--predictors", nargs="+", default=list(KINDS), metavar="NAME", help=", ".join(KINDS))
    parser.add_argument("--sources", nargs="*", default=[], metavar="METRIC:LABELS", help="labels of another metric")
    parser.add_argument("--features", nargs="*", default=[], metavar="METRIC", help="of the table, known of all rows")
    parser.add_argument("--statistics", nargs="*", default=[], metavar="NAME", help=f"of {', '.join(NEEDS)}")
    parser.add_argument("--unlabelled", type=int, default=1000, help="networks whose statistics are found")
    parser.add_argument("--images", type=Path, help="an .npz file with images, for scores that need some")
    parser.add_argument("--json", type=Path, required=True)
    return parser.parse_args(arguments)


def _sources(table: Table, target: str, texts: Sequence[str]) -> list[tuple[str, int]]:
    """METRIC:LABELS of each source.

    Raises:
        ValueError: not of this form, the target itself, or more labels than the table has.
    """
    found = []
    for text in texts:
        metric, colon, number = text.rpartition(":")
        if not colon or not number.isdecimal() or int(number) < 5:
            raise ValueError(
                f"--sources takes METRIC:LABELS with at least 5 labels, such as accuracy:128 (got {text!r})"
            )
        if metric == target:
            raise ValueError(f"--sources: {metric!r} is the target; a source is another metric")
        if int(number) > len(known(table, metric)):
            raise ValueError(f"--sources: {text!r}, but the table has {len(known(table, metric))} labels of {metric!r}")
        found.append((metric, int(number)))
    return found


def _check(given: argparse.Namespace, table: Table) -> None:
    """Refuse what cannot work before anything is fitted."""
    labelled, y = known(table, given.target), table.column(given.target)
    for name in given.predictors:
        if name not in KINDS:
            raise ValueError(f"--predictors: there is no predictor {name!r}; known: {', '.join(KINDS)}")
    least = max(KINDS[name].least_samples for name in given.predictors)
    for count in given.labels:
        if count < least:
            raise ValueError(f"--labels must be at least {least}, which these predictors need (got {count})")
        if count > len(labelled) - 2:
            raise ValueError(
                f"--labels {count}: the table has {len(labelled)} values of {given.target!r} (NaN are not labels), and "
                "at least 2 must be left to test on"
            )
    if np.ptp(y[labelled]) == 0:
        raise ValueError(
            f"all {len(labelled)} values of {given.target!r} are {y[labelled[0]]:g}; there is nothing to rank"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and report; returns the exit code, 2 for bad input."""
    given = parse(arguments)
    try:
        for name in ("seeds", "unlabelled"):
            if getattr(given, name) < 1:
                raise ValueError(f"--{name} must be at least 1 (got {getattr(given, name)})")
        if not given.json.resolve().parent.is_dir():
            raise ValueError(f"--json: there is no folder {given.json.parent}")
        if given.target in given.features:
            raise ValueError(f"--features: {given.target!r} is the target; a feature is another metric")
        table = Table.load(given.table)
        _check(given, table)
        sources = _sources(table, given.target, given.sources)
        data = Data.of(table, list(dict.fromkeys(given.features)))
        if given.statistics:
            data.add_statistics(given.statistics, given.unlabelled, given.images)
        kinds = [*given.predictors, *([WITH_SOURCES] if sources or data.statistics else [])]
        total = given.seeds * len(given.labels) * len(kinds)
        found = run(data, given.target, given.labels, given.seeds, kinds, sources)
        records = list(track(found, "predicting", total, console=Console(stderr=True)))
    except ValueError as error:  # what is wrong with a table or with labels among them
        print(f"error: {error}", file=sys.stderr)
        return 2
    show(records, f"{given.table.name}, {given.target}, {given.seeds} seeds")
    plain = [{k: None if v != v else v for k, v in asdict(record).items()} for record in records]
    given.json.write_text(json.dumps(plain, indent=1))
    print(f"written: {given.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
