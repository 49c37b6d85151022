"""A real Chromium, and the service whose page it opens."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, BrowserType, Page, expect, sync_playwright

from profilers.browser import BrowserDevice
from tests.profilers.agents import token_file

expect.set_options(timeout=20_000)  # the machine is shared with other tests

OPTIONS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP phone.test 127.0.0.1",  # a name that is not localhost's, so that a page is not isolated
)


@contextmanager
def chromium(*options: str) -> Iterator[Browser]:
    """A headless Chromium of the system."""
    with sync_playwright() as playwright, launched(playwright.chromium, *options) as browser:
        yield browser


@contextmanager
def launched(kind: BrowserType, *options: str) -> Iterator[Browser]:
    """A further Chromium, beside one that runs."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        pytest.fail(f"a browser is needed: none of {', '.join(names)} is installed (`make test` installs chromium)")
    browser = kind.launch(executable_path=found, args=[*OPTIONS, *options])
    try:
        yield browser
    finally:
        browser.close()


@dataclass
class Service:
    """A service in a process of its own.

    Attributes:
        page: address of the page.
        code: what has to be typed there.
        address: where jobs reach it.
        token: file with what jobs have to know.
    """

    process: subprocess.Popen[str]
    page: str
    code: str
    address: str
    token: Path

    def device(self, name: str = "laptop", **settings: object) -> BrowserDevice:
        """A browser that has joined here."""
        return BrowserDevice(name=name, address=self.address, token_file=str(self.token), **settings)


def start_service(
    token: Path, *options: str, page: str = "127.0.0.1:0", serve: str = "127.0.0.1:0", log: int = subprocess.DEVNULL
) -> Service:
    """Start a service."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from nas.cli.main import main; main()", "browser-agent", "serve"),
            *("--page", page, "--serve", serve, "--token-file", str(token), *options),
        ],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    assert process.stdout is not None
    first, second = process.stdout.readline(), process.stdout.readline()
    assert first.startswith("browsers join at "), first
    address, code = first.split()[-1].split("#code=")
    return Service(process, address, code, second.split()[-1], token)


def end(service: Service) -> None:
    """End a service and wait for it."""
    service.process.send_signal(signal.SIGTERM)
    service.process.communicate()


@contextmanager
def browser_service(folder: Path, *options: str) -> Iterator[Service]:
    """A service that runs meanwhile."""
    service = start_service(token_file(folder), *options)
    try:
        yield service
    finally:
        end(service)


def join(context: BrowserContext, service: Service, name: str = "laptop", page: str | None = None) -> Page:
    """Open the page and join as a device."""
    opened = context.new_page()
    opened.goto(f"{page or service.page}#code={service.code}")
    opened.get_by_label("Name of this device").fill(name)
    opened.get_by_role("button", name="Join").click()
    opened.get_by_text("Ready").wait_for()
    return opened
