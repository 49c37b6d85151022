"""Profiling many networks: how much longer it takes than the timed runs themselves.

Run: python benchmarks/profiling.py [--json FILE] [--models N] [--runs N] [--peer-models N] [--threads N]
Networks are random ones of the Once-for-All MobileNetV3 space. For the first figures they are built before the clock
starts, and measured as a series is: while one is loaded, the next is read. The peer is the usual way from a genotype to
a latency: torch modules are exported by torch's tracing exporter, and a new Python process for each model makes a
session, warms up with ten runs and times as many runs with `session.run`. It takes turns with ours, which writes the
graph and profiles it alone, over the first few networks, so that both see the same machine. So does a remote agent on
loopback, over all models: what it takes longer than the host profiler is the cost of the wire.
Aims: wall time at most 1.15 times the sum of the timed runs; 8 times the throughput of the peer; the wire at most 10 ms
a model.
"""

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from graph_speed import Weights, module_of, ours, shared_weights, theirs

from profilers.device import Device
from profilers.host import HostDevice
from profilers.host_profiler import HostProfiler
from profilers.measurement import Measurement
from profilers.profiler import Profiler
from profilers.remote import RemoteDevice
from profilers.remote_profiler import RemoteProfiler
from profilers.timing import TimingRule
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.genotypes import Population

AIM = 1.15
PIPELINE_AIM = 8.0
AGENT_AIM_MS = 10.0
TOKEN = "NAS_BENCHMARK_TOKEN"  # noqa: S105 - the name of a variable

PEER = """
import json, sys, time
import numpy as np
import onnxruntime as ort
path, runs, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
options = ort.SessionOptions()
options.intra_op_num_threads = threads
session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
given = session.get_inputs()[0]
feed = {given.name: np.random.default_rng(0).standard_normal([1, *given.shape[1:]], dtype=np.float32)}
for _ in range(10):
    session.run(None, feed)
times = []
for _ in range(runs):
    start = time.perf_counter()
    session.run(None, feed)
    times.append((time.perf_counter() - start) * 1e3)
print(json.dumps(times))
"""


