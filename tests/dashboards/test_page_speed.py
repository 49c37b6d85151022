"""A job of 50,000 evaluations: how soon it is drawn, and that the page stays responsive while more arrive.

Times are the best of at most eight, because the machine is shared: a try that is slow is made again.
"""

import time

import httpx2
import pytest
from looked_at import make_large_job, tell
from playwright.sync_api import Page
from serving import Service

from storage.records import Lease, Outcome
from storage.store import ResultStore

pytestmark = pytest.mark.slow

MANY = 50_000
FIRST_MS, UPDATE_MS, TASK_MS = 1000, 100, 200
TRIES = 8

WATCH = """() => {
  window.tasks = [];
  new PerformanceObserver((list) => tasks.push(...list.getEntries().map((each) => each.duration)))
    .observe({type: "longtask"});
  performance.clearMeasures("update");
}"""


def test_many_evaluations(page: Page, served: Service, store: ResultStore, record_property) -> None:
    """Drawn within a second; then 20 evaluations a second for two seconds, each drawn without a long task."""
    job_id = make_large_job(served, MANY)
    first: list[float] = []
    while len(first) < TRIES and min(first, default=FIRST_MS) >= FIRST_MS:
        page.goto(f"{served.page}/jobs/{job_id}")
        page.locator("#charts details").wait_for(state="attached")
        first.append(page.evaluate("performance.getEntriesByName('front-drawn')[0].startTime"))
    page.locator("table#front tbody tr").first.wait_for()
    page.wait_for_timeout(1000)
    lease = Lease(job_id, store.job(job_id).fence)
    longest: list[float] = []
    updates: list[float] = []
    while len(longest) < TRIES and not (min(longest, default=TASK_MS) < TASK_MS and min(updates) < UPDATE_MS):
        attempt = len(longest)
        page.evaluate(WATCH)
        start = MANY + 40 * attempt
        begun = time.monotonic()
        for number in range(start, start + 40, 4):
            tell(store, lease, range(number, number + 4), lambda key, n: Outcome(
                key, {"accuracy": 0.5, "latency_ms@cpu": 20.0 + n % 7}, losses=[-0.5, 20.0 + n % 7]))  # fmt: skip
            page.wait_for_timeout(max(0.0, 1000 * (begun + (number + 4 - start) / 20 - time.monotonic())))
        page.get_by_text(f"{start + 40:,} of").first.wait_for()
        longest.append(max(page.evaluate("tasks"), default=0.0))
        updates.append(max(page.evaluate("performance.getEntriesByName('update').map((each) => each.duration)")))
    found = {"first_ms": min(first), "update_ms": min(updates), "longest_task_ms": min(longest)}
    record_property("speed", found)
    print(found, first, updates, longest)
    assert found["first_ms"] < FIRST_MS, first
    assert found["update_ms"] < UPDATE_MS, updates
    assert found["longest_task_ms"] < TASK_MS, longest


def test_too_many_are_thinned(page: Page, served: Service) -> None:
    """More than can be looked at: every so many-th and the front, which the page says; the rest is not sent."""
    job_id = make_large_job(served, 120_000)
    page.goto(f"{served.page}/jobs/{job_id}")
    page.locator("#notice").get_by_text("of 120,000 evaluations are shown: one in 3, and the front.").wait_for()


def test_a_viewer_costs_what_is_new(served: Service) -> None:
    """Following from the end of 50,000 evaluations reads none of them again: as fast as in an empty job."""
    job_id = make_large_job(served, MANY - 1)
    headers = {"Authorization": f"Bearer {served.token}"}
    with httpx2.Client(base_url=f"{served.page}/v1", headers=headers, timeout=60) as client:
        answer = client.get(f"/jobs/{job_id}/points", params={"start": MANY - 1})
        assert len(answer.content) < 10_000
        whole = client.get(f"/jobs/{job_id}/points")
        assert len(whole.content) > (MANY - 1) * 4 * 8
        client.get("/progress", params={"job": job_id})

        def seconds() -> float:
            begun = time.perf_counter()
            client.get("/progress", params={"job": job_id})
            client.get(f"/jobs/{job_id}/points", params={"start": MANY - 1})
            return time.perf_counter() - begun

        assert min(seconds() for _ in range(5)) < 0.2
