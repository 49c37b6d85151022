"""What happens to a model when its browser is closed, reloaded, hidden, cut off or crashes: it is measured once."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Error, Page, expect

from profilers.cancellation import Cancellation
from profilers.errors import ProfilingFailed
from profilers.measurement import Measurement
from profilers.remote_profiler import RemoteProfiler
from profilers.timing import TimingRule
from tests.browsers import Service, end, join, start_service
from tests.profilers import onnx_models
from tests.profilers.agents import token_file

LONG = TimingRule(min_runs=1000, max_runs=1000)
"""Some seconds of a small network: time enough to lose it."""

MODEL = onnx_models.conv_net(layers=2, size=40)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """A thread for the job."""
    with ThreadPoolExecutor(1) as threads:
        yield threads


def begin(pool: ThreadPoolExecutor, service: Service, name: str, page: Page) -> Future[Measurement]:
    """Start a long measurement, and wait until the page is in the middle of it."""

    def measure() -> Measurement:
        with RemoteProfiler(LONG) as profiler:
            return profiler.profile(MODEL, service.device(name))

    future = pool.submit(measure)
    expect(page.get_by_role("status")).to_have_text("Measuring a model.", timeout=20_000)
    return future


def complete(future: Future[Measurement], page: Page, measured: int = 1) -> None:
    """Wait for the measurement; the page says that it was counted so often."""
    expect(page.locator("#measured")).to_have_text(str(measured), timeout=60_000)
    assert future.result().runs == LONG.min_runs


def test_tab_is_closed(context: BrowserContext, service: Service, pool: ThreadPoolExecutor) -> None:
    """Who closes the tab and opens it again finds the same model there."""
    page = join(context, service, "closed")
    future = begin(pool, service, "closed", page)
    page.close(run_before_unload=False)
    again = context.new_page()
    again.goto(service.page)
    complete(future, again)


def test_page_is_reloaded(context: BrowserContext, service: Service, pool: ThreadPoolExecutor) -> None:
    """A reload begins anew with the same model."""
    page = join(context, service, "reloaded")
    future = begin(pool, service, "reloaded", page)
    page.reload()
    complete(future, page)


@pytest.mark.slow
def test_tab_crashes(context: BrowserContext, service: Service, pool: ThreadPoolExecutor) -> None:
    """A tab that dies without a word loses the model after ten seconds of silence, and another gets it."""
    page = join(context, service, "crashed")
    future = begin(pool, service, "crashed", page)
    with page.expect_event("crash"), suppress(Error):  # the command dies with the tab
        page.goto("chrome://crash", timeout=5_000)
    again = context.new_page()
    again.goto(service.page)
    complete(future, again)


def test_network_is_lost(context: BrowserContext, service: Service, pool: ThreadPoolExecutor) -> None:
    """A network that is away for a moment costs nothing: the answer is sent when it is back."""
    page = join(context, service, "offline")
    future = begin(pool, service, "offline", page)
    context.set_offline(True)
    expect(page.get_by_role("status")).to_have_text("No contact with the service; trying again.", timeout=60_000)
    context.set_offline(False)
    complete(future, page)


def test_page_is_hidden(context: BrowserContext, service: Service, pool: ThreadPoolExecutor) -> None:
    """What is measured while the page is hidden would be slow: it is handed back, and begins anew afterwards."""
    page = join(context, service, "hidden")
    page.evaluate("Object.defineProperty(document, 'visibilityState', { get: () => globalThis.look ?? 'visible' })")
    future = begin(pool, service, "hidden", page)
    show = "(how) => { globalThis.look = how; document.dispatchEvent(new Event('visibilitychange')); }"
    page.evaluate(show, "hidden")
    expect(page.get_by_text("Paused: this page is hidden.")).to_be_visible()
    expect(page.locator("#returned")).to_have_text("1")
    page.evaluate(show, "visible")
    complete(future, page)


def test_cancelled(context: BrowserContext, service: Service, pool: ThreadPoolExecutor) -> None:
    """The page stops at once when the job does not want the model any more."""
    page = join(context, service, "cancelled")
    cancellation = Cancellation()

    def measure() -> None:
        with RemoteProfiler(LONG) as profiler:
            profiler.profile(onnx_models.endless_loop(), service.device("cancelled"), cancellation=cancellation)

    future = pool.submit(measure)
    expect(page.get_by_role("status")).to_have_text("Measuring a model.", timeout=20_000)
    cancellation.cancel()
    with pytest.raises(ProfilingFailed, match="cancelled"):
        future.result(20)
    expect(page.get_by_text("Ready")).to_be_visible(timeout=3_000)
    expect(page.locator("#measured")).to_have_text("0")


def test_service_is_started_anew(tmp_path: Path, context: BrowserContext, pool: ThreadPoolExecutor) -> None:
    """Page and job find a service again that was killed and started again with the same code and addresses."""
    token = token_file(tmp_path)
    service = start_service(token, "--code", "SAME-CODE")
    try:
        page = join(context, service, "restarted")
        future = begin(pool, service, "restarted", page)
        service.process.kill()
        service.process.communicate()
        address = service.page.split("/")[2]
        service = start_service(token, "--code", "SAME-CODE", page=address, serve=service.address)
        complete(future, page)
    finally:
        end(service)