def main() -> None:
    """Measure both sides, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument("--models", type=int, default=100, help="networks to profile (default: 100)")
    parser.add_argument("--runs", type=int, default=50, help="timed runs of each (default: 50)")
    parser.add_argument("--peer-models", type=int, default=8, help="networks that the peer times as well (default: 8)")
    parser.add_argument("--threads", type=int, default=1, help="threads of ONNX Runtime (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the networks (default: 0)")
    arguments = parser.parse_args()
    device = HostDevice(threads=arguments.threads)
    space = MobileNetV3()
    shared = shared_weights(space)
    rows = space.sample(arguments.models, np.random.default_rng(arguments.seed))
    models = [ours(space, shared, row) for row in rows]
    with HostProfiler(TimingRule(min_runs=arguments.runs, max_runs=arguments.runs)) as profiler:
        start_ms = started(profiler, models[0], device)
        all_models = profile_all(profiler, models, device)
        beside = compare(profiler, space, shared, rows[: arguments.peer_models], device, arguments.runs)
        agent = compare_agent(profiler, models, device, arguments.runs)
    figures = {
        "device": device.description,
        "models": len(models),
        "runs": arguments.runs,
        "first_model_ms": start_ms,
        **all_models,
        "aim": AIM,
        "beside_the_peer": beside,
        "agent_over_loopback": agent,
    }
    show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def started(profiler: HostProfiler, model: bytes, device: HostDevice) -> float:
    """Measure one model to start the worker; the milliseconds that it took, start included."""
    start = time.perf_counter()
    profiler.profile(model, device)
    return (time.perf_counter() - start) * 1e3


def profile_all(profiler: HostProfiler, models: list[bytes], device: HostDevice) -> dict[str, float]:
    """Profile all models, known beforehand as those of a series are, and say where the time went."""
    list(profiler.profile_all(models[:2], device))  # the second worker starts
    overheads, seen = [], []
    start = before = time.perf_counter()
    for outcome in profiler.profile_all(models, device):
        if not isinstance(outcome, Measurement):
            raise SystemExit(f"a network could not be measured: {outcome}")
        seen.append(outcome)
        overheads.append((time.perf_counter() - before) * 1e3 - outcome.samples_ms.sum())
        before = time.perf_counter()
    wall_ms = (time.perf_counter() - start) * 1e3
    timed_ms = float(sum(measurement.samples_ms.sum() for measurement in seen))
    return {
        "wall_ms": wall_ms,
        "timed_ms": timed_ms,
        "wall_over_timed": wall_ms / timed_ms,
        "median_ms": statistics.median(measurement.median_ms for measurement in seen),
        "model_megabytes": sum(map(len, models)) / len(models) / 1e6,
        "overhead_ms": statistics.median(overheads),
        "session_ms": statistics.median(measurement.session_ms for measurement in seen),
        "warmup_ms": statistics.median(measurement.warmup_runs * measurement.median_ms for measurement in seen),
        "warmup_runs": statistics.mean(measurement.warmup_runs for measurement in seen),
        "spread": statistics.median(measurement.spread for measurement in seen),
    }


def compare(
    profiler: HostProfiler, space: MobileNetV3, shared: Weights, rows: Population, device: HostDevice, runs: int
) -> dict[str, float]:
    """From genotype to latency, here and by the peer in turns; the peer's modules are built before its clock starts."""
    measured: list[Measurement] = []
    ours_s, export_s, process_s, peer_timed_s, peer_medians = 0.0, 0.0, 0.0, 0.0, []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        for row in rows:
            size = space.graph(row).inputs[0].shape[-1]
            module = module_of(space, shared, row)
            start = time.perf_counter()
            measured.append(profiler.profile(ours(space, shared, row), device))
            ours_s += time.perf_counter() - start
            start = time.perf_counter()
            path.write_bytes(theirs(module, size))
            export_s += time.perf_counter() - start
            start = time.perf_counter()
            command = [sys.executable, "-c", PEER, str(path), str(runs), str(device.threads)]
            times = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            process_s += time.perf_counter() - start
            peer_timed_s += sum(times) / 1e3
            peer_medians.append(statistics.median(times))
    ratios = [each.median_ms / peer for each, peer in zip(measured, peer_medians, strict=True)]
    ours_timed_s = sum(float(each.samples_ms.sum()) for each in measured) / 1e3
    return {
        "models": len(rows),
        "ours_models_per_s": len(rows) / ours_s,
        "peer_models_per_s": len(rows) / (export_s + process_s),
        "throughput_ratio": (export_s + process_s) / ours_s,
        "overhead_ratio": (export_s + process_s - peer_timed_s) / (ours_s - ours_timed_s),
        "peer_export_ms": export_s * 1e3 / len(rows),
        "peer_process_ms": process_s * 1e3 / len(rows),
        "ours_ms": ours_s * 1e3 / len(rows),
        "ours_timed_ms": ours_timed_s * 1e3 / len(rows),
        "peer_timed_ms": peer_timed_s * 1e3 / len(rows),
        "median_ratio": statistics.median(ratios),
        "median_ratio_lowest": min(ratios),
        "median_ratio_highest": max(ratios),
        "aim": PIPELINE_AIM,
    }


def compare_agent(profiler: HostProfiler, models: list[bytes], device: HostDevice, runs: int) -> dict[str, float]:
    """Profile each model here and through an agent on loopback in turns; the wire is how much longer that takes.

    On a machine that does other things as well, the processor time of both ends says more than the wall clock.
    """
    rule = TimingRule(min_runs=runs, max_runs=runs)
    command = [sys.executable, "-m", "profilers.agent", "--serve", "127.0.0.1:0", "--name", "loopback"]
    command += ["--token-env", TOKEN, "--threads", str(device.threads)]
    os.environ[TOKEN] = secrets.token_hex(32)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().split()[3].removesuffix(":")
        remote = RemoteDevice(address=address, token_env=TOKEN)
        with RemoteProfiler(rule) as wired:
            wired.profile(models[0], remote)
            agent = psutil.Process(process.pid)
            before = agent.cpu_times()
            here, there = Side(profiler, device), Side(wired, remote)
            for index, model in enumerate(models):
                for side in (here, there) if index % 2 else (there, here):
                    side.profile(model)
            after = agent.cpu_times()
    finally:
        process.terminate()
        process.communicate()
    agent_cpu_ms = (after.user + after.system - before.user - before.system) * 1e3
    wire = [distant - near for distant, near in zip(there.overheads_ms, here.overheads_ms, strict=True)]
    ratios = [distant / near for distant, near in zip(there.medians_ms, here.medians_ms, strict=True)]
    return {
        "models": len(models),
        "agent_overhead_ms": statistics.median(there.overheads_ms),
        "host_overhead_ms": statistics.median(here.overheads_ms),
        "wire_ms": statistics.median(wire),
        "wire_lower_quartile_ms": statistics.quantiles(wire, n=4)[0],
        "wire_cpu_ms": (there.cpu_ms + agent_cpu_ms - here.cpu_ms) / len(models),
        "median_ratio": statistics.median(ratios),
        "aim_ms": AGENT_AIM_MS,
    }


