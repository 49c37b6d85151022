"""How well the subnets of a trained supernet are ranked: Kendall's tau with a table of stand-alone trainings.

    python benchmarks/supernet_ranking.py --table ../shared/data/nb201.npz --metric accuracy@cifar10 \
        --images ../shared/data/cifar10_subset_12k.npz --space '{"widths": [8, 16, 32], "cells": 1}' --seeds 0 1 2

The supernet is trained on the images' training part and its subnets are scored on the test part, of which the table
knows nothing. Beside it stand the ranks that counting MACs and parameters gives for the same networks, and that of
stand-in scores when no training was done at all (the first values of the weights).
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table as Shown
from scipy.stats import kendalltau

from nas.table import Table
from search_spaces.registry import SPACES
from search_spaces.space import Population, SearchSpace
from search_spaces.supernet.evaluation import evaluate
from search_spaces.training.settings import TrainingSettings
from search_spaces.training.trainer import SupernetTrainer

MEAN, DEVIATION = (0.491, 0.482, 0.447), (0.247, 0.243, 0.262)


def load(path: Path) -> dict[str, torch.Tensor]:
    """Images as (N, 3, H, W) float32, normalised, and labels."""
    with np.load(path, allow_pickle=False) as file:
        found = {}
        for part in ("train", "test"):
            images = file[f"{part}_images"].transpose(0, 3, 1, 2).astype(np.float32) / 255
            images = (images - np.reshape(MEAN, (1, 3, 1, 1))) / np.reshape(DEVIATION, (1, 3, 1, 1))
            found[f"{part}_images"] = torch.from_numpy(images.astype(np.float32))
            found[f"{part}_labels"] = torch.from_numpy(file[f"{part}_labels"].astype(np.int64))
        return found


def ranked(
    space: SearchSpace, settings: TrainingSettings, data: dict[str, torch.Tensor], rows: Population
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Scores (n,) of the subnets before training and after it, and the processor seconds of the training."""
    trainer = SupernetTrainer(space, settings, data["train_images"], data["train_labels"])
    chosen = np.random.default_rng(settings.seed).choice(len(data["train_images"]), 512, replace=False)
    calibration = [data["train_images"][torch.from_numpy(chosen)]]

    def scores() -> NDArray[np.float64]:
        found = evaluate(trainer.supernet, rows, calibration, data["test_images"], data["test_labels"])
        return found["accuracy"]

    untrained, started = scores(), time.process_time()
    while not trainer.finished:
        metrics = trainer.train_epoch()
        print(
            f"seed {settings.seed}: epoch {trainer.epoch} of {settings.epochs}: loss {metrics['loss']:.3f}, "
            f"largest {metrics['accuracy']:.3f}, {time.process_time() - started:.0f} s",
            flush=True,
        )
    return untrained, scores(), time.process_time() - started


def main() -> None:
    """Train once per seed, rank, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--metric", required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--space", type=json.loads, default={}, help="settings of the supernet's space, JSON")
    parser.add_argument("--training", type=json.loads, default={}, help="settings of the training, JSON")
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()

    torch.set_num_threads(1)
    table, data = Table.load(given.table), load(given.images)
    space = SPACES[table.space_name](**given.space)
    recipe = {"epochs": 20, "learning_rate": 0.1, "weight_decay": 5e-4, "shift": 4, "flip": True} | given.training
    records: list[dict[str, Any]] = []
    for seed in given.seeds:
        known = np.flatnonzero(np.isfinite(table.column(given.metric)))
        chosen = np.random.default_rng(seed).choice(known, given.networks, replace=False)
        rows, truth = table.genotypes[chosen], table.column(given.metric)[chosen]
        untrained, trained, seconds = ranked(space, TrainingSettings(**recipe, seed=seed), data, rows)
        costs = SPACES[table.space_name]().costs(rows, ["macs", "params"])
        best = truth >= np.median(truth)
        record: dict[str, Any] = {"seed": seed, "networks": given.networks, "train_cpu_seconds": seconds}
        for name, values in (("supernet", trained), ("untrained", untrained), *costs.items()):
            record[f"tau_{name}"] = float(kendalltau(values, truth).statistic)
            record[f"tau_{name}_better_half"] = float(kendalltau(values[best], truth[best]).statistic)
        records.append(record)

    shown = Shown(title=f"Kendall's tau with {given.metric}, {given.networks} random networks")
    names = [key for key in records[0] if key != "networks"]
    for name in names:
        shown.add_column(name.replace("_", " "), justify="right")
    for record in records:
        shown.add_row(*[f"{record[name]:.3g}" for name in names])
    Console().print(shown)
    beats = all(record["tau_supernet"] > record["tau_macs"] for record in records)
    print("The supernet ranks better than counting MACs." if beats else "Counting MACs ranks as well or better.")
    if given.json:
        given.json.write_text(json.dumps({"space": space.settings, "training": recipe, "runs": records}, indent=2))


if __name__ == "__main__":
    main()
