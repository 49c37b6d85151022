"""A search that measures where it must and predicts elsewhere, against the same search that measures all.

    python benchmarks/predicted_search.py --table nb201.npz --metrics latency_ms@raspi4 latency_ms@pixel3 \
        --other accuracy@cifar10 --evaluations 300 --seeds 5 --json predicted.json

Evaluations are looked up in a table. The front of a search with predictions is that of its finalists, which are
measured until those with predicted values could add hardly anything; the hypervolumes are shares of that of the search
that measured everything, up to the worst values of the table. With `--bound` the metric must not exceed that quantile
of the table.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.evaluation.evaluator import Evaluator, Request
from nas.evaluation.predicting_evaluator import PredictingEvaluator
from nas.evaluation.table_evaluator import TableEvaluator
from nas.finalists import affordable, worth_measuring
from nas.front import front, hypervolume
from nas.objectives import Objective, deviation, losses, violations
from nas.screening import ask
from nas.strategies.registry import create, strategy
from nas.table import Table
from search_spaces.genotypes import Population
from search_spaces.space import SearchSpace

Array = NDArray[np.float64]
BATCH = 8


class Searched(NamedTuple):
    """What a search was told: genotypes (n, d), losses (n, m), which had predicted values; and what predicted them."""

    genotypes: Population
    losses: Array
    predicted: NDArray[np.bool_]
    predictor: PredictingEvaluator | None


def search(
    table: Table, objectives: Sequence[Objective], metric: str, source: str, name: str, evaluations: int, seed: int
) -> Searched:
    """Search once."""
    space = table.space
    assert isinstance(space, SearchSpace)
    searcher = create(strategy(name).options_type(name=name), space, len(objectives), seed)
    evaluator: Evaluator = TableEvaluator(table, [objective.metric for objective in objectives])
    predictor = None
    if source != "measure":
        evaluator = predictor = PredictingEvaluator(evaluator, space, objectives, {metric: source}, seed=seed)
    told: list[Array] = []
    rows: list[Population] = []
    predicted: list[bool] = []
    while len(predicted) < evaluations:
        population = ask(searcher, min(BATCH, evaluations - len(predicted)), space, objectives, predictor)
        if not len(population):
            break
        evaluator.submit([Request(str(place), row) for place, row in enumerate(population)])
        answers: dict[str, dict[str, float]] = {}
        while len(answers) < len(population):
            answers |= {answer.key: answer.metrics for answer in evaluator.wait()}
        found = [answers[str(place)] for place in range(len(population))]
        values = {o.metric: np.array([each[o.metric] for each in found]) for o in objectives}
        told.append(losses(objectives, values))
        searcher.tell(population, told[-1], violations(objectives, values))
        rows.append(population)
        predicted += [each.get(deviation(metric), 0.0) > 0 for each in found]
    return Searched(np.concatenate(rows), np.concatenate(told), np.array(predicted), predictor)


def finals(table: Table, objectives: Sequence[Objective], metric: str, searched: Searched) -> tuple[Array, int]:
    """Measure finalists as a job does; returns the (k, m) losses of those that were measured and how many that took."""
    metrics = [objective.metric for objective in objectives]
    values = table.lookup(searched.genotypes, metrics)
    true, told, open_, extra = losses(objectives, values), searched.losses.copy(), searched.predicted.copy(), 0
    while True:
        heard = {o.metric: o.values(told[:, place]) for place, o in enumerate(objectives)}
        best = front(told, violations(objectives, heard))
        new = best[worth_measuring(told[best], open_[best])]
        new = new[: affordable(len(open_), int((~open_).sum()), extra)]
        if not len(new):
            kept = np.flatnonzero(~open_)
            broken = violations(objectives, {name: column[kept] for name, column in heard.items()})
            return told[kept[front(told[kept], broken)]], extra
        told[new], open_[new] = true[new], False
        extra += len(new)
        assert searched.predictor is not None
        for place in new:
            known = {name: float(values[name][place]) for name in metrics}
            searched.predictor.learn(searched.genotypes[place], known)
        if open_.any():
            newer = searched.predictor.predicted(searched.genotypes[open_], [{}] * int(open_.sum()))[metric]
            told[open_, metrics.index(metric)] = objectives[metrics.index(metric)].losses(newer)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and report; returns the exit code, 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--metrics", nargs="+", required=True, help="what is measured or predicted")
    parser.add_argument("--other", required=True, help="the other objective, higher being better")
    parser.add_argument("--bound", type=float, help="quantile of the table that the metric must not exceed")
    parser.add_argument("--strategy", default="nsga2")
    parser.add_argument("--evaluations", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        table = Table.load(given.table)
        if not isinstance(table.space, SearchSpace):
            raise ValueError(f"{given.table}: the space {table.space_name!r} cannot build networks")
        columns = {metric: table.column(metric) for metric in (*given.metrics, given.other)}
        if given.bound is not None and not 0 < given.bound <= 1:
            raise ValueError(f"--bound must be in (0, 1] (got {given.bound})")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    records = []
    for metric in given.metrics:
        bound = None if given.bound is None else float(np.nanquantile(columns[metric], given.bound))
        objectives = (
            Objective(metric=given.other, direction="max"),
            Objective(metric=metric, direction="min", bound=bound),
        )
        corner = np.nanmax(losses(objectives, columns), axis=0)
        best = np.nanmin(losses(objectives, columns), axis=0)
        for seed in range(given.seeds):
            reached: dict[str, float] = {}
            for source in ("measure", "auto", "predict"):
                searched = search(table, objectives, metric, source, given.strategy, given.evaluations, seed)
                found, extra = finals(table, objectives, metric, searched)
                scaled = (found - best) / (corner - best)
                reached[source] = hypervolume(scaled, np.ones(2))
                record = {
                    "metric": metric,
                    "source": source,
                    "seed": seed,
                    "evaluations": len(searched.predicted),
                    "measurements": int((~searched.predicted).sum()) + extra,
                    "hypervolume": reached[source],
                    "share": reached[source] / reached["measure"],
                    "broken": 0 if bound is None else int((found[:, 1] > bound).sum()),
                }
                records.append(record)
    print(f"{'metric':28} {'from':8} {'measured':>9} {'of':>5} {'hypervolume':>12} {'share':>7} {'broken':>7}")
    for metric in given.metrics:
        for source in ("measure", "auto", "predict"):
            own = [each for each in records if (each["metric"], each["source"]) == (metric, source)]
            means = {
                key: float(np.mean([each[key] for each in own])) for key in ("measurements", "hypervolume", "share")
            }
            broken = sum(each["broken"] for each in own)
            print(
                f"{metric:28} {source:8} {means['measurements']:9.1f} {given.evaluations:5} "
                f"{means['hypervolume']:12.4f} {means['share']:7.4f} {broken:7}"
            )
    given.json.write_text(json.dumps(records, indent=1))
    print(f"written: {given.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