class Side:
    """One of two ways to a measurement, and what it costs beside the runs.

    Attributes:
        overheads_ms: wall clock of each model without its runs and its session.
        medians_ms: median run of each model.
        cpu_ms: processor time of this process for all models.
    """

    def __init__(self, profiler: Profiler, device: Device) -> None:
        self._profiler = profiler
        self._device = device
        self.overheads_ms: list[float] = []
        self.medians_ms: list[float] = []
        self.cpu_ms = 0.0

    def profile(self, model: bytes) -> None:
        """Profile a model."""
        start, cpu = time.perf_counter(), time.process_time()
        seen = self._profiler.profile(model, self._device)
        self.cpu_ms += (time.process_time() - cpu) * 1e3
        wall_ms = (time.perf_counter() - start) * 1e3
        runs_ms = float(seen.samples_ms.sum()) + seen.warmup_runs * seen.median_ms
        self.overheads_ms.append(wall_ms - runs_ms - seen.session_ms)
        self.medians_ms.append(seen.median_ms)


def show(figures: dict[str, object]) -> None:
    """Print the table."""
    beside = figures["beside_the_peer"]
    assert isinstance(beside, dict)
    print(f"{figures['models']} models, {figures['runs']} timed runs each")
    rows = (
        ("wall time / timed runs", "wall_over_timed", f"aim: at most {AIM}"),
        ("wall time, ms", "wall_ms", ""),
        ("timed runs, ms", "timed_ms", ""),
        ("one run, ms", "median_ms", "median of the medians"),
        ("overhead a model, ms", "overhead_ms", "all that is not a timed run"),
        ("  of it session, ms", "session_ms", "ONNX Runtime's own"),
        ("  of it warm-up, ms", "warmup_ms", f"{figures['warmup_runs']:.1f} runs on average"),
        ("spread (IQR / median)", "spread", "noise of this machine"),
        ("first model, ms", "first_model_ms", "with the start of the worker, paid once"),
    )
    for label, key, remark in rows:
        print(f"  {label:26} {figures[key]:12,.3f}  {remark}".rstrip())
    print(f"from genotype to latency beside tracing export and a new process, {beside['models']} networks in turns")
    rows = (
        ("ours, models a second", "ours_models_per_s", ""),
        ("peer, models a second", "peer_models_per_s", ""),
        ("ratio", "throughput_ratio", f"aim: at least {PIPELINE_AIM:g}; timed runs are a part of both sides"),
        ("ratio without timed runs", "overhead_ratio", "of all that is not a timed run"),
        ("ours, ms a model", "ours_ms", f"{beside['ours_timed_ms']:.1f} of it timed runs"),
        ("peer's export, ms", "peer_export_ms", "torch.onnx.export, tracing"),
        ("peer's process, ms", "peer_process_ms", f"{beside['peer_timed_ms']:.1f} of it timed runs"),
    )
    for label, key, remark in rows:
        print(f"  {label:26} {beside[key]:12,.3f}  {remark}".rstrip())
    low, high = beside["median_ratio_lowest"], beside["median_ratio_highest"]
    print(f"  median of a model, profiler / peer: {beside['median_ratio']:.3f} ({low:.3f} to {high:.3f})")
    agent = figures["agent_over_loopback"]
    assert isinstance(agent, dict)
    print(f"remote agent over loopback, {agent['models']} models in turns with the host profiler")
    print(f"  {'':26} {'agent':>10} {'host':>10}")
    print(f"  {'overhead a model, ms':26} {agent['agent_overhead_ms']:10.2f} {agent['host_overhead_ms']:10.2f}")
    print(f"  {'of it the wire, ms':26} {agent['wire_ms']:10.2f}  median; aim: at most {AGENT_AIM_MS:g}")
    print(f"  {'  lower quartile, ms':26} {agent['wire_lower_quartile_ms']:10.2f}")
    print(f"  {'  processor time, ms':26} {agent['wire_cpu_ms']:10.2f}  mean of both ends together")
    print(f"  median of a model, agent / host: {agent['median_ratio']:.3f}")


if __name__ == "__main__":
    main()
