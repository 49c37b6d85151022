"""What a round of differentiable search takes: peak memory and seconds, beside training one sampled network.

    python benchmarks/gradient_memory.py --json memory.json
    python benchmarks/gradient_memory.py --space '{"widths": [16, 32, 64], "cells": 5}' --batch 64

The baseline are random networks of the space, each trained by itself for as many steps with the same batches: the mean
of their peaks and seconds is 1, and their largest is shown, too. Peaks count what torch allocates while the round runs
(see `peak_memory`), weights that were there before excluded; a round has as many steps of the logits as of the weights.
NNI's DARTS runs on the same cells and batches where it is installed (see `nni_darts`).
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nni_darts import nni_round
from peak_memory import peak_bytes
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional

from search_spaces.gradient.registry import METHODS
from search_spaces.gradient.search import GradientSearch
from search_spaces.gradient.search_settings import SearchSettings
from search_spaces.registry import SPACES
from search_spaces.space import Genotype, SearchSpace
from search_spaces.supernet.supernet import Supernet
from search_spaces.training.optimiser import weights_optimiser

MIB = 2**20
ROUNDS = 10


def measured(run: Callable[[], object], device: str) -> tuple[float, float]:
    """Peak in MiB and seconds of one call each, after one that warms up; processor seconds on a CPU."""
    run()
    clock = time.process_time if device == "cpu" else time.perf_counter
    started = clock()
    run()
    if device != "cpu":
        torch.cuda.synchronize()
    seconds = clock() - started
    return peak_bytes(run, device) / MIB, seconds


def alone(
    space: SearchSpace, genotype: Genotype, settings: SearchSettings, batches: list[tuple[Tensor, Tensor]], device: str
) -> Callable[[], None]:
    """A round of training one network, on the weights' batches."""
    network = Supernet(space, 0, genotypes=genotype[None]).to(device)
    optimiser = weights_optimiser(network, settings)

    def run() -> None:
        for x, y in batches[::2]:
            optimiser.zero_grad()
            functional.cross_entropy(network(x, genotype), y).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()

    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space-name", default="nasbench201", choices=SPACES)
    parser.add_argument("--space", type=json.loads, default={"cells": 1}, help="settings of the space, JSON")
    parser.add_argument(
        "--methods", nargs="+", default=[name for name in METHODS if name not in ("single_path", "dass")]
    )
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=6, help="steps of a round")
    parser.add_argument("--networks", type=int, default=12, help="sampled networks that are trained alone")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()

    torch.set_num_threads(1)
    space = SPACES[given.space_name](**given.space)
    (takes,) = space.graph(space.largest()).inputs
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2 * given.steps * given.batch, *takes.shape[1:])).astype(np.float32)
    labels = rng.integers(0, 10, len(images))
    settings = SearchSettings(batch_size=given.batch, rounds=ROUNDS)
    x = torch.from_numpy(images).to(given.device).contiguous(memory_format=torch.channels_last)
    y = torch.from_numpy(labels).to(given.device)
    batches = list(zip(x.split(given.batch), y.split(given.batch), strict=True))

    networks = [
        measured(alone(space, row, settings, batches, given.device), given.device)
        for row in space.sample(given.networks, rng)
    ]
    one, seconds = (float(np.mean(part)) for part in zip(*networks, strict=True))
    largest = max(peak for peak, _ in networks)
    rows: list[dict[str, Any]] = [{"name": f"one network, mean of {given.networks}", "mib": one, "seconds": seconds}]
    rows.append({"name": "the largest of them", "mib": largest, "seconds": max(each for _, each in networks)})
    for name in given.methods:
        search = GradientSearch(space, METHODS[name](), settings, images, labels, device=given.device)
        peak, took = measured(search.round, given.device)
        rows.append({"name": name, "mib": peak, "seconds": took})
    why = "it is only written for nasbench201" if given.space_name != "nasbench201" else None
    if why is None:
        try:
            run = nni_round(space.settings["widths"], space.settings["cells"], batches, given.device)
            peak, took = measured(run, given.device)
            rows.append({"name": "NNI's DARTS", "mib": peak, "seconds": took})
        except ImportError as error:
            why = f"it cannot be imported here: {error}"
    darts = next((row["mib"] for row in rows if row["name"] == "darts"), None)
    shown = Table(title=f"a round of {given.steps} steps of {given.batch} images on {given.device}")
    for column in ("", "peak MiB", "of one network", "of darts", "seconds", "of one network"):
        shown.add_column(column, justify="right" if column else "left")
    for row in rows:
        row["of_one"], row["of_darts"] = row["mib"] / one, None if darts is None else row["mib"] / darts
        row["seconds_of_one"] = row["seconds"] / seconds
        of_darts = "-" if row["of_darts"] is None else f"{row['of_darts']:.2f}"
        shown.add_row(
            row["name"],
            f"{row['mib']:.1f}",
            f"{row['of_one']:.2f}",
            of_darts,
            f"{row['seconds']:.2f}",
            f"{row['seconds_of_one']:.2f}",
        )
    Console(width=110).print(shown)
    if why:
        print(f"NNI's DARTS is not shown: {why}")
    if given.json:
        given.json.write_text(json.dumps({"space": space.settings, "batch": given.batch, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
