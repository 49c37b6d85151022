"""What networks cost as a batch beside one after the other, in the best case: eight of one structure.

    python benchmarks/batched_scores.py --json batches.json

Ten layers of a 3x3 convolution, batch normalisation and a ReLU, with weights of their own for each network. As a batch
they are one network of eight times the channels, whose convolutions have a group for each; processor time, one thread.
Random networks of a space differ in structure, so that less of them fits together.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

NETWORKS, LAYERS, REPEATS = 8, 10, 5
SIZES = ((32, 16, 16), (16, 32, 16), (8, 64, 16), (8, 16, 16), (32, 16, 1), (8, 64, 1))
"""Side in pixels, channels, samples: the stages of NAS-Bench-201, a small network, and a single input."""


def milliseconds(work: Callable[[], None]) -> float:
    """The least processor time of some runs."""
    work()
    found = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found) * 1e3


def passed(x: Tensor, weights: Sequence[Tensor], groups: int, *, backward: bool) -> None:
    """Run a network, and find the gradients of its weights where that is asked for."""
    own = [weight.detach().requires_grad_(backward) for weight in weights]
    with torch.set_grad_enabled(backward):
        for weight in own:
            x = functional.conv2d(x, weight, padding=1, groups=groups)
            x = functional.relu(functional.batch_norm(x, None, None, training=True))
        if backward:
            torch.autograd.grad(x.sum(), own)


def compared(side: int, channels: int, samples: int, *, backward: bool) -> tuple[float, float]:
    """Milliseconds of all networks one after the other, and as a batch in the faster of two layouts."""
    shape = (samples, channels, side, side)
    inputs = [torch.randn(shape).contiguous(memory_format=torch.channels_last) for _ in range(NETWORKS)]
    weights = [[torch.randn(channels, channels, 3, 3) / 12 for _ in range(LAYERS)] for _ in range(NETWORKS)]
    joined = [torch.cat([each[layer] for each in weights]) for layer in range(LAYERS)]
    whole = torch.cat(inputs, 1)

    def alone() -> None:
        for x, own in zip(inputs, weights, strict=True):
            passed(x, own, 1, backward=backward)

    def together(layout: torch.memory_format) -> None:
        passed(whole.contiguous(memory_format=layout), joined, NETWORKS, backward=backward)

    batches = [milliseconds(partial(together, layout)) for layout in (torch.contiguous_format, torch.channels_last)]
    return milliseconds(alone), min(batches)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    records = []
    print("pixels channels samples backward  one by one ms  as a batch ms  ratio")
    for side, channels, samples in SIZES:
        for backward in (False, True):
            one, batch = compared(side, channels, samples, backward=backward)
            print(f"{side:6} {channels:8} {samples:7} {backward!s:8} {one:14.1f} {batch:14.1f} {one / batch:6.2f}")
            about = {"side": side, "channels": channels, "samples": samples, "backward": backward}
            records.append({**about, "one_by_one_ms": one, "batch_ms": batch})
    given.json.write_text(json.dumps(records, indent=1))
    print(f"written: {given.json}")
    return 0


if __name__ == "__main__":
    main()
