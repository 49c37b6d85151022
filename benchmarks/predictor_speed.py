"""How fast predictors learn and tell: the default without and with sources, and the one for any ONNX file.

    python benchmarks/predictor_speed.py --json speed.json

Networks are of the `mobilenet_v3` space, values are made up from their costs with noise. Features are computed before,
except where genotypes are named; files are read from memory.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.features.network_features import SpaceFeatures
from nas.features.operators import graph_features
from predictors.auto import Auto
from predictors.graph import Graph
from predictors.predictor import Source
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.interchange.onnx_file import model_bytes
from search_spaces.interchange.onnx_reader import read_graph

Array = NDArray[np.float64]

SAMPLES, SOURCES, SOURCE_SAMPLES, PREDICTIONS, FILES = 20, 20, 900, 100_000, 50
REPEATS = 3
AIMS = {
    "auto, fit 20 samples (s)": 1.0,
    "auto, fit 20 samples with 20 sources of 900 (s)": 10.0,
    "auto, 100,000 predictions from features (s)": 1.0,
    "auto, 100,000 predictions from genotypes (s)": 1.0,
}
FILES_A_SECOND = 200.0


def seconds(work: Callable[[], object], repeats: int = REPEATS) -> tuple[float, float]:
    """The least wall-clock and processor seconds of some runs."""
    found = []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - wall, time.process_time() - processor))
    return min(wall for wall, _ in found), min(processor for _, processor in found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args(arguments)
    rng = np.random.default_rng(0)
    space = MobileNetV3()
    made = SpaceFeatures(space)
    genotypes = space.sample(PREDICTIONS, rng)
    x = made(genotypes)

    def values(rows: Array, seed: int) -> Array:
        weights = np.random.default_rng(seed).random(rows.shape[1])
        return (10.0 + made.features.scaled(rows) @ weights) * np.exp(0.03 * rng.normal(size=len(rows)))

    y = values(x[:SAMPLES], 0)
    sources = [
        Source(f"device {place}", rows := x[rng.choice(len(x), SOURCE_SAMPLES, replace=False)], values(rows, place))
        for place in range(SOURCES)
    ]
    auto = Auto(made.features).fit(x[:SAMPLES], y)
    files = []
    for row in genotypes[:FILES]:
        graph = space.graph(row)
        files.append(model_bytes(graph, {name: np.ones(p.shape, np.float32) for name, p in graph.parameters.items()}))
    nodes = graph_features([read_graph(file) for file in files])
    universal = Graph().fit(nodes, 1.0 + nodes[:, :20].sum(axis=1))

    def read_and_tell() -> None:
        universal.predict(graph_features([read_graph(file) for file in files]))

    measured = {
        "auto, fit 20 samples (s)": seconds(lambda: Auto(made.features).fit(x[:SAMPLES], y)),
        "auto, fit 20 samples with 20 sources of 900 (s)": seconds(
            lambda: Auto(made.features).fit(x[:SAMPLES], y, sources), 1
        ),
        "auto, 100,000 predictions from features (s)": seconds(lambda: auto.predict(x)),
        "auto, 100,000 predictions from genotypes (s)": seconds(lambda: auto.predict(made(genotypes))),
    }
    records = []
    print(f"{'what':52} {'wall':>9} {'processor':>10} {'aim':>7}")
    for name, (wall, processor) in measured.items():
        print(f"{name:52} {wall:9.3f} {processor:10.3f} {AIMS[name]:7.0f}")
        records.append({"what": name, "wall": wall, "processor": processor, "aim": AIMS[name]})
    wall, processor = (FILES / each for each in seconds(read_and_tell))
    name = f"graph, ONNX files of {len(files[0]) / 1e6:.0f} MB a second"
    print(f"{name:52} {wall:9.0f} {processor:10.0f} {FILES_A_SECOND:7.0f}")
    records.append({"what": name, "wall": wall, "processor": processor, "aim": FILES_A_SECOND})
    given.json.write_text(json.dumps(records, indent=1))
    print(f"written: {given.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
