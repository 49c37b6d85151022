"""Devices, predictors and comparisons as pages."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from looked_at import make_job
from playwright.sync_api import Page, expect
from serving import Service
from toy_records import architecture
from typer.testing import CliRunner

from nas.cli.main import app
from storage.records import Device, Measurement
from storage.store import ResultStore

pytestmark = pytest.mark.slow


def download(page: Page, name: str) -> list[dict[str, str]]:
    """What the button of a chart downloads."""
    with page.expect_download() as found:
        page.get_by_role("button", name=f"CSV of {name}").click()
    return list(csv.DictReader(io.StringIO(Path(found.value.path()).read_text())))


def test_devices(page: Page, served: Service, store: ResultStore) -> None:
    """What they are, how noisy they were, and how far they agree."""
    make_job(store, "proposes", count=6)
    rng = np.random.default_rng(0)
    for fingerprint, name in (("a" * 64, "cpu"), ("b" * 64, "pi")):
        store.add_device(Device(fingerprint, name, {"kind": "host", "threads": 1, "cpu": "<b>fast</b>"}))
        store.add_measurements(None, [
            Measurement(architecture(n).key, fingerprint, f"latency_ms@{name}", float(rng.uniform()), name,
                        {"noise": 0.01 + n / 1000}) for n in range(6)])  # fmt: skip
    page.goto(f"{served.page}/devices")
    expect(page.locator("#devices section")).to_have_count(2)
    expect(page.locator("#devices")).to_contain_text("<b>fast</b>")
    expect(page.locator("#agreement")).to_contain_text("pi and cpu")
    told = sorted(float(row["noise"]) for row in download(page, "Noise floor of pi"))
    assert told == [0.01 + n / 1000 for n in range(6)]


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
    page.get_by_role("combobox", name="A line for each").select_option("job")
    assert len({row["series"] for row in download(page, "Hypervolume")}) == 3
    expect(page).to_have_url(re.compile("by=job$"))
    other = store.create_job("other", {"objectives": [{"metric": "x", "direction": "min"}]})
    page.goto(f"{served.page}/compare?job={jobs[0]}&job={other.id}")
    expect(page.locator("#problem")).to_contain_text("differ in their objectives")
