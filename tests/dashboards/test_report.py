"""A job as a file: it shows what the page shows, needs nothing else, and keeps hostile names as text."""

import csv
import io
import re
from pathlib import Path

import pytest
from axe import serious
from looked_at import make_job, shoot
from playwright.sync_api import Browser, expect
from typer.testing import CliRunner

from dashboards.pages.rendering import IMPORT, STATIC
from nas.cli.main import app
from nas.strategies.map_elites import MapElitesOptions
from storage.records import Outcome
from storage.store import ResultStore

pytestmark = pytest.mark.slow

NAME = "</script><script>alert(1)</script><!--"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a new store."""
    return f"sqlite:///{tmp_path}/nas.db"


def test_one_file(browser: Browser, url: str, tmp_path: Path) -> None:
    """The same by either command, opened without any service: charts, front, causes and CSV are there."""
    with ResultStore(url) as store:
        strategy = MapElitesOptions(bins=5).model_dump(mode="json")
        job_id, _ = make_job(store, NAME, count=120, spec={"strategy": strategy})
        front = store.front(job_id)
    file, other = tmp_path / "report.html", tmp_path / "front.html"
    for command in (["report", job_id, "--output", str(file)], ["pareto", job_id, "--plot", str(other)]):
        ran = CliRunner().invoke(app, [*command, "--store", url])
        assert ran.exit_code == 0, ran.stderr
    first, second = (re.sub("As it was at [^<]*", "", each.read_text()) for each in (file, other))
    assert first == second
    said: list[str] = []
    asked: list[str] = []
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.on("request", lambda request: asked.append(request.url))
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append("a dialog"))
        page.goto(file.as_uri())
        expect(page.get_by_role("heading", level=1)).to_have_text(NAME)
        expect(page.locator("table#front tbody tr")).to_have_count(len(front))
        expect(page.locator("#failures")).to_contain_text("timed out")
        expect(page.locator("figure")).to_have_count(5)
        expect(page.locator("#archive figure")).to_contain_text("of 5 cells hold a network")
        with page.expect_download() as download:
            page.get_by_role("button", name="CSV of Front").click()
        rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
        assert [row["number"] for row in rows if row["on_front"] == "1"] == [
            str(number) for number in sorted(each.number for each in front)
        ]
        page.get_by_role("combobox", name="Across").select_option("macs")
        expect(page).to_have_url(f"{file.as_uri()}#x=macs")
        page.reload()
        expect(page.get_by_role("combobox", name="Across")).to_have_value("macs")
        assert serious(page) == []
        shoot(page, "report")
    assert not said
    assert {address.split("#")[0] for address in asked if not address.startswith("data:")} == {file.as_uri()}


def test_nothing_to_report(browser: Browser, url: str, tmp_path: Path) -> None:
    """Jobs with no evaluation, and with failures alone, have reports that say so."""
    with ResultStore(url) as store:
        empty, _ = make_job(store, "empty")
        failed, _ = make_job(store, "failed", lambda key, n: Outcome(key, error="boom"), 2)
    with browser.new_context() as context:
        page = context.new_page()
        for job_id, words in ((empty, "This job has no evaluation."), (failed, "All 2 evaluations failed")):
            file = tmp_path / f"{job_id}.html"
            assert CliRunner().invoke(app, ["report", job_id, "-o", str(file), "--store", url]).exit_code == 0
            page.goto(file.as_uri())
            expect(page.locator("#notice")).to_contain_text(words)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["report", "nobody-000000", "-o", "{tmp}/a.html"], "no job 'nobody-000000'"),
        (["report", "latest", "-o", "{tmp}/a.pdf"], "the file must end in .html"),
        (["report", "latest", "-o", "{tmp}/none/a.html"], "does not exist"),
    ],
)
def test_bad_input(url: str, tmp_path: Path, arguments: list[str], message: str) -> None:
    """Exit code 2, one line, and no file."""
    with ResultStore(url) as store:
        make_job(store, "there", count=3)
    given = [each.replace("{tmp}", str(tmp_path)) for each in arguments]
    ran = CliRunner().invoke(app, [*given, "--store", url])
    assert ran.exit_code == 2
    assert message in " ".join(ran.stderr.split())
    assert not list(tmp_path.glob("*.html"))


def test_every_import_is_seen() -> None:
    """What puts the modules of a report into one script reads imports of one form; all are of it."""
    for file in STATIC.glob("*.js"):
        text = file.read_text()
        assert text.count("\nimport ") + text.startswith("import ") == len(IMPORT.findall(text)), file
        assert "import(" not in text


def test_text_is_never_markup() -> None:
    """No script of ours makes markup or code of text, so no name that comes from elsewhere can become either."""
    for file in STATIC.glob("*.js"):
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert way not in file.read_text(), file
