"""A supernet's training step with each option, beside the plain one.

Run: python benchmarks/training_options.py [--json FILE] [--rounds N] [--threads N]
All trainings run in one process on the same images, some steps each in turns, and a ratio is that of the medians of
processor time. `bfloat16` pays off on GPUs and on processors that compute in it; others are several times slower.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.training.settings import TrainingSettings
from search_spaces.training.trainer import SupernetTrainer

STAGES = {
    "widths": (16, 24, 32), "strides": (1, 2, 2), "activations": ("relu", "h_swish", "h_swish"),
    "squeeze_excite": (False, True, True), "depths": (1, 2, 3), "expansions": (2, 3, 4), "kernels": (3, 5, 7),
    "stem_stride": 1, "final_width": 96, "feature_width": 128,
}  # fmt: skip
SPACES: dict[str, tuple[dict[str, Any], int]] = {
    "8 px": ({"classes": 10, "channels": 1, "resolutions": (8,), **STAGES, "kernels": (3, 5)}, 64),
    "32 px": ({"classes": 10, "channels": 3, "resolutions": (32,), **STAGES}, 16),
}
"""Settings of a space, and images of a batch."""

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "kernel_transformation": {"kernel_transformation": True},
    "experts: 2": {"experts": 2},
    "experts: 4": {"experts": 4},
    "bfloat16": {"precision": "bfloat16"},
    "randaugment": {"augmentation": {"randaugment": {"n": 2}}},
}
STEPS = 2  # of a turn


def main() -> None:
    """Measure every option in every space, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each option (default: 10)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default: 1)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = [row for name in SPACES for row in measure(name, arguments.rounds)]
    print(f"{'space':>6} {'option':>22} {'step ms':>8} {'ratio':>6}")
    for row in rows:
        print(f"{row['space']:>6} {row['option']:>22} {row['step_ms']:8.1f} {row['ratio']:6.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"threads": arguments.threads, "rows": rows}, indent=2) + "\n")


def measure(name: str, rounds: int) -> list[dict[str, Any]]:
    """Median processor time of a step with each option, and its ratio to the plain one."""
    settings, batch = SPACES[name]
    space = MobileNetV3(**settings)
    recipe = {"epochs": rounds + 1, "batch_size": batch, "warmup_epochs": 0, "learning_rate": 0.05}
    side = settings["resolutions"][0]
    images = np.random.default_rng(0).standard_normal((STEPS * batch, settings["channels"], side, side), np.float32)
    labels = np.arange(len(images)) % 10
    trainers = {
        option: SupernetTrainer(space, TrainingSettings(**recipe, **given), images, labels)
        for option, given in OPTIONS.items()
    }
    seconds: dict[str, list[float]] = {option: [] for option in trainers}
    for _ in range(rounds + 1):  # the first warms up; a seed draws the same networks for every option
        for option, trainer in trainers.items():
            started = time.process_time()
            trainer.train_epoch()
            seconds[option].append((time.process_time() - started) / STEPS)
    medians = {option: statistics.median(taken[1:]) for option, taken in seconds.items()}
    return [
        {"space": name, "option": option, "step_ms": 1e3 * median, "ratio": median / medians["plain"]}
        for option, median in medians.items()
    ]


if __name__ == "__main__":
    main()
