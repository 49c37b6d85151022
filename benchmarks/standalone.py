"""Networks of a job trained alone, beside what the supernet's shared weights give them.

    python benchmarks/standalone.py latest --store sqlite:///nas.db --networks largest knee smallest --epochs 10

A network is what `nas export --pick` takes, or `largest` or `smallest` of the space. Both ways are scored on the same
validation split, with the same code; the stand-alone training has the recipe of the job but its own learning rate,
since it follows one network's gradient and not the mean of several.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from nas.cli.options import find_job
from nas.evaluation.scores import EvaluationData
from nas.jobspec.load import parse_job
from nas.problem import Problem, prepare
from nas.results import Results
from search_spaces.space import Genotype
from search_spaces.supernet.evaluation import METRICS, evaluate
from search_spaces.supernet.supernet import Supernet
from search_spaces.training.network_settings import NetworkSettings
from search_spaces.training.network_trainer import NetworkTrainer
from search_spaces.training.recipe_settings import RecipeSettings
from search_spaces.training.trainer import load_supernet
from storage.store import ResultStore


def alone(problem: Problem, row: Genotype, recipe: NetworkSettings, name: str) -> tuple[Supernet, float]:
    """The weights of one network trained from scratch, and the seconds that took."""
    assert problem.dataset is not None
    train = problem.dataset.train
    trainer = NetworkTrainer(problem.space, row, recipe, train.inputs(), np.array(train.labels))
    started = time.perf_counter()
    while not trainer.finished:
        metrics = trainer.train_epoch()
        print(f"{name}: epoch {trainer.epoch} of {recipe.epochs}: loss {metrics['loss']:.4f}", flush=True)
    return trainer.supernet, time.perf_counter() - started


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job")
    parser.add_argument("--store", default="sqlite:///nas.db")
    parser.add_argument("--networks", nargs="+", default=["knee"])
    parser.add_argument("--epochs", type=int, help="by default those of the supernet")
    parser.add_argument("--learning-rate", type=float, help="by default that of the supernet")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()

    with ResultStore(given.store, create=False) as store:
        job = find_job(store, given.job)
        results = Results.of(parse_job(job.spec).objectives, store.evaluations(job.id))
        checkpoints = store.artifacts(job.id, "supernet")
    problem = prepare(parse_job(job.spec))
    spec = problem.spec.supernet
    if problem.dataset is None or spec is None or not checkpoints:
        parser.error(f"job {job.id} has trained no supernet")
    space, data = problem.space, EvaluationData.of(problem.dataset, spec.recalibration_samples)
    extremes = {"largest": space.largest, "smallest": space.smallest}
    chosen = {
        name: extremes[name]() if name in extremes else space.genotype(results.pick(name).genotype)
        for name in given.networks
    }
    own = {"epochs": given.epochs, "learning_rate": given.learning_rate}
    given_own = {key: value for key, value in own.items() if value is not None}
    recipe = NetworkSettings(**{**spec.training.model_dump(include=set(RecipeSettings.model_fields)), **given_own})
    torch.set_num_threads(1)
    calibration, inputs, labels = [
        torch.from_numpy(np.array(part)) for part in (data.calibration, data.inputs, data.labels)
    ]
    shared = load_supernet(Path(checkpoints[0].path), space)
    records: list[dict[str, Any]] = []
    for name, row in chosen.items():
        weights, seconds = alone(problem, row, recipe, name)
        record: dict[str, Any] = {"network": name, "macs": float(space.costs(row[None], ["macs"])["macs"][0])}
        for way, supernet in (("supernet", shared), ("alone", weights)):
            found = evaluate(supernet, row[None], [calibration], inputs, labels)
            record |= {f"{metric}@{way}": float(found[metric][0]) for metric in METRICS}
        records.append({**record, "epochs": recipe.epochs, "seconds": seconds, "choices": space.choices(row)})

    table = Table(title=f"job {job.id}")
    shown = ["network", "macs", *[f"{metric}@{way}" for metric in METRICS for way in ("supernet", "alone")], "seconds"]
    for column in shown:
        table.add_column(column, justify="left" if column == "network" else "right")
    for record in records:
        table.add_row(*[str(record[key]) if key == "network" else f"{record[key]:,.4g}" for key in shown])
    Console().print(table)
    if given.json:
        given.json.write_text(json.dumps(records, indent=2) + "\n")


if __name__ == "__main__":
    main()
