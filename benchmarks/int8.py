"""Networks in 32-bit floats and in 8-bit integers: accuracy and latency beside each other, and which layers gain.

    python benchmarks/int8.py --json int8.json

Runs a job (`examples/int8.yaml` unless `--job` names another one with an fp32 and an int8 device of this host) as
`nas run` does, with a store of its own. Then each layer of the same networks is timed in both formats, with random
weights; layers are put together by what they are. (Timing a layer takes a microsecond or two, which small layers
show.) Integers do not make everything faster: which kinds of layers take as long as before, or longer, depends on the
processor, and is told.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto

from nas.evaluation.subnet import subnets
from nas.jobspec.document import read_document
from nas.jobspec.space_code import space_recipe
from profilers.host import HostDevice
from profilers.host_profiler import HostProfiler
from profilers.layer_comparison import compare
from profilers.layer_timing import LayerTime
from profilers.measurement import Measurement
from profilers.registry import make_device
from profilers.timing import TimingRule
from storage.records import Evaluation
from storage.store import ResultStore

EXAMPLE = Path(__file__).parents[1] / "examples" / "int8.yaml"
LAYER_RUNS = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, measure, print the tables, write the JSON; returns the exit code, 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--job", type=Path, default=EXAMPLE, help="a job file (default: examples/int8.yaml)")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    given = parser.parse_args(arguments)
    try:
        document = read_document(given.job)
        devices = [make_device({"name": name, **section}) for name, section in document["devices"].items()]
        pair = {device.precision: device for device in devices if isinstance(device, HostDevice)}
        if set(pair) != {"fp32", "int8"}:
            raise ValueError(f"{given.job} needs two devices of this host, one of them with precision int8")
    except (ValueError, OSError, KeyError, TypeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    networks = table(ran(given.job), pair["fp32"].name, pair["int8"].name)
    space = space_recipe(dict(document["space"]), allow_code=False).make()
    made = subnets(space, None, None)
    rows = [space.genotype(row.pop("genotype")) for row in networks]
    kinds = layers([made.network(row).model({}) for row in rows], pair["fp32"], pair["int8"])
    show(networks, kinds)
    if given.json:
        given.json.write_text(json.dumps({"networks": networks, "layers": kinds}, indent=2) + "\n")
    return 0


def ran(job: Path) -> list[Evaluation]:
    """What a job finds, run in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/nas.db"
        subprocess.run([sys.executable, "-m", "nas", "run", str(job), "--store", url], check=True)
        with ResultStore(url, create=False) as store:
            return store.evaluations(store.jobs(limit=1)[0].id)


def table(evaluations: Sequence[Evaluation], floats: str, integers: str) -> list[dict[str, Any]]:
    """A row for each network that was measured, the fastest in floats first."""
    rows = []
    for each in evaluations:
        if each.error is not None:
            raise SystemExit(f"a network could not be evaluated: {each.error}")
        metrics = each.metrics
        fp32_ms, int8_ms = metrics[f"latency_ms@{floats}"], metrics[f"latency_ms@{integers}"]
        rows.append(
            {
                "genotype": each.genotype,
                "accuracy": metrics["accuracy"],
                "accuracy_int8": metrics["accuracy@int8"],
                "fp32_ms": fp32_ms,
                "int8_ms": int8_ms,
                "speedup": fp32_ms / int8_ms,
            }
        )
    return sorted(rows, key=lambda row: float(row["fp32_ms"]))


def layers(models: Sequence[bytes], floats: HostDevice, integers: HostDevice) -> list[dict[str, Any]]:
    """What each kind of layer takes in all networks together in both formats, the longest first."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    with HostProfiler(TimingRule(layer_runs=LAYER_RUNS)) as profiler:
        seen = [list(profiler.profile_all(models, device)) for device in (floats, integers)]
    for content, *pair in zip(models, *seen, strict=True):
        model = onnx.load_model_from_string(content)
        nodes = {node.name: node for node in model.graph.node}
        for layer in compare(model, *(times(each) for each in pair)):
            kind = kind_of(nodes[layer.name], layer.op, model) if layer.name in nodes else layer.name
            sums[kind][0] += layer.fp32_ms
            sums[kind][1] += layer.int8_ms
            counts[kind][0] += 1
            counts[kind][1] += layer.int8_ms < layer.fp32_ms
    return [
        {
            "kind": kind,
            "layers": counts[kind][0],
            "gain": counts[kind][1],
            "fp32_ms": fp32_ms,
            "int8_ms": int8_ms,
            "speedup": fp32_ms / int8_ms if fp32_ms and int8_ms else None,
        }
        for kind, (fp32_ms, int8_ms) in sorted(sums.items(), key=lambda item: -max(item[1]))
    ]


def times(outcome: object) -> list[LayerTime]:
    """The layers of a measurement."""
    if not isinstance(outcome, Measurement):
        raise SystemExit(f"a network could not be measured: {outcome}")
    return [layer for layer in outcome.layers if isinstance(layer, LayerTime)]


def kind_of(node: NodeProto, ops: str, model: ModelProto) -> str:
    """What a layer is, by its first node: convolutions by kernel, and depthwise ones apart."""
    if node.op_type != "Conv":
        return ops
    shape = next(tuple(weight.dims) for weight in model.graph.initializer if weight.name == node.input[1])
    return f"{'depthwise ' if shape[1] == 1 else ''}{ops.replace('Conv', f'Conv {shape[2]}x{shape[3]}', 1)}"


def show(networks: Sequence[dict[str, Any]], kinds: Sequence[dict[str, Any]]) -> None:
    """Print both tables."""
    print(f"{'accuracy':>10} {'int8':>8} {'change':>8} {'fp32, ms':>10} {'int8, ms':>10} {'speed-up':>9}")
    for row in networks:
        change = row["accuracy_int8"] - row["accuracy"]
        print(
            f"{row['accuracy']:10.4f} {row['accuracy_int8']:8.4f} {change:+8.4f} "
            f"{row['fp32_ms']:10.3f} {row['int8_ms']:10.3f} {row['speedup']:9.2f}"
        )
    speedup = statistics.median(row["speedup"] for row in networks)
    lost = np.median([row["accuracy"] - row["accuracy_int8"] for row in networks])
    print(f"median speed-up {speedup:.2f}, median loss of accuracy {lost:.4f}")
    print(f"{'layers of all networks':24} {'layers':>7} {'fp32, ms':>10} {'int8, ms':>10} {'speed-up':>9}  which gain")
    for row in kinds:
        speedup_text = "" if row["speedup"] is None else f"{row['speedup']:.2f}"
        told = "none" if not row["gain"] else "all" if row["gain"] == row["layers"] else f"{row['gain']}"
        figures = f"{row['layers']:7d} {row['fp32_ms']:10.3f} {row['int8_ms']:10.3f}"
        print(f"{row['kind']:24} {figures} {speedup_text:>9}  {told}")


if __name__ == "__main__":
    raise SystemExit(main())
