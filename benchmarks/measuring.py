"""Whether a measurement can be trusted: the same networks measured twice, and beside a plain script.

Run: python benchmarks/measuring.py [--json FILE] [--networks N] [--between-s S] [--seed N]
Random networks of the Once-for-All MobileNetV3 space at one thread. They are measured in series between references,
then, `--between-s` seconds later, again in reverse order; the ranks of both must agree (Spearman at least 0.99). Then a
plain script that calls onnxruntime in this process and the profiler measure each network in turns; the median of the
ratios should be within 3 % of 1. The same networks in 8-bit integers stand beside them.
"""

import argparse
import json
import statistics
import threading
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
from graph_speed import ours, shared_weights
from scipy.stats import spearmanr

from profilers.host import HostDevice
from profilers.host_profiler import HostProfiler
from profilers.measurement import Measurement
from profilers.series import Series
from search_spaces.families.mobilenet_v3 import MobileNetV3

RANKS_AIM = 0.99
RATIO_AIM = 0.03
DIRECT_RUNS = 50


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument("--networks", type=int, default=30, help="networks (default: 30)")
    parser.add_argument("--between-s", type=float, default=0.0, help="seconds between both times (default: 0)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the networks (default: 0)")
    arguments = parser.parse_args()
    space = MobileNetV3()
    weights = shared_weights(space)
    rows = space.sample(arguments.networks, np.random.default_rng(arguments.seed))
    models = [ours(space, weights, row) for row in rows]
    with HostProfiler() as profiler:
        series = Series(profiler, HostDevice())
        once = measurements(series, models)
        threading.Event().wait(arguments.between_s)
        again = measurements(series, models[::-1])[::-1]
        ratios = [beside(profiler, model) for model in models]
        integers = measurements(Series(profiler, HostDevice(precision="int8")), models[:10])
    first, second, eighths = ([each.median_ms for each in seen] for seen in (once, again, integers))
    stable = [one.stable and other.stable for one, other in zip(once, again, strict=True)]
    figures = {
        "networks": len(models),
        "spearman": float(spearmanr(first, second).statistic),
        "stable": sum(stable),
        "median_change": statistics.median(abs(b / a - 1) for a, b in zip(first, second, strict=True)),
        "noise": series.noise,
        "direct_ratio": statistics.median(ratios),
        "direct_ratio_quartiles": statistics.quantiles(ratios, n=4),
        "int8_speedups": [a / b for a, b in zip(second, eighths, strict=False)],
    }
    print(f"{figures['networks']} networks, measured twice, the second time in reverse order")
    print(f"  Spearman of both times       {figures['spearman']:8.4f}  aim: at least {RANKS_AIM}")
    print(f"  stable both times            {figures['stable']:8d}  of {figures['networks']}")
    print(f"  median change                {figures['median_change']:8.4f}")
    print(f"  noise floor of the device    {series.noise or 0:8.4f}  of the reference, by drift or disturbance")
    print(f"  profiler / plain script      {figures['direct_ratio']:8.4f}  median; aim: within {RATIO_AIM} of 1")
    print(f"  speed-up by 8-bit integers   {statistics.median(figures['int8_speedups']):8.4f}  median of ten")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def measurements(series: Series, models: list[bytes]) -> list[Measurement]:
    """What each model takes."""
    found = []
    for outcome in series.measure(models):
        if not isinstance(outcome, Measurement):
            raise SystemExit(f"a network could not be measured: {outcome}")
        found.append(outcome)
    return found


def beside(profiler: HostProfiler, model: bytes) -> float:
    """What the profiler measures over what a plain script does, one right after the other."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    feed = {given.name: np.random.default_rng(0).standard_normal([1, *given.shape[1:]], dtype=np.float32)}
    for _ in range(10):
        session.run(None, feed)
    times = []
    for _ in range(DIRECT_RUNS):
        start = time.perf_counter()
        session.run(None, feed)
        times.append((time.perf_counter() - start) * 1e3)
    return profiler.profile(model, HostDevice()).median_ms / statistics.median(times)


if __name__ == "__main__":
    main()
