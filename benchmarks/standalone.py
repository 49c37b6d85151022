"""The chosen network of a job trained alone, beside what the supernet's shared weights give it.

    python benchmarks/standalone.py latest --store sqlite:///nas.db --pick knee --epochs 10

Both are scored on the same validation split, with the same code; the stand-alone training has the recipe of the job
but its own learning rate, since it follows one network's gradient and not the mean of four.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from nas.cli.options import find_job
from nas.evaluation.scores import EvaluationData
from nas.jobspec.load import parse_job
from nas.problem import prepare
from nas.results import Results
from search_spaces.evaluation import evaluate
from search_spaces.training import SupernetTrainer
from storage.store import ResultStore


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job")
    parser.add_argument("--store", default="sqlite:///nas.db")
    parser.add_argument("--pick", default="knee")
    parser.add_argument("--epochs", type=int, help="by default those of the supernet")
    parser.add_argument("--learning-rate", type=float, default=0.2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()

    with ResultStore(given.store, create=False) as store:
        job = find_job(store, given.job)
        chosen = Results.of(parse_job(job.spec).objectives, store.evaluations(job.id)).pick(given.pick)
    problem = prepare(parse_job(job.spec))
    spec = problem.spec.supernet
    if problem.dataset is None or spec is None:
        parser.error(f"job {job.id} asks for no accuracy")
    row = problem.space.genotype(chosen.genotype)
    data = EvaluationData.of(problem.dataset, spec.recalibration_samples)

    recipe = spec.training.model_copy(
        update={"learning_rate": given.learning_rate, "epochs": given.epochs or spec.epochs}
    )
    train = problem.dataset.train
    torch.set_num_threads(1)
    trainer = SupernetTrainer(problem.space, recipe, train.inputs(), np.array(train.labels), genotype=row)
    started = time.perf_counter()
    while not trainer.finished:
        metrics = trainer.train_epoch()
        print(f"epoch {trainer.epoch} of {recipe.epochs}: loss {metrics['loss']:.4f}", flush=True)
    seconds = time.perf_counter() - started

    samples = [torch.from_numpy(np.array(part)) for part in (data.calibration, data.inputs, data.labels)]
    alone = evaluate(trainer.supernet, row[None], samples[:1], samples[1], samples[2])["accuracy"][0]
    result = {
        "job": job.id,
        "architecture_key": chosen.architecture_key,
        "macs": chosen.metrics["macs"],
        "supernet_accuracy": chosen.metrics["accuracy"],
        "standalone_accuracy": float(alone),
        "epochs": recipe.epochs,
        "seconds": seconds,
    }
    print(json.dumps(result, indent=2))
    if given.json:
        given.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
