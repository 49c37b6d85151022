"""How fast an architecture becomes an ONNX file, a hash and a price, beside torch's tracing exporter.

Networks of the published Once-for-All MobileNetV3 space at 224 pixels. "file" is all of: the graph built, the weights
sliced out of the shared ones, serialised. The exporter gets the same network as ordinary torch modules with the same
weights, built beforehand; only its export is timed, and both files must give the same outputs.

    python benchmarks/graph_speed.py --json graph_speed.json
"""

import argparse
import io
import json
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from mobilenet_modules import MobileNet  # beside this file
from numpy.typing import NDArray

from search_spaces.costs.population import PopulationCosts
from search_spaces.costs.static import costs
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.graph import Graph
from search_spaces.identity import graph_hash
from search_spaces.interchange.onnx_file import model_bytes
from search_spaces.space import Genotype

Weights = Mapping[str, NDArray[np.float32]]


def shared_weights(space: MobileNetV3) -> Weights:
    """Weights of the largest network, random."""
    rng = np.random.default_rng(0)
    weights: dict[str, NDArray[np.float32]] = {}
    for name, parameter in space.graph(space.largest()).parameters.items():
        array = rng.standard_normal(parameter.shape).astype(np.float32)
        fan = int(np.prod(parameter.shape[1:])) if parameter.role == "weight" else 1
        weights[name] = np.abs(array) + 0.5 if parameter.role == "variance" else array / np.float32(np.sqrt(fan))
    return weights


def sliced(shared: Weights, graph: Graph) -> Weights:
    """The tensors of one network: leading channels, centres of kernels; views, nothing is copied."""
    weights = {}
    for name, parameter in graph.parameters.items():
        array = shared[name]
        if array.shape != parameter.shape:
            starts = [
                0 if axis < 2 else (full - size) // 2
                for axis, (full, size) in enumerate(zip(array.shape, parameter.shape, strict=True))
            ]
            array = array[tuple([slice(a, a + size) for a, size in zip(starts, parameter.shape, strict=True)])]
        weights[name] = array
    return weights


def timed_ms(action: Callable[[], object]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - started)


def ours(space: MobileNetV3, shared: Weights, row: Genotype) -> bytes:
    """From genotype to file."""
    graph = space.graph(row)
    return model_bytes(graph, sliced(shared, graph), {"space": space.name})


def theirs(module: torch.nn.Module, size: int) -> bytes:
    """From module to file by torch's tracing exporter, batch norm folded and the batch axis dynamic as in ours."""
    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(1, 3, size, size),),
            target,
            dynamo=False,
            input_names=["image"],
            dynamic_axes={"image": {0: "N"}},
        )
    return target.getvalue()


def module_of(space: MobileNetV3, shared: Weights, row: Genotype) -> torch.nn.Module:
    """The same network as torch modules with the same weights."""
    module = MobileNet(space.settings, space.choices(row)).eval()
    weights = sliced(shared, space.graph(row))
    state = module.state_dict()
    module.load_state_dict(
        {name: torch.tensor(weights[name]) if name in weights else tensor for name, tensor in state.items()}
    )
    return module


def difference(first: bytes, second: bytes, size: int) -> float:
    """The largest difference of two files' outputs on one random image, over the largest output."""
    image = np.random.default_rng(1).standard_normal((1, 3, size, size)).astype(np.float32)
    outputs = [
        onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"image": image})[0]
        for content in (first, second)
    ]
    return float(np.abs(outputs[0] - outputs[1]).max() / np.abs(outputs[0]).max())


