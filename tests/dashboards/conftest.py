"""A browser and a service for the tests of pages."""

from collections.abc import Iterator

import pytest
from looked_at import logged_in
from playwright.sync_api import Browser, BrowserContext, Page
from serving import Service as Served

from storage.records import Role
from storage.store import ResultStore
from tests.browsers import Service, browser_service, chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    with chromium() as launched:
        yield launched


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that nobody has used before."""
    opened = browser.new_context()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests; each takes another name."""
    with browser_service(tmp_path_factory.mktemp("service"), "--host", "phone.test") as started:
        yield started


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One `nas serve` for all tests; each makes jobs of its own, and what runs is one at a time."""
    started = Served(tmp_path_factory.mktemp("served"), "--join", "http://laptop.test:7412/#code=ABCD-EFGH")
    yield started
    started.stop()


@pytest.fixture(scope="session")
def store(served: Served) -> Iterator[ResultStore]:
    """The store of the service, for what a search would take long to make."""
    with ResultStore(served.url) as opened:
        yield opened


@pytest.fixture
def page(context: BrowserContext, served: Served) -> Page:
    """A new page of a browser in which a submitter is logged in."""
    return logged_in(context, served, Role.SUBMIT)
