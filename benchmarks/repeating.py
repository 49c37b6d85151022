"""Why two measurements of one network differ: the moment, the session, or the runs.

Run: python benchmarks/repeating.py [--json FILE] [--networks N] [--sessions N] [--rounds N] [--seed N]
Several ONNX Runtime sessions of each of a few random networks of the Once-for-All MobileNetV3 space are open at once,
and in each round all are timed in random order. What a round does to all networks alike leaves their ranks as they are;
what a session keeps over all rounds, as by the memory that it happened to get, would call for several sessions in one
measurement; what remains is the moment. Standard deviations, relative, from a nested analysis of variance.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
from graph_speed import ours, shared_weights
from numpy.typing import NDArray

from search_spaces.families.mobilenet_v3 import MobileNetV3

RUNS = 15


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument("--networks", type=int, default=8, help="networks (default: 8)")
    parser.add_argument("--sessions", type=int, default=4, help="sessions of each (default: 4)")
    parser.add_argument("--rounds", type=int, default=6, help="times that each is timed (default: 6)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the networks and the order (default: 0)")
    given = parser.parse_args()
    space, rng = MobileNetV3(), np.random.default_rng(given.seed)
    weights = shared_weights(space)
    networks = [ours(space, weights, row) for row in space.sample(given.networks, rng)]
    opened = [[session(network) for _ in range(given.sessions)] for network in networks]
    places = [(network, number) for network in range(given.networks) for number in range(given.sessions)]
    medians = np.empty((given.networks, given.sessions, given.rounds))
    for turn in range(given.rounds):
        for network, number in rng.permutation(places).tolist():
            medians[network, number, turn] = median_ms(opened[network][number])
    figures = parts(np.log(medians))
    print(f"{given.networks} networks, {given.sessions} sessions of each, {given.rounds} rounds of {RUNS} runs")
    for name, remark in (
        ("round", "all networks alike: ranks stay"),
        ("session", "the same in all rounds: another session of the network is another value"),
        ("moment", "neither"),
    ):
        print(f"  {name:8} {figures[name]:8.4f}  {remark}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


def session(network: bytes) -> Callable[[], object]:
    """What runs a network once, in a session of its own."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_free_dimension_override_by_name("N", 1)
    made = ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    given, binding = made.get_inputs()[0], made.io_binding()
    image = np.random.default_rng(0).standard_normal([1, *given.shape[1:]], dtype=np.float32)
    binding.bind_ortvalue_input(given.name, ort.OrtValue.ortvalue_from_numpy(image))
    binding.bind_output(made.get_outputs()[0].name, "cpu")
    return lambda: made.run_with_iobinding(binding)


def median_ms(run: Callable[[], object]) -> float:
    """The median of a few runs, after two that do not count."""
    times = []
    for _ in range(RUNS + 2):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return float(np.median(times[2:]))


def parts(logs: NDArray[np.float64]) -> dict[str, float]:
    """Standard deviations of the parts of logarithmic times (networks, sessions, rounds).

    The mean square of sessions within networks holds that of the moment as well, which is taken off.
    """
    networks, sessions, rounds = logs.shape
    rest = logs - logs.mean((1, 2), keepdims=True)
    common = rest.mean((0, 1))
    rest = rest - common
    kept = rest.mean(2)  # (networks, sessions)
    moment = ((rest - kept[:, :, None]) ** 2).sum() / (networks * sessions * (rounds - 1) - rounds + 1)
    between = (kept**2).sum() / (networks * (sessions - 1))
    variances = {
        "round": max(float(common.var(ddof=1) - moment / (networks * sessions)), 0.0),
        "session": max(float(between - moment / rounds), 0.0),
        "moment": float(moment),
    }
    return {name: variance**0.5 for name, variance in variances.items()}


if __name__ == "__main__":
    main()
