"""The page on which browsers join: who gets in, what it shows, and what it lets nobody else do."""

import http.client
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

import dashboards.browsers
from dashboards.browsers.headers import MAX_BODY_BYTES
from tests.browsers import Service, join

STATIC = Path(dashboards.browsers.__file__).parent / "static"


def open_page(context: BrowserContext, service: Service) -> Page:
    """The page, as one opens it who types the code."""
    page = context.new_page()
    page.goto(service.page)
    return page


def request(
    service: Service, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, str, dict[str, str]]:
    """One HTTP request: status, text and headers of the answer."""
    connection = http.client.HTTPConnection(urlsplit(service.page).netloc, timeout=20)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace"), {k.lower(): v for k, v in answer.getheaders()}
    finally:
        connection.close()


def test_join_with_the_keyboard(context: BrowserContext, service: Service) -> None:
    """From the page to a joined device with keys alone; the code may be typed in small letters and without a dash."""
    page = open_page(context, service)
    page.keyboard.press("Tab")
    page.keyboard.type(service.code.lower().replace("-", ""))
    page.keyboard.press("Tab")
    page.keyboard.type("keys")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Join")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Ready: waiting for a model.")
    expect(page.get_by_role("heading", name="keys")).to_be_visible()
    assert service.device("keys").description["browser"] == "keys"


def test_wrong_code(context: BrowserContext, service: Service) -> None:
    """A wrong code is told, and nobody has joined."""
    page = open_page(context, service)
    page.get_by_label("Join code").fill("WRONG-CODE")
    page.get_by_label("Name of this device").fill("stranger")
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("alert")).to_have_text("this is not the code that the service shows")
    expect(page.get_by_role("status")).to_be_hidden()


def test_name_is_taken(browser: Browser, context: BrowserContext, service: Service) -> None:
    """Two browsers cannot have one name at a time; when the first has left, its name is free."""
    first = join(context, service, "taken")
    with browser.new_context() as other:
        page = open_page(other, service)
        page.get_by_label("Join code").fill(service.code)
        page.get_by_label("Name of this device").fill("taken")
        page.get_by_role("button", name="Join").click()
        expect(page.get_by_role("alert")).to_have_text("a device named 'taken' is there already; choose another name")
        first.get_by_role("button", name="Leave").click()
        expect(first.get_by_role("button", name="Join")).to_be_visible()
        page.get_by_role("button", name="Join").click()
        expect(page.get_by_text("Ready")).to_be_visible()


def test_reload_and_second_tab(context: BrowserContext, service: Service) -> None:
    """After a reload the page goes on by itself; a second tab of the same browser takes over."""
    page = join(context, service, "tabs")
    page.reload()
    expect(page.get_by_text("Ready")).to_be_visible()
    second = context.new_page()
    second.goto(service.page)
    expect(second.get_by_text("Ready")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_text(
        "This device goes on in another tab or window; this one has stopped."
    )


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_looks(browser: Browser, service: Service, width: int, scheme: str) -> None:
    """Nothing is cut off at the width of a phone, and text is readable in both schemes."""
    with browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme) as context:
        page = join(context, service, f"looks-{width}-{scheme}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        colours = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        text, ground = (luminance(colour) for colour in colours)
        assert (max(text, ground) + 0.05) / (min(text, ground) + 0.05) > 7
        assert (ground < text) == (scheme == "dark")


def luminance(colour: str) -> float:
    """Relative luminance of a colour, as WCAG 2 defines it."""
    channels = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_page_is_isolated_and_quiet(context: BrowserContext, service: Service) -> None:
    """The page has threads and a fine clock, asks no other server for anything, and nothing on it breaks its policy."""
    asked: list[str] = []
    said: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    context.on("console", lambda message: said.append(message.text))
    page = join(context, service, "isolated")
    assert page.evaluate("self.crossOriginIsolated") is True
    assert asked
    assert all(url.startswith(service.page) for url in asked)
    assert not [text for text in said if "Content Security Policy" in text]
    assert not [name for name in STATIC.iterdir() if "http" in name.read_text().replace("HTTP", "")]


def test_headers(service: Service) -> None:
    """Every answer carries the strict policy, errors included."""
    for path in ("/", "/main.js", "/worker.js", "/nothing-here", "/leases"):
        _, _, headers = request(service, "GET", path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "'unsafe" not in policy
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-embedder-policy"] == "require-corp"
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "headers, status, message",
    [
        ({"Host": "evil.test"}, 403, "this service is not called 'evil.test'"),
        ({"Host": "[::1"}, 403, "this service is not called ''"),
        ({"Origin": "http://evil.test"}, 403, "requests from other sites are not answered"),
        ({"Authorization": "Bearer nobody"}, 401, "this page has not joined"),
        ({}, 401, "Not authenticated"),
    ],
)
def test_strangers(service: Service, headers: dict[str, str], status: int, message: str) -> None:
    """What comes from elsewhere, or without a key, is not answered."""
    found, text, _ = request(service, "POST", "/leases", b"{}", **headers)
    assert (found, message in text) == (status, True), text


def test_nonsense(service: Service) -> None:
    """Facts that make no sense, unknown keys and endless bodies are refused."""
    facts = {"agent": "a", "platform": "", "cores": 2, "memory_gib": 0, "isolated": True, "gpu": "", "runtime": "1"}
    asked = {"code": service.code, "name": "nonsense", "facts": facts}
    for change in ({"facts": {**facts, "cores": 0}}, {"more": 1}, {"name": "a" * 101}):
        assert request(service, "POST", "/join", json.dumps(asked | change).encode())[0] == 422
    status, text, _ = request(service, "POST", "/join", json.dumps(asked | {"name": "no spaces"}).encode())
    assert (status, "name must be 1 to 64 letters" in text) == (422, True)
    status, text, _ = request(service, "POST", "/join", b" " * (MAX_BODY_BYTES + 1))
    assert (status, "at most" in text) == (413, True)
