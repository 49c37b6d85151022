"""How well predictors know a device of which few networks were measured, with other devices as sources or without.

    python benchmarks/latency_transfer.py --table nb201.npz --samples 20 --seeds 5 --source-samples 16 \
        --sources latency_ms@pixel3 latency_ms@eyeriss --targets latency_ms@1080ti_1 latency_ms@raspi4 --json out.json

Works on any table of the schema in `nas/table.py`, and for any metric. `ridge` and `xgboost` are plain regressions of
scikit-learn and xgboost on random networks, for comparison. Each other predictor chooses the networks that are
measured on the target itself, from all that the table has (`--choose random` takes random ones). Scores are over all
rows of the target, those that were measured included, as NASFLAT has it (Y. Akhauri and M. Abdelfattah, MLSys 2024).
`--protocol help` is that of HELP (H. Lee et al., NeurIPS 2021): samples from the first rows and tests on the next ones,
each cut to the middle 80 % by the target's latency, and the ten reference networks measured too.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # fits are small: threads would only wait for each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from plain_regression import PLAIN, PlainRegression
from rich.console import Console
from rich.progress import track
from rich.table import Table as Shown

from nas.features.network_features import SpaceFeatures
from nas.table import Table, TableError
from predictors.errors import PredictorError
from predictors.feature_set import FeatureSet
from predictors.predictor import Predictor, Source
from predictors.registry import predictor_kind
from predictors.scores import Scores

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

PREDICTORS = ("auto", "transfer", "gaussian_process", "counts", "boosting", "mlp")
NEEDS_SOURCES = ("transfer",)
HELP_SPLIT = {"nasbench201": (900, 1900), "fbnet": (4000, 5000)}
"""Rows before the first number are sampled from, those from there to the second tested on."""
HELP_CUT = (10.0, 90.0)
NORMAL_90 = 1.6448536269514722
"""Calibrated deviations to each end of a 90 % interval."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one predictor reached on one target with one seed."""

    predictor: str
    target: str
    samples: int
    seed: int
    spearman: float
    kendall: float
    within_10: float
    coverage_90: float
    fit_s: float


@dataclass(frozen=True, slots=True)
class Data:
    """Networks and what devices measured.

    Attributes:
        name: of the space.
        features: what the columns of `x` are.
        x: (n, f).
        columns: metric -> (n,) values, NaN where not measured.
        reference: rows that HELP measures beside its samples.
    """

    name: str
    features: FeatureSet
    x: Array
    columns: dict[str, Array]
    reference: Rows

    @classmethod
    def load(cls, path: str | Path) -> "Data":
        """Read a table.

        Raises:
            TableError: it cannot be read.
        """
        table = Table.load(path)
        made = SpaceFeatures(table.space, table.space_name)
        with np.load(path, allow_pickle=False) as file:
            found = file["reference_rows"] if "reference_rows" in file.files and not table.merged else np.zeros(0)
        columns = {metric: table.column(metric) for metric in table.metrics}
        return cls(table.space_name, made.features, made(table.genotypes), columns, found.astype(np.intp))

    def column(self, metric: str) -> Array:
        """The (n,) values of a metric.

        Raises:
            TableError: there is no such metric; the message lists those that there are.
        """
        if metric not in self.columns:
            raise TableError(f"the table has no metric {metric!r}; known: {', '.join(self.columns)}")
        return self.columns[metric]


@dataclass(frozen=True, slots=True)
class Protocol:
    """Who is measured and who is asked about.

    Attributes:
        samples: measured on the target.
        source_samples: measured on each source; None for all that it has.
        choose: `predictor` or `random`.
        split: `all` or `help`.
        hidden: share of the rows that is only asked about, never measured.
        asked: at most so many rows are asked about, at random; all by default.
    """

    samples: int
    source_samples: int | None = None
    choose: str = "predictor"
    split: str = "all"
    hidden: float = 0.0
    asked: int | None = None

    def rows(self, data: Data, target: str, seed: int) -> tuple[Rows, Rows, Rows]:
        """Rows to choose from, rows to be asked about, and rows that are measured in any case.

        Raises:
            ValueError: the table has fewer measurements of the target than the protocol needs.
        """
        y = data.column(target)
        measured = np.flatnonzero(np.isfinite(y))
        fixed = np.zeros(0, np.intp)
        if self.split == "help":
            if data.name not in HELP_SPLIT:
                raise ValueError(f"--protocol help knows {', '.join(HELP_SPLIT)} (got space {data.name!r})")
            first, last = HELP_SPLIT[data.name]
            pool = _middle(y, measured[measured < first])
            test = _middle(y, measured[(measured >= first) & (measured < last)])
            fixed = data.reference[np.isfinite(y[data.reference])]
        else:
            pool = test = measured
            if self.hidden:
                order = np.random.default_rng([seed, 8]).permutation(measured)
                pool, test = np.split(order, [round(len(order) * (1 - self.hidden))])
        if self.asked is not None and len(test) > self.asked:
            test = np.random.default_rng([seed, 11]).choice(test, self.asked, replace=False)
        if len(pool) < self.samples or not len(test):
            raise ValueError(f"the table has {len(pool)} networks measured for {target!r}; {self.samples} are needed")
        return pool, test, fixed

    def sources(self, data: Data, names: Sequence[str], seed: int) -> list[Source]:
        """What the sources measured, of random rows."""
        found = []
        for place, name in enumerate(names):
            y = data.column(name)
            measured = np.flatnonzero(np.isfinite(y))
            if self.split == "help":
                measured = measured[measured < HELP_SPLIT[data.name][0]]
            if self.source_samples is not None and self.source_samples < len(measured):
                measured = np.random.default_rng([seed, 9, place]).choice(measured, self.source_samples, replace=False)
            found.append(Source(name, data.x[measured], y[measured]))
        return found


