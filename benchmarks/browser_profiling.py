"""Profiling in a browser: what the way there and back costs, what threads gain, and whether it replicates.

Run: python benchmarks/browser_profiling.py [--json FILE] [--models N] [--threads N] [--chromium PROGRAM]
Networks are random ones of the Once-for-All MobileNetV3 space at 224 px. A headless Chromium joins a service over
loopback and measures each of them with one thread, again in reverse order, and with several threads; the host profiler
takes its turn after each model, so that both see the same machine. The overhead is the wall time of a model without
its timed runs and without its warm-up: check, transfer, session, and the page's own steps.
Needs playwright, a Chromium, and the files of `nas browser-agent install`.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from graph_speed import ours, shared_weights
from playwright.sync_api import Page, sync_playwright
from scipy.stats import spearmanr

from profilers.browser import BrowserDevice
from profilers.device import Device
from profilers.host import HostDevice
from profilers.host_profiler import HostProfiler
from profilers.measurement import Measurement
from profilers.profiler import Profiler
from profilers.remote_profiler import RemoteProfiler
from search_spaces.families.mobilenet_v3 import MobileNetV3

TOKEN = "NAS_BENCHMARK_TOKEN"  # noqa: S105 - the name of a variable
NAME = "benchmark"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    given = parser.parse_args()
    os.environ.setdefault(TOKEN, secrets.token_hex(32))
    command = [sys.executable, "-m", "nas", "browser-agent", "serve", "--token-env", TOKEN]
    addresses = ["--page", "127.0.0.1:0", "--serve", "127.0.0.1:0"]
    service = subprocess.Popen([*command, *addresses], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert service.stdout is not None
    page_url, address = (service.stdout.readline().split()[-1] for _ in range(2))
    try:
        with sync_playwright() as playwright:
            options = ["--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage"]
            browser = playwright.chromium.launch(executable_path=given.chromium, args=options)
            join(browser.new_page(), page_url)
            figures = measured(address, models(given.models), given.threads)
            browser.close()
    finally:
        service.terminate()
        service.wait()
    for name, value in figures.items():
        print(f"{name:32} {value}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


def models(count: int) -> list[bytes]:
    """Random networks as files."""
    space = MobileNetV3()
    weights = shared_weights(space)
    return [ours(space, weights, row) for row in space.sample(count, np.random.default_rng(0))]


def join(page: Page, url: str) -> None:
    """Open the page and join."""
    page.goto(url)
    page.get_by_label("Name of this device").fill(NAME)
    page.get_by_role("button", name="Join").click()
    page.get_by_text("Ready").wait_for()


def measured(address: str, networks: Sequence[bytes], threads: int) -> dict[str, object]:
    """Measure all models in all ways."""
    single = BrowserDevice(name=NAME, address=address, token_env=TOKEN)
    several = BrowserDevice(name=NAME, address=address, token_env=TOKEN, threads=threads)
    with RemoteProfiler() as there, HostProfiler() as here:
        timed(there, networks[0], single)  # starts the runtime
        timed(here, networks[0], HostDevice())
        first, host = [], []
        for model in networks:
            first.append(timed(there, model, single))
            host.append(timed(here, model, HostDevice()))
        second = [timed(there, model, single) for model in networks[::-1]][::-1]
        timed(there, networks[0], several)
        more = [timed(there, model, several) for model in networks]
    one, again, native, quick = (medians(column) for column in (first, second, host, more))
    fastest = [np.array([seen.samples_ms.min() for seen, _ in column]) for column in (first, more, second)]
    ratios = again / one
    return {
        "models": len(networks),
        "megabytes": round(sum(map(len, networks)) / len(networks) / 1e6, 1),
        "browser_median_ms": round(float(np.median(one)), 2),
        "host_median_ms": round(float(np.median(native)), 2),
        "browser_over_host": round(float(np.median(one / native)), 2),
        "spearman_with_host": round(float(spearmanr(one, native).statistic), 3),
        "spearman_with_itself": round(float(spearmanr(one, again).statistic), 3),
        "again_within_5_percent": within(ratios),
        "fastest_again_within_5_percent": within(fastest[2] / fastest[0]),
        "again_over_first_median": round(float(np.median(ratios)), 3),
        "overhead_ms": round(float(np.median([overhead for _, overhead in first])), 1),
        "session_ms": round(float(np.median([seen.session_ms for seen, _ in first])), 1),
        "host_overhead_ms": round(float(np.median([overhead for _, overhead in host])), 1),
        f"threads_{threads}_median_ms": round(float(np.median(quick)), 2),
        f"speed_up_of_{threads}_threads": round(float(np.median(one / quick)), 2),
        "the_same_of_fastest_runs": round(float(np.median(fastest[0] / fastest[1])), 2),
        "browser_ms": [round(value, 2) for value in one.tolist()],
        "host_ms": [round(value, 2) for value in native.tolist()],
        "load_average": os.getloadavg()[0],
    }


def timed(profiler: Profiler, model: bytes, device: Device) -> tuple[Measurement, float]:
    """Measure a model; its measurement, and the milliseconds that went to anything but runs."""
    start = time.perf_counter()
    seen = profiler.profile(model, device)
    wall_ms = (time.perf_counter() - start) * 1e3
    runs_ms = seen.samples_ms.sum() * seen.runs_per_sample + seen.warmup_runs * seen.median_ms
    return seen, wall_ms - float(runs_ms)


def within(ratios: np.ndarray) -> str:
    """How many of some ratios, (models,), are 1 within five percent."""
    return f"{int((np.abs(ratios - 1) <= 0.05).sum())} of {len(ratios)}"


def medians(column: Sequence[tuple[Measurement, float]]) -> np.ndarray:
    """The medians, (models,), in milliseconds."""
    return np.array([seen.median_ms for seen, _ in column])


if __name__ == "__main__":
    main()
