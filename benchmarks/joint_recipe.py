"""Networks searched together with the recipe of their training, against networks alone with as many trainings.

    python benchmarks/joint_recipe.py --seeds 3 --trainings 36 --store sqlite:///joint.db --json joint.json

Both jobs run as `nas run` runs them, on digits, with trials of Ray Tune, and keep their results in the store. The job
of networks alone trains with the recipe that the joint job tries first. Hypervolumes are of accuracy and MACs, scaled
to the range of both fronts of a seed, with a reference point a tenth beyond its worst. No training is stopped early, so
that `training_stops.py` can replay what stopping would have saved.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from nas.front import front, hypervolume
from nas.jobspec.load import parse_job
from nas.results import Results
from storage.store import ResultStore

JOB: dict[str, Any] = {
    "space": {
        "name": "mobilenet_v3", "resolutions": [8], "widths": [8, 16], "strides": [1, 2], "stem_stride": 1,
        "activations": ["relu", "h_swish"], "squeeze_excite": [False, True], "depths": [1, 2], "expansions": [2, 3],
        "stem_width": 8, "final_width": 32, "feature_width": 32,
    },
    "accuracy": {"from": "train"},
    "objectives": ["accuracy", "macs"],
    "strategy": {"name": "predictor_assisted", "first": 12},
    "execution": {"workers": 1, "batch": 4, "in_flight": 1},
}  # fmt: skip
TRAIN = {"warmup_epochs": 1, "shift": 1, "halving": None, "recalibration_samples": 256}
RECIPE: dict[str, Any] = {
    "optimiser": ["sgd", "adamw", "lion"],
    "learning_rate": [0.1, 0.05, 0.2],
    "weight_decay": [1e-4, 5e-3],
    "augmentation": [1, 0],
    "ema": [0.0, 0.9],
}


@dataclass(frozen=True, slots=True)
class Record:
    """What one job reached."""

    job: str
    kind: str
    seed: int
    trainings: int
    front: int
    accuracy: float
    hypervolume: float
    seconds: float


def run(kind: str, seed: int, given: argparse.Namespace) -> str:
    """Run a job to its end in a process of its own; its id.

    Raises:
        RuntimeError: it failed; what it said is on the terminal.
    """
    job = {
        **JOB,
        "name": f"{kind}-{seed}",
        "seed": seed,
        "data": {"name": "digits", "validation": 0.4, "limit": given.images},
        "train": {"epochs": given.epochs, **TRAIN},
        "budget": {"evaluations": given.trainings},
    }
    if kind == "joint":
        job["recipe"] = RECIPE
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "job.yaml"
        file.write_text(yaml.safe_dump(job))
        done = subprocess.run([sys.executable, "-m", "nas", "run", str(file), "--store", given.store], check=False)
    if done.returncode:
        raise RuntimeError(f"the job {job['name']} ended with code {done.returncode}")
    with ResultStore(given.store, create=False) as store:
        return str(store.jobs(limit=1)[0].id)


def told(job: str, url: str) -> tuple[NDArray[np.float64], float]:
    """(n, 2) losses of the networks of a job, and the seconds that their trainings took."""
    with ResultStore(url, create=False) as store:
        objectives = parse_job(store.job(job).spec).objectives
        results = Results.of(objectives, store.evaluations(job), store.replications(job))
        seconds = sum(training.seconds for training in store.trainings(job))
    return results.losses[np.isfinite(results.losses).all(axis=1)], seconds


def compared(seed: int, jobs: dict[str, str], url: str) -> list[Record]:
    """A record for each job of a seed."""
    found = {kind: told(job, url) for kind, job in jobs.items()}
    both = np.concatenate([losses[front(losses)] for losses, _ in found.values()])
    low, high = both.min(axis=0), both.max(axis=0)
    records = []
    for kind, (losses, seconds) in found.items():
        scaled = (losses - low) / np.where(high > low, high - low, 1.0)
        best = front(scaled)
        volume = hypervolume(scaled[best], np.full(2, 1.1))
        records.append(
            Record(jobs[kind], kind, seed, len(losses), len(best), -float(losses[:, 0].min()), volume, seconds)
        )
    return records


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, compare and report; returns the exit code, 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trainings", type=int, default=36, help="of each job")
    parser.add_argument("--epochs", type=int, default=8, help="of each training")
    parser.add_argument("--images", type=int, default=1797, help="of the digits, two fifths of them for validation")
    parser.add_argument("--store", required=True, help="a new one, such as sqlite:///joint.db")
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args(arguments)
    if given.seeds < 1 or given.trainings < 2 or not given.json.resolve().parent.is_dir():
        print("error: --seeds must be at least 1, --trainings 2, and the folder of --json must exist", file=sys.stderr)
        return 2
    records = []
    for seed in range(given.seeds):
        jobs = {kind: run(kind, seed, given) for kind in ("networks", "joint")}
        records += compared(seed, jobs, given.store)
    print(
        f"{'job':10} {'seed':>4} {'trainings':>9} {'front':>5} {'best accuracy':>13} {'hypervolume':>11} {'seconds':>7}"
    )
    for each in records:
        print(
            f"{each.kind:10} {each.seed:4} {each.trainings:9} {each.front:5} {each.accuracy:13.4f} "
            f"{each.hypervolume:11.4f} {each.seconds:7.0f}"
        )
    given.json.write_text(json.dumps([asdict(record) for record in records], indent=1))
    print(f"written: {given.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
