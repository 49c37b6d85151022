"""Devices, predictors and comparisons as pages."""

import csv
import io
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from looked_at import logged_in, make_job, make_large_job, shoot
from playwright.sync_api import BrowserContext, Page, expect
from serving import Service
from toy_records import architecture
from typer.testing import CliRunner

from nas.cli.main import app
from nas.service.points import MOST_POINTS
from profilers.agent_server import AgentServer
from profilers.agent_token import read_token
from profilers.device import fingerprint_of
from storage.records import Device, Measurement, Role
from storage.store import ResultStore
from tests.profilers.agents import token_file

JOIN = "http://laptop.test:7412/#code=ABCD-EFGH"

pytestmark = pytest.mark.slow


def download(page: Page, name: str) -> list[dict[str, str]]:
    """What the button of a chart downloads."""
    with page.expect_download() as found:
        page.get_by_role("button", name=f"CSV of {name}").click()
    return list(csv.DictReader(io.StringIO(Path(found.value.path()).read_text())))


def measured(store: ResultStore, name: str, description: dict[str, Any]) -> str:
    """A device that has measured six networks; its fingerprint."""
    rng = np.random.default_rng(len(name))
    fingerprint = fingerprint_of(description)
    store.add_device(Device(fingerprint, name, description))
    store.add_measurements(None, [
        Measurement(architecture(n).key, fingerprint, f"latency_ms@{name}", float(rng.uniform()), name,
                    {"noise": 0.01 + n / 1000}) for n in range(6)])  # fmt: skip
    return fingerprint


def test_devices(page: Page, served: Service, store: ResultStore, tmp_path: Path) -> None:
    """Which answer, what waits for them, how noisy they were, and how far they agree."""
    make_job(store, "proposes", count=6)
    description = {"kind": "remote", "agent": "pi", "cores": 4}
    token = token_file(tmp_path)
    agent = AgentServer(("127.0.0.1", 0), lambda asked: (object(), description), read_token(str(token), None), None)
    threading.Thread(target=agent.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    with agent:
        section = {"kind": "remote", "address": agent.address, "token_file": str(token)}
        gone = {**section, "address": "127.0.0.1:1"}
        make_job(store, "measures", status=None, spec={"devices": {"pi": section, "gone": gone}})
        measured(store, "pi", description)
        measured(store, "gone", {**description, "cpu": "<b>fast</b>"})
        page.goto(f"{served.page}/devices")
        pi, away = (page.locator("#devices section").filter(has=page.get_by_role("heading", name=name, exact=True))
                    for name in ("pi", "gone"))  # fmt: skip
        expect(pi).to_contain_text("yes: it answers")
        expect(away).to_contain_text("no: nobody answers at 127.0.0.1:1")
        expect(pi.get_by_role("link", name="measures")).to_be_visible()
        expect(pi).to_contain_text("measures (RUNNING)")
        agent.shutdown()
    expect(away).to_contain_text("<b>fast</b>")
    expect(page.locator("#agreement")).to_contain_text("gone and pi")
    told = sorted(float(row["noise"]) for row in download(page, "Noise floor of pi"))
    assert told == [0.01 + n / 1000 for n in range(6)]
    shoot(page, "devices")


def test_where_browsers_join(context: BrowserContext, page: Page, served: Service) -> None:
    """The address and its code as text and as a QR code, for those who may submit alone."""
    page.goto(f"{served.page}/devices")
    expect(page.locator("#join")).to_contain_text("ABCD-EFGH")
    expect(page.get_by_role("link", name=JOIN)).to_have_attribute("href", JOIN)
    picture = page.get_by_role("img", name="The address with the join code")
    box = picture.locator("svg").bounding_box()
    assert box is not None
    assert box["width"] == box["height"] == 4 * (29 + 8)  # of version 3, with the quiet zone
    read = logged_in(context, served, Role.READ)
    read.goto(f"{served.page}/devices")
    expect(read.get_by_role("heading", name="Add a laptop or a phone")).to_be_visible()
    assert "ABCD-EFGH" not in read.content()


def test_addresses_where_nobody_can_join() -> None:
    """What is not such an address is refused before the service begins."""
    for address in ("laptop:7412", "ftp://laptop/#code=ABCDEF", "http://laptop:7412/", "http:///#code=ABCDEF"):
        ran = CliRunner().invoke(app, ["serve", "--no-tokens", "--join", address])
        assert ran.exit_code == 2
        assert "--join must be an address" in " ".join(ran.stderr.split())


def test_predictors(page: Page, served: Service) -> None:
    """What a predictor of a described device was right about, from the file that `nas predictor fit` writes."""
    npu = Path(__file__).parents[2] / "examples" / "npu.yaml"
    options = ["--space", str(npu), "--device", f"{npu}:npu", "--samples", "12", "--store", served.url]
    ran = CliRunner().invoke(app, ["predictor", "fit", *options])
    assert ran.exit_code == 0, ran.stderr
    page.goto(f"{served.page}/predictors")
    expect(page.locator("#predictors section")).to_have_count(2)
    section = page.locator("#predictors section").filter(has=page.locator("figure", has_text="residuals by size"))
    expect(section).to_have_count(1)
    title = section.locator("h2").inner_text()
    rows = download(page, f"{title}: predicted without it, with 90 % intervals")
    assert len(rows) == 12
    section.get_by_text("The 12 networks that were chosen").click()
    expect(section.locator("tbody tr")).to_have_count(12)
    expect(section.locator("tbody tr").first).to_contain_text("resolution 32")
    shoot(page, "predictors")
    assert all(float(row["low"]) <= float(row["predicted"]) <= float(row["high"]) for row in rows)


def test_compare(page: Page, served: Service, store: ResultStore) -> None:
    """Three seeds of a search make one line with its quartiles, or a line each; other objectives are refused."""
    jobs = [make_job(store, "seeds", count=80, seed=seed)[0] for seed in range(3)]
    page.goto(f"{served.page}/compare?" + "&".join(f"job={job}" for job in jobs))
    expect(page.locator("figure")).to_have_count(1)
    rows = [row for row in download(page, "Hypervolume") if row["hypervolume"]]
    assert {row["series"] for row in rows} == {"seeds, nsga2 (3 seeds)"}
    for row in rows:
        assert float(row["lower_quartile"]) <= float(row["hypervolume"]) <= float(row["upper_quartile"])
    page.set_viewport_size({"width": 1280, "height": 800})
    shoot(page, "compare", whole=False)
    page.get_by_role("combobox", name="A line for each").select_option("job")
    assert len({row["series"] for row in download(page, "Hypervolume")}) == 3
    expect(page).to_have_url(re.compile("by=job$"))
    other = store.create_job("other", {"objectives": [{"metric": "x", "direction": "min"}]})
    page.goto(f"{served.page}/compare?job={jobs[0]}&job={other.id}")
    expect(page.locator("#problem")).to_contain_text("differ in their objectives")


def test_too_many_are_thinned(page: Page, served: Service) -> None:
    """More than can be looked at: every so many-th and the front, which the page says; the rest is not sent."""
    job_id = make_large_job(served, MOST_POINTS + 1)
    page.goto(f"{served.page}/jobs/{job_id}")
    page.locator("#notice").get_by_text("of 50,001 evaluations are shown: one in 2, and the front.").wait_for()