def _middle(y: Array, rows: Rows) -> Rows:
    """Rows without the tenth that is fastest and the tenth that is slowest."""
    low, high = np.percentile(y[rows], HELP_CUT)
    return rows[(y[rows] >= low) & (y[rows] <= high)]


def made(kind: str) -> type[Predictor] | type[PlainRegression]:
    """A kind of predictor, or of regression that it is compared with.

    Raises:
        PredictorError: there is none; the message lists those that there are.
    """
    return PLAIN[kind] if kind in PLAIN else predictor_kind(kind)


def run(
    data: Data, sources: Sequence[str], targets: Sequence[str], kinds: Sequence[str], protocol: Protocol, seeds: int
) -> Iterator[Record]:
    """Fit and ask every kind for every target and seed."""
    for seed in range(seeds):
        told = protocol.sources(data, sources, seed)
        for target in targets:
            y = data.column(target)
            pool, test, fixed = protocol.rows(data, target, seed)
            chance = np.random.default_rng([seed, 10]).choice(pool, protocol.samples, replace=False)
            for kind in kinds:
                others = [source for source in told if source.name != target]
                if kind in NEEDS_SOURCES and not others:
                    continue
                predictor = made(kind)(data.features, seed=seed)
                chosen = chance
                if protocol.choose == "predictor" and isinstance(predictor, Predictor):
                    known = data.x[fixed] if len(fixed) else None
                    chosen = pool[predictor.choose(data.x[pool], protocol.samples, sources=others, known=known)]
                rows = np.unique(np.concatenate([chosen, fixed]))
                started = time.perf_counter()
                try:
                    predictor.fit(data.x[rows], y[rows], others)
                except PredictorError as error:
                    raise PredictorError(f"target {target!r}, seed {seed}: {error}") from error
                seconds = time.perf_counter() - started
                mean, std = predictor.predict(data.x[test])
                scores = Scores.of(y[test], mean, mean - NORMAL_90 * std, mean + NORMAL_90 * std)
                if np.isnan(std).all():
                    scores = scores._replace(coverage_90=float("nan"))  # it tells no intervals
                yield Record(kind, target, protocol.samples, seed, *scores, seconds)


def show(records: Sequence[Record], title: str = "") -> None:
    """Print means over seeds, for each target and predictor, and over all targets."""
    table = Shown(title=title or None, title_justify="left")
    table.add_column("target")
    table.add_column("predictor")
    names = ("spearman", "kendall", "within_10", "coverage_90", "fit_s")
    for name in names:
        table.add_column(name, justify="right")
    targets = list(dict.fromkeys(record.target for record in records))
    for target in [*targets, *(["mean"] if len(targets) > 1 else [])]:
        for kind in dict.fromkeys(record.predictor for record in records):
            chosen = [asdict(r) for r in records if r.predictor == kind and target in (r.target, "mean")]
            if chosen:
                table.add_row(target, kind, *(f"{np.mean([each[name] for each in chosen]):.3f}" for name in names))
        table.add_section()
    Console(width=110, highlight=False).print(table)


def write(path: Path, records: Sequence[Record]) -> None:
    """Write the records as JSON; a correlation with a constant is null."""
    plain = [{k: None if v != v else v for k, v in asdict(record).items()} for record in records]
    path.write_text(json.dumps(plain, indent=1))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read and check the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, required=True, help="an .npz file of the schema in nas/table.py")
    parser.add_argument("--sources", nargs="*", default=[], metavar="METRIC", help="what other devices measured")
    parser.add_argument("--targets", nargs="+", required=True, metavar="METRIC")
    parser.add_argument("--samples", type=int, required=True, help="networks that are measured on the target")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--source-samples", type=int, help="networks measured on each source; all by default")
    parser.add_argument(
        "--predictors", nargs="+", default=list(PREDICTORS), help=f"of {', '.join((*PREDICTORS, *PLAIN))}"
    )
    parser.add_argument("--choose", choices=("predictor", "random"), default="predictor")
    parser.add_argument("--protocol", choices=("all", "help"), default="all")
    parser.add_argument("--hidden", type=float, default=0.0, help="share of rows that is only tested on")
    parser.add_argument("--asked", type=int, help="random rows that are tested on; all by default")
    parser.add_argument("--json", type=Path, required=True)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and report; returns the exit code, 2 for bad input."""
    given = parse(arguments)
    try:
        for name in ("samples", "seeds", "source_samples", "asked"):
            if getattr(given, name) is not None and getattr(given, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1 (got {getattr(given, name)})")
        if not 0 <= given.hidden < 1:
            raise ValueError(f"--hidden must be in [0, 1) (got {given.hidden})")
        if not given.json.resolve().parent.is_dir():
            raise ValueError(f"--json: there is no folder {given.json.parent}")
        for name in given.predictors:
            made(name)
        data = Data.load(given.table)
        for metric in (*given.sources, *given.targets):
            data.column(metric)
        protocol = Protocol(
            given.samples, given.source_samples, given.choose, given.protocol, given.hidden, given.asked
        )
        for target in given.targets:
            protocol.rows(data, target, 0)
        total = given.seeds * len(given.targets) * len(given.predictors)
        found = run(data, given.sources, given.targets, given.predictors, protocol, given.seeds)
        records = list(track(found, "predicting", total, console=Console(stderr=True)))
    except (ValueError, PredictorError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    show(records, f"{given.table.name}, {len(given.sources)} sources, {given.samples} samples, {given.seeds} seeds")
    write(given.json, records)
    print(f"written: {given.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
