"""A training step through the graph interpreter and shared weights, beside the same network as torch modules.

Run: python benchmarks/supernet_speed.py [--json FILE] [--seconds S] [--threads N]
Both sides run the same weights on the same images in the same process, step by step in turns, and the ratio is
that of the medians; aim: at most 1.05 for the largest network. Both sides in both memory layouts.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mobilenet_modules import MobileNet
from torch.nn.functional import cross_entropy

from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.interpreter.torch_graph import TorchGraph
from search_spaces.space import Genotype, SearchSpace
from search_spaces.supernet.supernet import Supernet

SETTINGS: dict[str, tuple[dict[str, Any], int]] = {
    "digits 8 px": (
        {
            "classes": 10, "channels": 1, "resolutions": (8,), "widths": (16, 24, 32), "strides": (1, 2, 2),
            "activations": ("relu", "h_swish", "h_swish"), "squeeze_excite": (False, True, True), "depths": (1, 2, 3),
            "expansions": (2, 3, 4), "kernels": (3, 5), "stem_stride": 1, "final_width": 96, "feature_width": 128,
        },
        64,
    ),
    "ImageNet 224 px": ({}, 4),
}  # fmt: skip

LAYOUTS = {"NCHW": torch.contiguous_format, "NHWC": torch.channels_last}  # training uses the second


def main() -> None:
    """Measure every setting, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument("--seconds", type=float, default=20.0, help="time for each row (default: 20)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    for name, (settings, batch) in SETTINGS.items():
        space = MobileNetV3(**settings)
        supernet = Supernet(space, seed=0)
        for which, genotype in (("largest", space.largest()), ("smallest", space.smallest())):
            for layout, memory_format in LAYOUTS.items():
                rows.append({"setting": name, "subnet": which, "layout": layout, "batch": batch})
                rows[-1].update(measure(supernet, space, genotype, batch, memory_format, arguments.seconds))
    report(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps({"threads": arguments.threads, "rows": rows}, indent=2) + "\n")


def report(rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    print(f"{'setting':17} {'subnet':9} {'layout':6} {'batch':>5}", end=" ")
    print(f"{'modules ms':>11} {'graph ms':>9} {'ratio':>6} {'build ms':>9} {'plan ms':>8}")
    for row in rows:
        print(f"{row['setting']:17} {row['subnet']:9} {row['layout']:6} {row['batch']:5}", end=" ")
        print(f"{row['modules_ms']:11.2f} {row['graph_ms']:9.2f} {row['ratio']:6.3f}", end=" ")
        print(f"{row['build_ms']:9.2f} {row['plan_ms']:8.2f}")


def measure(
    supernet: Supernet,
    space: SearchSpace,
    genotype: Genotype,
    batch: int,
    memory_format: torch.memory_format,
    seconds: float,
) -> dict[str, float]:
    """Median milliseconds of a step (forward and backward) of both sides, and of building and planning a graph."""
    network = MobileNet(space.settings, space.choices(genotype))
    network.load_state_dict({name: value.detach() for name, value in supernet.weights(genotype).items()}, strict=False)
    shape = supernet.subnet(genotype).input_shape
    images = torch.randn((batch, *shape[1:]), generator=torch.Generator().manual_seed(0))
    images, network = images.to(memory_format=memory_format), network.to(memory_format=memory_format)
    labels = torch.arange(batch) % 10

    def modules() -> torch.Tensor:
        network.zero_grad()
        return step(network(images))

    def graph() -> torch.Tensor:
        supernet.zero_grad()
        return step(supernet(images, genotype))

    def step(logits: torch.Tensor) -> torch.Tensor:
        cross_entropy(logits, labels).backward()
        return logits

    difference = (modules() - graph()).abs().max().item()
    if difference > 1e-4:
        raise SystemExit(f"the two networks disagree by {difference}")
    times: dict[Callable[[], torch.Tensor], list[float]] = {modules: [], graph: []}
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        for side, seen in times.items():
            seen.append(timed(side))
    modules_ms, graph_ms = statistics.median(times[modules]), statistics.median(times[graph])
    built = space.graph(genotype)
    return {
        "modules_ms": modules_ms,
        "graph_ms": graph_ms,
        "ratio": graph_ms / modules_ms,
        "steps": len(times[graph]),
        "build_ms": float(np.median([timed(lambda: space.graph(genotype)) for _ in range(50)])),
        "plan_ms": float(np.median([timed(lambda: TorchGraph(built)) for _ in range(50)])),
        "nodes": len(built.nodes),
    }


def timed(function: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1e3


if __name__ == "__main__":
    main()
