"""How fast a job's page is: drawn first, kept up to date, and what each of its viewers costs the service.

    python benchmarks/dashboards.py [--evaluations 50000] [--seconds 5] [--viewers 4] [--json FILE]

A `nas serve` of its own, a headless Chromium, and a job of so many evaluations, which others follow at 20 a second.
Prints each figure beside what it should be; the exit code is 1 where one is not met. The first draw is the median of
five loads, updates and tasks are the longest that were seen. The machine has to be quiet.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil
from rich.console import Console
from rich.table import Table

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]

from looked_at import logged_in, make_large_job, tell  # the service and the jobs of the tests of pages
from playwright.sync_api import Page
from serving import Service

from storage.records import Lease, Outcome, Role
from storage.store import ResultStore
from tests.browsers import chromium

LOADS = 5
RATE = 20
BATCH = 4
AIMS = {
    "first_draw_ms": 1000.0,
    "update_ms": 100.0,
    "longest_task_ms": 200.0,
    "server_ms_per_event_ratio": 1.5,
}
WATCH = """() => {
  window.tasks = [];
  new PerformanceObserver((list) => tasks.push(...list.getEntries().map((each) => each.duration)))
    .observe({type: "longtask"});
  performance.clearMeasures("update");
}"""


def first_draws(page: Page, service: Service, job_id: str) -> list[float]:
    """Milliseconds from navigation to the drawn front, of several loads."""
    found = []
    for _ in range(LOADS):
        page.goto(f"{service.page}/jobs/{job_id}")
        page.locator("#charts details").wait_for(state="attached")
        found.append(page.evaluate("performance.getEntriesByName('front-drawn')[0].startTime"))
    return found


def told(store: ResultStore, job_id: str, seconds: float) -> int:
    """Add evaluations at the rate of the benchmark, for so long; how many."""
    lease = Lease(job_id, store.job(job_id).fence)
    start, count = store.job(job_id).evaluated, int(RATE * seconds)
    begun = time.monotonic()
    for first in range(start, start + count, BATCH):
        tell(store, lease, range(first, first + BATCH), lambda key, n: Outcome(
            key, {"accuracy": 0.5, "latency_ms@cpu": 20.0 + n % 7}, losses=[-0.5, 20.0 + n % 7]))  # fmt: skip
        time.sleep(max(0.0, begun + (first + BATCH - start) / RATE - time.monotonic()))
    return count


def followed(page: Page, store: ResultStore, job_id: str, seconds: float) -> tuple[float, float]:
    """The longest update and the longest task of a page that is open while evaluations come, in milliseconds."""
    page.locator("table#front tbody tr").first.wait_for()
    page.wait_for_load_state("networkidle")
    page.evaluate(WATCH)
    writing = threading.Thread(target=told, args=(store, job_id, seconds))
    writing.start()
    while writing.is_alive():
        page.wait_for_timeout(100)  # lets Playwright's own loop run
    page.get_by_text(f"{store.job(job_id).evaluated:,} of").first.wait_for()
    updates = page.evaluate("performance.getEntriesByName('update').map((each) => each.duration)")
    return max(updates), max(page.evaluate("tasks"), default=0.0)


@contextmanager
def viewers(service: Service, job_id: str, start: int, count: int) -> Iterator[None]:
    """So many followers of a job's events from an evaluation on, as pages are."""
    headers = {"Authorization": f"Bearer {service.token}"}
    clients = [httpx2.Client(base_url=f"{service.page}/v1", headers=headers, timeout=60) for _ in range(count)]

    def follow(client: httpx2.Client, ready: threading.Event) -> None:
        try:
            with client.stream("GET", f"/jobs/{job_id}/events", params={"start": start}) as answer:
                for _ in answer.iter_lines():
                    ready.set()
        except httpx2.HTTPError:
            pass  # closed below

    waiting = [threading.Event() for _ in clients]
    for client, ready in zip(clients, waiting, strict=True):
        threading.Thread(target=follow, args=(client, ready), daemon=True).start()
    for ready in waiting:
        ready.wait(60)
    try:
        yield
    finally:
        for client in clients:
            client.close()


def server_ms(service: Service, store: ResultStore, job_id: str, seconds: float, count: int) -> float:
    """Processor milliseconds of the service for one event to one viewer, beyond what it takes while nobody looks."""
    process = psutil.Process(service.process.pid)

    def used() -> float:
        times = process.cpu_times()
        return 1000 * (times.user + times.system)

    begun = used()
    told(store, job_id, seconds)
    alone = used() - begun
    with viewers(service, job_id, store.job(job_id).evaluated, count):
        begun = used()
        events = told(store, job_id, seconds)
        return (used() - begun - alone) / (events * count)


def main() -> int:
    """Measure, print and compare with the aims."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evaluations", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--viewers", type=int, default=4)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder))
        try:
            with ResultStore(service.url) as store, chromium() as browser, browser.new_context() as context:
                small, large = make_large_job(service, 100), make_large_job(service, given.evaluations)
                page = logged_in(context, service, Role.SUBMIT)
                draws = first_draws(page, service, large)
                update, task = followed(page, store, large, given.seconds)
                page.goto("about:blank")
                few, many = (server_ms(service, store, job, given.seconds, given.viewers) for job in (small, large))
        finally:
            service.stop()
    figures = {
        "first_draw_ms": statistics.median(draws),
        "update_ms": update,
        "longest_task_ms": task,
        "server_ms_per_event_of_100": few,
        f"server_ms_per_event_of_{given.evaluations}": many,
        "server_ms_per_event_ratio": many / few,
    }
    table = Table("figure", "measured", "at most", title=f"the page of a job of {given.evaluations:,} evaluations")
    for name, value in figures.items():
        table.add_row(name, f"{value:.4g}", f"{AIMS[name]:g}" if name in AIMS else "")
    Console().print(table)
    if given.json:
        given.json.write_text(json.dumps({"figures": figures, "first_draws_ms": draws, "aims": AIMS}, indent=2) + "\n")
    return int(any(figures[name] > aim for name, aim in AIMS.items()))


if __name__ == "__main__":
    sys.exit(main())
