"""What stopping trainings early saves and loses: jobs that stopped none, replayed under each rule.

    python benchmarks/training_stops.py latest --store sqlite:///nas.db --json stops.json

A job is one with `accuracy: {from: train}` and `train: {halving: null}`, so that all its trainings came to their end.
They are told one after the other, in the order in which they began, as if one worker trained them; what a rule stops is
not on the front. Front sizes are hypervolumes, as shares of that of all trainings, from the worst values of the job.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from nas.cli.options import find_job
from nas.front import hypervolume
from nas.jobspec.load import parse_job
from nas.jobspec.metric_names import LEARNED
from nas.jobspec.training import CurvesSpec, HalvingSpec
from nas.objectives import Objective
from nas.problem import prepare
from nas.trials.halving import Halving
from nas.trials.prospects import Prospects
from storage.records import Training
from storage.store import ResultStore

RULES: dict[str, tuple[HalvingSpec | None, CurvesSpec | None]] = {
    "halving": (HalvingSpec(), None),
    "curves": (None, CurvesSpec()),
    "both": (HalvingSpec(), CurvesSpec()),
}


def results(training: Training) -> list[dict[str, Any]]:
    """The epochs of a training, as its trial told them."""
    return [dict(zip(training.curve, values, strict=True)) for values in zip(*training.curve.values(), strict=True)]


def replay(
    trainings: Sequence[Training],
    known: Mapping[str, Mapping[str, float]],
    objectives: Sequence[Objective],
    samples: int,
    rule: tuple[HalvingSpec | None, CurvesSpec | None],
    usual: int,
) -> tuple[list[str], float]:
    """The keys that come to their end under a rule, and the seconds that are trained; rungs are in `usual` epochs."""
    halving_spec, curves = rule
    prospects = None if curves is None else Prospects(curves, objectives, samples)
    epochs = {training.architecture_key: training.epochs for training in trainings}

    def losses(key: str, metrics: Mapping[str, Any]) -> Any:
        values = {**known[key], **metrics}
        return np.array([float(o.losses(values[o.metric])) for o in objectives])

    why: Callable[[str, dict[str, Any]], str | None] | None = None
    if prospects is not None:
        why = lambda key, result: prospects.why_not(known[key], result, epochs[key])  # noqa: E731  it may be None
    halving, finished, seconds = Halving(halving_spec, losses, why, lambda key: epochs[key] / usual), [], 0.0
    for training in trainings:
        key = training.architecture_key
        trial = SimpleNamespace(trial_id=key, config={"key": key})
        halving.on_trial_add(None, trial)
        last: dict[str, Any] = {}
        for last in results(training):
            seconds += last["seconds"]
            if last["epoch"] < training.epochs and halving.on_trial_result(None, trial, last) == "STOP":
                break
        else:
            finished.append(key)
            if prospects is not None:
                prospects.add({**known[key], **{metric: last[metric] for metric in LEARNED}}, training.curve)
    return finished, seconds


def main() -> None:
    """Replay, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="+")
    parser.add_argument("--store", default="sqlite:///nas.db")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    records: list[dict[str, Any]] = []
    with ResultStore(given.store, create=False) as store:
        for name in given.jobs:
            job = find_job(store, name)
            trainings = [t for t in store.trainings(job.id) if t.status == "FINISHED"]
            if len(trainings) < len(store.evaluations(job.id)) or not trainings:
                parser.error(f"job {job.id} has not trained every candidate to its end")
            problem = prepare(parse_job(job.spec))
            assert problem.dataset is not None
            assert problem.spec.train is not None
            objectives, samples = problem.spec.objectives, problem.dataset.validation.labels.size
            known = {e.architecture_key: e.metrics for e in store.evaluations(job.id)}
            points = {
                key: np.array([float(o.losses(metrics[o.metric])) for o in objectives])
                for key, metrics in known.items()
            }
            corner = np.max(list(points.values()), axis=0) + 1e-9
            whole = hypervolume(np.stack(list(points.values())), corner)
            spent = sum(training.seconds for training in trainings)
            for rule, settings in RULES.items():
                keys, seconds = replay(trainings, known, objectives, samples, settings, problem.spec.train.epochs)
                share = hypervolume(np.stack([points[key] for key in keys]), corner) / whole
                records.append(
                    {
                        "job": job.id, "rule": rule, "trainings": len(trainings), "finished": len(keys),
                        "seconds": spent, "seconds_saved": 1 - seconds / spent, "front": share,
                    }
                )  # fmt: skip
    table = Table("job", "rule", "trainings", "finished", "saved", "front")
    for each in records:
        row = (each["job"], each["rule"], each["trainings"], each["finished"])
        table.add_row(*map(str, row), f"{each['seconds_saved']:.0%}", f"{each['front']:.4f}")
    Console().print(table)
    if given.json:
        given.json.write_text(json.dumps(records, indent=2) + "\n")


if __name__ == "__main__":
    main()
