"""The jobs as a page: where they stand, why they failed, pausing, resuming, cancelling, and what a reader may do."""

import re

import pytest
from looked_at import HOSTILE, logged_in, make_job
from playwright.sync_api import BrowserContext, Page, expect
from serving import Service

from storage.records import JobStatus, Outcome, Role
from storage.store import ResultStore

pytestmark = pytest.mark.slow


def row(page: Page, job_id: str):
    """The row of a job."""
    return page.locator(f"tr[data-job='{job_id}']")


def test_states_and_causes(page: Page, served: Service, store: ResultStore) -> None:
    """State, progress against the budget, hypervolume and cause of failure; a hostile name is only text."""
    good, _ = make_job(store, "good", count=40)
    bad, _ = make_job(store, f"bad {HOSTILE}", lambda key, n: Outcome(key, error="boom"), 2, status=JobStatus.FAILED)
    empty, _ = make_job(store, "empty", status=None)
    page.goto(served.page)
    expect(row(page, good)).to_contain_text("SUCCEEDED")
    expect(row(page, good)).to_contain_text("40 of 80")
    expect(row(page, good).get_by_role("img", name=re.compile(r"after 40 evaluations"))).to_be_visible()
    expect(row(page, bad)).to_contain_text(f"bad {HOSTILE}")
    expect(row(page, bad).locator(".cause")).to_have_text("out of memory")
    expect(row(page, empty)).to_contain_text("RUNNING")
    assert page.locator("td img").count() == 0


def test_pause_and_cancel(page: Page, served: Service, store: ResultStore) -> None:
    """One that runs is paused, then cancelled, each by a button that fits its state."""
    job_id, _ = make_job(store, "to end", status=None)
    page.goto(served.page)
    for button, state in (("Pause", "PAUSED"), ("Cancel", "CANCELLED")):
        row(page, job_id).get_by_role("button", name=button).click()
        expect(row(page, job_id)).to_contain_text(state)
    assert store.job(job_id).status is JobStatus.CANCELLED
    expect(row(page, job_id).get_by_role("button", name="Resume")).to_be_visible()


def test_a_reader_has_no_buttons(context: BrowserContext, served: Service, store: ResultStore) -> None:
    """Nothing to press that would be refused."""
    job_id, _ = make_job(store, "read only", status=None)
    page = logged_in(context, served, Role.READ)
    page.goto(served.page)
    expect(row(page, job_id)).to_be_visible()
    assert row(page, job_id).get_by_role("button").count() == 0
    assert page.get_by_role("link", name="Submit a job").count() == 0
    page.goto(f"{served.page}/submit")
    expect(page.get_by_text("Your token only reads")).to_be_visible()