def files(space: MobileNetV3, networks: int, exports: int, repeats: int) -> list[dict[str, Any]]:
    """Medians over random networks, and for the extremes; the exporter on the first few of each."""
    shared = shared_weights(space)
    rows = space.sample(networks, np.random.default_rng(0))
    rows[:, -1] = space.cardinalities[-1] - 1
    ours(space, shared, rows[0])
    records = []
    for name, group in (("random", rows), ("smallest", space.smallest()[None]), ("largest", space.largest()[None])):
        found: dict[str, list[float]] = {key: [] for key in ("graph", "slice", "file", "exporter", "hash", "costs")}
        worst = 0.0
        for place, row in enumerate(group):
            size = int(space.choices(row)["resolution"])  # type: ignore[arg-type]  # resolutions are whole numbers
            module = module_of(space, shared, row) if place < exports else None
            for _ in range(repeats):
                graph = space.graph(row)
                found["graph"].append(timed_ms(lambda row=row: space.graph(row)))
                found["slice"].append(timed_ms(lambda graph=graph: sliced(shared, graph)))
                found["file"].append(timed_ms(lambda row=row: ours(space, shared, row)))
                found["hash"].append(timed_ms(lambda graph=graph: graph_hash(graph)))
                found["costs"].append(timed_ms(lambda graph=graph: costs(graph)))
                if module is not None:
                    found["exporter"].append(timed_ms(lambda module=module, size=size: theirs(module, size)))
            if module is not None:
                worst = max(worst, difference(ours(space, shared, row), theirs(module, size), size))
        medians = {f"{key}_ms": statistics.median(values) for key, values in found.items()}
        nodes = statistics.median([len(space.graph(row).nodes) for row in group])
        ratio = medians["exporter_ms"] / medians["file_ms"]
        records.append({"networks": name, "nodes": nodes, **medians, "times_faster": ratio, "difference": worst})
    return records


def populations(space: MobileNetV3, rows: int, repeats: int) -> dict[str, Any]:
    """Compiling the costs of the space, and pricing a population with them; checked on some of its rows."""
    started, used = time.perf_counter(), time.process_time()
    tables = PopulationCosts(space)
    tables.compile()
    compiled, used = time.perf_counter() - started, time.process_time() - used
    compiled_graphs = tables.assembled
    population = space.sample(rows, np.random.default_rng(2))
    found = tables.costs(population)
    for place in range(0, rows, max(1, rows // 200)):
        expected = costs(space.graph(population[place]))
        if any(found[metric][place] != value for metric, value in expected.items()):
            raise SystemExit(f"the tables are wrong for {space.choices(population[place])}")
    seconds = statistics.median([timed_ms(lambda: tables.costs(population)) / 1000 for _ in range(repeats)])
    return {
        "genotypes": rows,
        "compile_seconds": compiled,
        "compile_cpu_seconds": used,
        "assembled_graphs": compiled_graphs,
        "assembled_later": tables.assembled - compiled_graphs,
        "costs_seconds": seconds,
        "per_second": rows / seconds,
    }


def main() -> None:
    """Print both tables and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the records here")
    parser.add_argument("--networks", type=int, default=20, help="random networks (default 20)")
    parser.add_argument("--exports", type=int, default=5, help="networks that the exporter gets as well (default 5)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each; the median counts (default 3)")
    parser.add_argument("--rows", type=int, default=100_000, help="genotypes that are priced (default 100,000)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    space = MobileNetV3()
    print("Once-for-All MobileNetV3 at 224 pixels, milliseconds (medians)\n")
    columns = ("graph", "slice", "file", "exporter", "hash", "costs")
    print(
        f"{'networks':<10}{'nodes':>6}" + "".join(f"{column:>10}" for column in columns) + f"{'faster':>9}{'diff':>10}"
    )
    records = files(space, arguments.networks, arguments.exports, arguments.repeats)
    for record in records:
        times = "".join(f"{record[f'{column}_ms']:>10.2f}" for column in columns)
        print(
            f"{record['networks']:<10}{record['nodes']:>6.0f}{times}"
            f"{record['times_faster']:>8.1f}x{record['difference']:>10.1e}"
        )
    priced = populations(space, arguments.rows, arguments.repeats)
    print(
        f"\ncosts of {priced['genotypes']:,} genotypes: {priced['costs_seconds']:.3f} s "
        f"({priced['per_second']:,.0f} per second), after compiling {priced['assembled_graphs']} graphs "
        f"in {priced['compile_seconds']:.2f} s ({priced['compile_cpu_seconds']:.2f} s of the processor)"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps({"files": records, "populations": priced}, indent=2) + "\n")


if __name__ == "__main__":
    main()
