"""The jobs as a page: where they stand, why they failed, submitting, pausing, cancelling."""

import json
import re

import pytest
from looked_at import HOSTILE, logged_in, make_job, shoot
from playwright.sync_api import BrowserContext, Page, expect
from serving import Service
from toy_jobs import STATIC_JOB

from storage.records import JobStatus, Outcome, Role
from storage.store import ResultStore

pytestmark = pytest.mark.slow


def row(page: Page, job_id: str):
    """The row of a job."""
    return page.locator(f"tr[data-job='{job_id}']")


def test_states_and_causes(page: Page, store: ResultStore) -> None:
    """State, progress against the budget, hypervolume and cause of failure; a hostile name is only text."""
    good, _ = make_job(store, "good", count=40)
    bad, _ = make_job(store, f"bad {HOSTILE}", lambda key, n: Outcome(key, error="boom"), 2, status=JobStatus.FAILED)
    empty, _ = make_job(store, "empty", status=None)
    expect(row(page, good)).to_contain_text("SUCCEEDED")
    expect(row(page, good)).to_contain_text("40 of 80")
    expect(row(page, good).get_by_role("img", name=re.compile(r"after 40 evaluations"))).to_be_visible()
    expect(row(page, bad)).to_contain_text(f"bad {HOSTILE}")
    expect(row(page, bad).locator(".cause")).to_have_text("out of memory")
    expect(row(page, empty)).to_contain_text("RUNNING")
    assert page.locator("td img").count() == 0


def test_cancel_a_job(page: Page, store: ResultStore) -> None:
    """One that runs is cancelled; then it can be resumed."""
    job_id, _ = make_job(store, "to end", status=None)
    row(page, job_id).get_by_role("button", name="Cancel").click()
    expect(row(page, job_id)).to_contain_text("CANCELLED")
    assert store.job(job_id).status is JobStatus.CANCELLED
    expect(row(page, job_id).get_by_role("button", name="Resume")).to_be_visible()


def test_submit_pause_and_resume(page: Page, served: Service, store: ResultStore) -> None:
    """A mistake is told while it is typed, with its place; the job then runs, and waits while it is paused."""
    page.goto(f"{served.page}/submit")
    verdict, button = page.locator("#verdict"), page.get_by_role("button", name="Submit", exact=True)
    expect(verdict).to_contain_text("Nothing is wrong with job digits")
    page.get_by_label("Job", exact=True).fill("name: x\nspace: mobilenet_v3\nobjectives: [sped]\nbudget: {}\n")
    expect(verdict).to_contain_text("budget.evaluations")
    expect(verdict).to_contain_text("objectives[0]")
    expect(button).to_be_disabled()
    page.get_by_label("Job", exact=True).fill("name: [")
    expect(verdict).to_contain_text("not YAML")
    job = {**STATIC_JOB, "name": "typed", "budget": {"evaluations": 4000}, "execution": {"batch": 5}}
    page.get_by_label("Job", exact=True).fill(json.dumps(job))
    expect(verdict).to_contain_text("Nothing is wrong with job typed")
    button.click()
    expect(page.get_by_role("heading", name="typed")).to_be_visible()
    job_id = page.url.rpartition("/")[2]
    # The search runs once its driver has started, and the page follows.
    expect(page.locator("table#front tbody tr").first).to_be_visible(timeout=120_000)
    expect(page.locator("#importance meter").first).to_be_visible()
    expect(page.locator("#state")).to_contain_text("Submitted bytest")
    shoot(page, "job-running")
    page.goto(served.page)
    row(page, job_id).get_by_role("button", name="Pause").click()
    expect(row(page, job_id)).to_contain_text("PAUSED")
    assert store.job(job_id).paused
    row(page, job_id).get_by_role("button", name="Resume").click()
    expect(row(page, job_id)).to_contain_text("RUNNING")
    row(page, job_id).get_by_role("button", name="Cancel").click()
    expect(row(page, job_id)).to_contain_text("CANCELLED")


def test_a_reader_has_no_buttons(context: BrowserContext, served: Service, store: ResultStore) -> None:
    """Nothing to press that would be refused."""
    job_id, _ = make_job(store, "read only", status=None)
    page = logged_in(context, served, Role.READ)
    expect(row(page, job_id)).to_be_visible()
    assert row(page, job_id).get_by_role("button").count() == 0
    assert page.get_by_role("link", name="Submit a job").count() == 0
    page.goto(f"{served.page}/submit")
    expect(page.get_by_text("Your token only reads")).to_be_visible()
