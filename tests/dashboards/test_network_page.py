"""A network as a page: drawn from its graph, exported with proof, fetched, and run."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from looked_at import logged_in, make_job, shoot
from playwright.sync_api import BrowserContext, Page, expect
from serving import Service
from toy_jobs import TRAINED_JOB

from nas.client import Client
from storage.records import JobStatus, Role
from storage.store import ResultStore

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def searched(served: Service) -> tuple[str, list[str]]:
    """The id of a job that really ran, and the keys of its front."""
    with Client(served.page, served.token, timeout=60) as client:
        job = client.submit(TRAINED_JOB)
        assert client.wait(job.id, 200).status is JobStatus.SUCCEEDED
        return job.id, [each.architecture_key for each in client.front(job.id).evaluations]


def open_network(page: Page, served: Service, job_id: str, key: str) -> None:
    """Go to the page of a network, and wait until it knows what it shows."""
    page.goto(f"{served.page}/jobs/{job_id}/networks/{key}")
    page.locator("#choices table").wait_for()


def test_the_graph_and_its_costs(
    page: Page, served: Service, store: ResultStore, searched: tuple[str, list[str]]
) -> None:
    """The stages from stem to logits, with multiply-adds that add up to what the store knows of the network."""
    job_id, (key, *_) = searched
    open_network(page, served, job_id, key)
    known = store.architectures([key])[key].static_metrics
    expect(page.locator("#graph")).to_contain_text(f"{known['macs']:,.0f} multiply-adds")
    summaries = page.locator("#graph summary")
    expect(summaries.first).to_contain_text("stem")
    expect(summaries.last).to_contain_text("logits")
    summaries.last.click()
    expect(page.locator("#graph li").last.locator("td").first).to_have_text("Gemm")
    expect(page.locator("#metrics")).to_contain_text("latency_ms@cpu")
    expect(page.locator("#neighbours")).to_contain_text("this one")
    shoot(page, "network-searched")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_export_and_run(
    page: Page, served: Service, searched: tuple[str, list[str]], precision: str, tmp_path: Path
) -> None:
    """The button exports with checks, and the file that is fetched runs in ONNX Runtime."""
    job_id, (*_, key) = searched
    open_network(page, served, job_id, key)
    page.get_by_role("button", name=f"Export {precision}").click()
    expect(page.locator("#export")).to_contain_text("Every check passed", timeout=120_000)
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
    second, _ = make_job(store, "second", count=50)
    key = store.evaluations(second, start=49)[0].architecture_key
    open_network(page, served, second, key)
    expect(page.locator("#metrics")).to_contain_text("Its evaluation failed: out of memory")
    expect(page.locator("#met")).to_contain_text("first")
    expect(page.locator("#graph")).to_contain_text("this network is not drawn")
    page.get_by_role("link", name="first").click()
    expect(page).to_have_url(f"{served.page}/jobs/{first}/networks/{key}")
    page.goto(f"{served.page}/jobs/{first}/networks/{'0' * 64}")
    expect(page.locator("#problem")).to_contain_text("has not evaluated a network")
