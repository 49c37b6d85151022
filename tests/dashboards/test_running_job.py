"""A job that really runs, from the form to the file: typed, followed, looked at, exported, fetched and run."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from looked_at import logged_in, make_job, shoot
from playwright.sync_api import Browser, BrowserContext, Page, expect
from serving import Service
from toy_jobs import TRAINED_JOB

from storage.records import JobStatus, Role
from storage.store import ResultStore

pytestmark = pytest.mark.slow

JOB = {
    **TRAINED_JOB,
    "name": "small-digits",
    "supernet": {"epochs": 5, "warmup_epochs": 1},
    "objectives": ["accuracy", {"metric": "latency_ms@cpu", "bound": 1.0}, "macs"],
    "strategy": {"name": "nsga2", "population": 10},
    "budget": {"evaluations": 24},
    "execution": {"workers": 1},
}
WIDE = {"width": 1280, "height": 1040}


@pytest.fixture(scope="module")
def searched(browser: Browser, served: Service, store: ResultStore) -> tuple[str, list[str]]:
    """The id of a job that was submitted by the form, and the keys of the front that its page then shows."""
    with browser.new_context(viewport=WIDE) as context:
        page = logged_in(context, served, Role.SUBMIT)
        page.goto(f"{served.page}/submit")
        verdict, button = page.locator("#verdict"), page.get_by_role("button", name="Submit", exact=True)
        expect(verdict).to_contain_text("Nothing is wrong with job digits")
        page.get_by_label("Job", exact=True).fill("name: x\nspace: mobilenet_v3\nobjectives: [sped]\nbudget: {}\n")
        expect(verdict).to_contain_text("budget.evaluations")
        expect(verdict).to_contain_text("objectives[0]")
        expect(button).to_be_disabled()
        page.get_by_label("Job", exact=True).fill("name: [")
        expect(verdict).to_contain_text("not YAML")
        page.get_by_label("Job", exact=True).fill(json.dumps(JOB))
        expect(verdict).to_contain_text("Nothing is wrong with job small-digits")
        button.click()
        expect(page.get_by_role("heading", name="small-digits")).to_be_visible()
        page.evaluate("document.body.dataset.stayed = 'here'")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#state")).to_contain_text("PAUSED")
        page.get_by_role("button", name="Resume").click()
        expect(page.locator("#state")).not_to_contain_text("PAUSED")
        job_id = page.url.rpartition("/")[2]
        # The search runs once its driver has started, and the page follows without being loaded again.
        front = page.locator("table#front tbody tr")
        expect(front.first).to_be_visible(timeout=200_000)
        expect(page.locator("#state")).to_contain_text("SUCCEEDED", timeout=200_000)
        keys = [each.architecture_key for each in store.front(job_id)]
        expect(front).to_have_count(len(keys))
        expect(page.locator("#importance meter").first).to_be_visible()
        expect(page.locator("#state")).to_contain_text("24 of 24")
        expect(page.locator("#state")).to_contain_text("Submitted bytest")
        expect(page.locator("body[data-stayed=here]")).to_have_count(1)
        shoot(page, "job", whole=False)
    return job_id, keys


def open_network(page: Page, served: Service, job_id: str, key: str) -> None:
    """Go to the page of a network, and wait until it knows what it shows."""
    page.goto(f"{served.page}/jobs/{job_id}/networks/{key}")
    page.locator("#choices table").wait_for()


def test_the_graph_and_its_costs(
    page: Page, served: Service, store: ResultStore, searched: tuple[str, list[str]]
) -> None:
    """The stages from stem to logits, with multiply-adds that add up to what the store knows of the network."""
    job_id, (key, *_) = searched
    page.set_viewport_size(WIDE)
    open_network(page, served, job_id, key)
    known = store.architectures([key])[key].static_metrics
    expect(page.locator("#graph")).to_contain_text(f"{known['macs']:,.0f} multiply-adds")
    summaries = page.locator("#graph summary")
    expect(summaries.first).to_contain_text("stem")
    expect(summaries.last).to_contain_text("logits")
    shoot(page, "network", whole=False)
    summaries.last.click()
    expect(page.locator("#graph li").last.locator("td").first).to_have_text("Gemm")
    page.get_by_role("combobox", name="Cost").select_option("parameters")
    expect(page.locator("#graph")).to_contain_text("parameters, ")
    page.wait_for_url("**?cost=params")
    expect(page.locator("#metrics")).to_contain_text("latency_ms@cpu")
    expect(page.locator("#metrics")).to_contain_text("device cpu (")
    expect(page.locator("#neighbours")).to_contain_text("this one")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_export_and_run(
    page: Page, served: Service, searched: tuple[str, list[str]], precision: str, tmp_path: Path
) -> None:
    """The button exports with checks, and the file that is fetched runs in ONNX Runtime."""
    job_id, (*_, key) = searched
    open_network(page, served, job_id, key)
    page.get_by_role("button", name=f"Export {precision}").click()
    expect(page.locator("#export")).to_contain_text("Every check passed", timeout=200_000)
    expect(page.locator("#export tbody tr").filter(has_text="accuracy")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the ONNX file").click()
    file = tmp_path / "model.onnx"
    download.value.save_as(file)
    session = onnxruntime.InferenceSession(file.read_bytes())
    found = session.run(None, {session.get_inputs()[0].name: np.zeros((2, 1, 8, 8), np.float32)})[0]
    assert found.shape == (2, 10)
    expect(page.locator("#export li")).to_contain_text([precision])


def test_a_reader_exports_nothing(
    context: BrowserContext, served: Service, searched: tuple[str, list[str]], store: ResultStore
) -> None:
    """The buttons are there, do nothing, and the page says why; who presses them by force is told no."""
    job_id, (key, *_) = searched
    before = store.artifacts(job_id)
    page = logged_in(context, served, Role.READ)
    open_network(page, served, job_id, key)
    expect(page.get_by_role("button", name="Export fp32")).to_be_disabled()
    expect(page.locator("#export")).to_contain_text("Your token only reads")
    page.get_by_role("button", name="Export fp32").evaluate("(button) => { button.disabled = false; button.click(); }")
    expect(page.locator("#export")).to_contain_text("this needs a token with the role submit; yours has read")
    assert store.artifacts(job_id) == before


def test_other_jobs_and_networks_that_are_not_drawn(page: Page, served: Service, store: ResultStore) -> None:
    """The same network in another job; a failed one says why; one of a space that is not there is not drawn."""
    first, _ = make_job(store, "first", count=50)
    second, _ = make_job(store, "second", count=50, status=JobStatus.SUCCEEDED)
    key = store.evaluations(second, start=49)[0].architecture_key
    open_network(page, served, second, key)
    expect(page.locator("#metrics")).to_contain_text("Its evaluation failed: out of memory")
    expect(page.locator("#met")).to_contain_text("first")
    expect(page.locator("#graph")).to_contain_text("this network is not drawn")
    page.get_by_role("link", name="first").click()
    expect(page).to_have_url(f"{served.page}/jobs/{first}/networks/{key}")
    page.goto(f"{served.page}/jobs/{first}/networks/{'0' * 64}")
    expect(page.locator("#problem")).to_contain_text("has not evaluated a network")
