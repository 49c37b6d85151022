"""What all pages have in common: who gets in, what they may load, how they look, and what happens when things break."""

import json
import re
from pathlib import Path

import httpx2
import pytest
from axe import serious
from looked_at import HOSTILE, logged_in, make_job, shoot
from playwright.sync_api import Browser, BrowserContext, Page, expect
from serving import Service

import dashboards
from storage.records import Role
from storage.store import ResultStore

pytestmark = pytest.mark.slow

WIDTHS, SCHEMES = (360, 1920), ("light", "dark")


def test_log_in_with_the_keyboard(context: BrowserContext, served: Service) -> None:
    """A page sends a stranger to the log-in, a wrong token is told, a right one leads back to the page."""
    page = context.new_page()
    page.goto(f"{served.page}/compare?job=a&job=b")
    expect(page).to_have_url(re.compile(r"/login\?next=%2Fcompare%3Fjob%3Da%26job%3Db$"))
    expect(page.get_by_label("Token")).to_be_focused()
    page.keyboard.type("nas_wrong_token")
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_have_text("this token is not known, or its time is over")
    assert serious(page) == []
    page.get_by_label("Token").fill(served.new_token(Role.READ))
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Log in")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{served.page}/compare?job=a&job=b")
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(f"{served.page}/login")
    page.goto(f"{served.page}/devices")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


@pytest.mark.parametrize(
    "place", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_the_log_in_leads_nowhere_else(served: Service, place: str) -> None:
    """A link to the log-in cannot name another site as the page to go on to."""
    answer = httpx2.get(f"{served.page}/login", params={"next": place})
    assert re.findall(r'data-next="([^"]*)"', answer.text) == ["/"]


def test_headers(served: Service) -> None:
    """Pages, their files and errors carry a strict policy, and the cookie is no script's business."""
    for path in ("/login", "/static/jobs.js", "/static/theme.css", "/nothing", "/v1/nothing", "/jobs/x"):
        answer = httpx2.get(served.page + path)
        assert "default-src 'none'" in answer.headers["content-security-policy"], path
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert json.loads(httpx2.get(f"{served.page}/v1/nothing").text) == {"detail": "Not Found"}
    answer = httpx2.get(f"{served.page}/static/../../../pyproject.toml")
    assert answer.status_code == 404


def test_what_is_not_there(page: Page, served: Service) -> None:
    """A page says so, with the way back; what was asked for is text on it."""
    for path, title in {
        "/jobs/nobody-000000/networks/zz": "No such page",
        "/nothing": "No such page",
        "/jobs/nobody-000000": "No such job",
        "/jobs/%3Cscript%3Ealert(1)": "No such job",
    }.items():
        page.goto(served.page + path)
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        assert page.locator("main script").count() == 0
    assert serious(page) == []
    page.get_by_role("link", name="All jobs").click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()


def test_looks(browser: Browser, served: Service, store: ResultStore) -> None:
    """At both widths and in both themes: nothing is cut off, shuts anybody out or asks other hosts."""
    job_id, _ = make_job(store, f"looks {HOSTILE}", count=60)
    key = store.front(job_id)[0].architecture_key
    asked: list[str] = []
    said: list[str] = []
    with browser.new_context() as context:
        context.on("request", lambda request: asked.append(request.url))
        context.on("console", lambda message: said.append(message.text))
        page = logged_in(context, served, Role.SUBMIT)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append("a dialog"))
        for name, path in {
            "jobs": "/",
            "submit": "/submit",
            "job": f"/jobs/{job_id}",
            "network": f"/jobs/{job_id}/networks/{key}",
            "devices": "/devices",
            "predictors": "/predictors",
            "compare": f"/compare?job={job_id}",
        }.items():
            page.goto(served.page + path)
            page.wait_for_load_state("networkidle")
            expect(page.locator("#fault")).to_be_hidden()
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                for scheme in SCHEMES:
                    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, name
                    if (width, scheme) in ((360, "light"), (1920, "dark")):  # each width and each theme once
                        shoot(page, f"{name}-{width}-{scheme}")
                        assert serious(page) == [], (name, width, scheme)
    assert asked
    assert all(url.startswith(served.page) for url in asked)
    # The browser notes an answer of 409, for a network of a made-up space.
    assert not [text for text in said if "status of 409" not in text]


def test_one_palette() -> None:
    """Every colour is named in the theme; other sheets only use the names."""
    for sheet in Path(dashboards.__file__).parent.rglob("*.css"):
        found = re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[;\s])|rgba?\(", sheet.read_text())
        assert bool(found) == (sheet.name == "theme.css"), (sheet, found)


def test_a_lost_connection(browser: Browser, served: Service, store: ResultStore) -> None:
    """It is shown while it lasts, and the page goes on by itself."""
    make_job(store, "running", status=None)  # so that the page looks often
    with browser.new_context() as context:
        page = logged_in(context, served, Role.READ)
        page.goto(served.page)
        expect(page.locator("#empty")).not_to_have_text("Loading…")
        context.set_offline(True)
        expect(page.locator("#connection")).to_contain_text("connection to the service is lost")
        job_id, _ = make_job(store, "meanwhile")
        context.set_offline(False)
        expect(page.locator("#connection")).to_be_hidden()
        expect(page.locator(f"tr[data-job='{job_id}']")).to_be_visible()


def test_scripts_that_fail(browser: Browser, served: Service) -> None:
    """A script that does not come, one that breaks, and none at all: the page says so, and loads no longer."""
    with browser.new_context() as context:
        page = logged_in(context, served, Role.READ)
        page.route("**/static/spark.js", lambda route: route.abort())
        page.goto(served.page)
        expect(page.locator("#fault")).to_contain_text("A part of this page did not load: /static/")
        expect(page.locator("#empty")).to_be_hidden()
        page.unroute("**/static/spark.js")
        broken = "export const spark = null; null.broken;"
        page.route("**/static/spark.js", lambda route: route.fulfill(body=broken, content_type="text/javascript"))
        page.goto(served.page)
        expect(page.locator("#fault")).to_contain_text("This page broke")
        page.unroute("**/static/spark.js")
        page.route("**/v1/jobs?*", lambda route: route.fulfill(json={"not": "a list"}))
        page.goto(served.page)
        expect(page.locator("#fault")).to_contain_text("This page broke")
    with browser.new_context(java_script_enabled=False) as context:
        page = logged_in(context, served, Role.READ)
        page.goto(served.page)
        expect(page.locator("noscript .problem")).to_be_visible()
        expect(page.get_by_text("Loading…")).to_be_hidden()
