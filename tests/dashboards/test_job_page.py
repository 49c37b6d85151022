"""A job as a page: the front as it grows, brushing, choosing, causes, and jobs with nothing to show."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from looked_at import HOSTILE, OBJECTIVES, make_job, shoot, tell, trade_off
from playwright.sync_api import Page, expect
from serving import Service

from nas.service.archives import archive_of
from nas.strategies.map_elites import MapElitesOptions
from storage.records import JobStatus, Outcome, Round
from storage.store import ResultStore

pytestmark = pytest.mark.slow

FRONT = "table#front tbody tr"


def open_job(page: Page, served: Service, job_id: str, query: str = "") -> None:
    """Go to the page of a job, and wait until it has drawn."""
    page.goto(f"{served.page}/jobs/{job_id}{query}")
    page.locator("#charts details").wait_for()


def rows_of_csv(page: Page, name: str) -> list[dict[str, str]]:
    """What the button of a chart downloads."""
    with page.expect_download() as download:
        page.get_by_role("button", name=f"CSV of {name}").click()
    return list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))


def test_the_front_moves(page: Page, served: Service, store: ResultStore) -> None:
    """Evaluations that are told while the page is open appear, and the front is the store's."""
    job_id, lease = make_job(store, "live", count=30, status=None)
    open_job(page, served, job_id)
    expect(page.locator(FRONT)).to_have_count(len(store.front(job_id)))
    tell(store, lease, range(30, 60), lambda key, n: Outcome(
        key, {"accuracy": 0.99, "latency_ms@cpu": 0.5 + n / 1000}, losses=[-0.99, 0.5 + n / 1000]))  # fmt: skip
    expect(page.locator("#state")).to_contain_text("60 of 60")
    expect(page.locator(FRONT)).to_have_count(1)
    told = rows_of_csv(page, "Front")
    assert [row["number"] for row in told] == [str(number) for number in range(60)]
    assert [row["number"] for row in told if row["on_front"] == "1"] == ["30"]
    for evaluation in store.evaluations(job_id):
        row = told[evaluation.number]
        assert row["failed"] == str(int(evaluation.error is not None))
        for metric, value in evaluation.metrics.items():
            assert float(row[metric]) == value
    store.finish(lease, JobStatus.SUCCEEDED)
    expect(page.locator("#state")).to_contain_text("SUCCEEDED")


def test_brushing_links_the_charts(page: Page, served: Service, store: ResultStore) -> None:
    """A rectangle on the front filters the other chart and the CSV; the address is the view, and a link restores it."""
    job_id, _ = make_job(store, "brushed", count=200)
    open_job(page, served, job_id)
    everything = rows_of_csv(page, "Front")
    box = page.locator("figure", has_text="Front").first.locator("canvas").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 250, steps=5)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"range=.*accuracy"))
    kept = rows_of_csv(page, "Front")
    assert 0 < len(kept) < len(everything)
    given = re.search(r"latency_ms%40cpu%7E([\d.]+)%7E([\d.]+)", page.url)
    assert given
    assert all(float(given[1]) <= float(row["latency_ms@cpu"]) <= float(given[2]) for row in kept)
    assert rows_of_csv(page, "Parallel coordinates") == kept
    shoot(page, "job-brushed", whole=False)
    page.goto(page.url)
    page.locator("#charts details").wait_for()
    assert rows_of_csv(page, "Front") == kept
    page.get_by_role("button", name="Clear ranges").click()
    assert len(rows_of_csv(page, "Front")) == len(everything)
    canvas = page.locator("figure", has_text="Parallel coordinates").locator("canvas").first
    canvas.scroll_into_view_if_needed()
    axes = canvas.bounding_box()
    assert axes is not None
    page.mouse.move(axes["x"] + 40, axes["y"] + 60)
    page.mouse.down()
    page.mouse.move(axes["x"] + 40, axes["y"] + 140, steps=5)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"range=accuracy"))
    assert 0 < len(rows_of_csv(page, "Front")) < len(everything)


def test_choose_a_network(page: Page, served: Service, store: ResultStore) -> None:
    """By its row with the keyboard, or by a click on its point."""
    job_id, _ = make_job(store, "chosen", count=50)
    best = store.front(job_id)[0]
    open_job(page, served, job_id, "?y=accuracy&x=latency_ms@cpu")
    page.get_by_role("link", name=best.architecture_key[:12]).focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{served.page}/jobs/{job_id}/networks/{best.architecture_key}")


def test_causes_and_importance(page: Page, served: Service, store: ResultStore) -> None:
    """Failures by their causes, as text; the decision that decides everything comes first."""
    job_id, _ = make_job(store, "causes", count=100)
    open_job(page, served, job_id)
    expect(page.locator("#failures")).to_contain_text(f"out of memory {HOSTILE}")
    expect(page.locator("#failures")).to_contain_text("timed out")
    assert page.locator("#failures img").count() == 0
    expect(page.locator("#importance")).to_contain_text("variance")


@pytest.mark.parametrize(
    "name, count, outcome, status, told",
    [
        ("none yet", 0, None, None, "No evaluation yet"),
        ("none", 0, None, JobStatus.CANCELLED, "This job has no evaluation."),
        ("one", 1, lambda key, n: Outcome(key, {"accuracy": 0.5, "latency_ms@cpu": 2.0}, losses=[-0.5, 2.0]),
         JobStatus.SUCCEEDED, "There is one evaluation so far."),
        ("all failed", 3, lambda key, n: Outcome(key, error="boom"), JobStatus.FAILED, "All 3 evaluations failed"),
        ("not a number", 3, lambda key, n: Outcome(key, {"accuracy": float("nan"), "latency_ms@cpu": float("inf")}),
         JobStatus.SUCCEEDED, "No network meets the bounds yet."),
        ("one objective is missing", 2, lambda key, n: Outcome(key, {"accuracy": 0.5}),
         JobStatus.SUCCEEDED, "No network meets the bounds yet."),
    ],
    ids=["none-yet", "none", "one", "all-failed", "nan", "missing"],
)  # fmt: skip
def test_little_to_show(page: Page, served: Service, store: ResultStore, name, count, outcome, status, told) -> None:
    """A page that says so, never a blank or a broken one."""
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    job_id, _ = make_job(store, name, outcome, count, status=status)
    open_job(page, served, job_id)
    expect(page.locator("#notice")).to_contain_text(told)
    expect(page.locator("#failures")).not_to_be_empty()
    for metric in (OBJECTIVES[0]["metric"], "number"):
        page.get_by_role("combobox", name="Across").select_option(str(metric))
    assert len(rows_of_csv(page, "Front")) == count
    assert not broken


def test_after_a_lost_connection_nothing_is_missing(page: Page, served: Service, store: ResultStore) -> None:
    """The service is gone for a while and forgets sessions: the page says so, and shows everything after logging in."""
    job_id, lease = make_job(store, "lost", count=20, status=None)
    open_job(page, served, job_id)
    served.stop()
    expect(page.locator("#connection")).to_contain_text("connection to the service is lost")
    tell(store, lease, range(20, 40), trade_off(40))
    served.start()
    expect(page.locator("#connection")).to_contain_text("Your session is over")
    page.get_by_role("link", name="Log in again").click()
    page.get_by_label("Token").fill(served.token)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#state")).to_contain_text("40 of 40")
    assert len(rows_of_csv(page, "Front")) == 40


def test_a_page_that_nobody_sees_follows_nothing(page: Page, served: Service, store: ResultStore) -> None:
    """A hidden page gives its connection back; when it is seen again, it catches up."""
    job_id, lease = make_job(store, "hidden", count=10, status=None)
    open_job(page, served, job_id)
    expect(page.locator("#state")).to_contain_text("10 of 20")
    show = "(hidden) => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true}); \
document.dispatchEvent(new Event('visibilitychange')); }"
    page.evaluate(show, True)
    tell(store, lease, range(10, 20), trade_off(20))
    with page.expect_request(re.compile(rf"/v1/jobs/{job_id}/events\?start=10$")):
        page.evaluate(show, False)
    expect(page.locator("#state")).to_contain_text("20 of 20")


def test_the_archive_of_a_search_for_kinds(page: Page, served: Service, store: ResultStore) -> None:
    """A cell for each kind of network with the best of it, in the CSV and under the pointer; a link keeps the axes."""
    objectives = [*OBJECTIVES, {"metric": "macs", "direction": "min"}, {"metric": "params", "direction": "min"}]
    strategy = MapElitesOptions(bins=6).model_dump(mode="json")
    plain = trade_off(200)

    def outcome(key: str, number: int) -> Outcome:
        made = plain(key, number)
        return made if made.error else replace(made, metrics={**made.metrics, "params": float(number)}, losses=None)

    spec = {"objectives": objectives, "strategy": strategy}
    job_id, _ = make_job(store, "kinds", outcome, 200, spec=spec)
    open_job(page, served, job_id, "?kind=params")
    figure = page.locator("#archive figure")
    expect(figure.locator("canvas")).to_have_attribute("aria-label", re.compile(r"Archive: \d+ of 216 cells"))
    told = archive_of(store, job_id)
    assert told is not None
    rows = rows_of_csv(page, "Archive")
    assert sorted(int(row["number"]) for row in rows) == sorted(each.number for each in told.elites)
    assert {row["cell of params"] for row in rows} == {str(cell) for cell in range(6)}
    expect(figure.get_by_role("combobox", name="Across")).to_have_value("params")
    figure.get_by_role("combobox", name="Up").select_option("macs")
    expect(page).to_have_url(re.compile("kind=params&kinds=macs"))
    box = figure.locator("canvas").bounding_box()
    assert box is not None
    _, up, across = told.elites[0].cell
    left, top, wide, tall = box["x"] + 74, box["y"] + 8, box["width"] - 86, box["height"] - 72
    page.mouse.move(left + (across + 0.5) * wide / 6, top + (5.5 - up) * tall / 6)
    expect(figure.locator(".told")).to_contain_text("Evaluation")
    shoot(page, "job-archive")


def test_the_rounds_of_a_search_that_trains(page: Page, served: Service, store: ResultStore) -> None:
    """Losses and the entropies of all decisions over its rounds, which follow while it runs."""
    job_id, lease = make_job(store, "trains", count=10, status=None)
    entropies = np.linspace([1.0, 0.5], [0.25, 0.5], 6)
    for number, (op, width) in enumerate(entropies, 1):
        metrics = {"loss": 2.0 / number, "validation_loss": float("nan"), "entropy/op": op, "entropy/width": width}
        store.add_round(lease, Round(number, {}, {}, metrics))
    open_job(page, served, job_id)
    expect(page.locator("#rounds figure")).to_have_count(2)
    rows = rows_of_csv(page, "Entropy of the decisions in nats")
    assert [[float(row["op"]), float(row["width"])] for row in rows] == entropies.tolist()
    assert [row["round"] for row in rows] == [str(number) for number in range(1, 7)]
    store.add_round(lease, Round(7, {}, {}, {"entropy/op": 0.125, "skip_share": 0.5}))
    tell(store, lease, range(10, 12), trade_off(20))
    expect(page.locator("#rounds figure")).to_have_count(3)
    assert float(rows_of_csv(page, "Entropy of the decisions in nats")[-1]["op"]) == 0.125
    losses = rows_of_csv(page, "Loss in nats")
    assert [row["loss"] for row in losses[-2:]] == [str(2.0 / 6), ""]
    assert "validation_loss" not in losses[0]  # no round has it
    shoot(page, "job-rounds")


def test_beside_a_random_search(page: Page, served: Service, store: ResultStore) -> None:
    """The hypervolume of a search is drawn with that of a random one for the same, in the box of both."""
    job_id, _ = make_job(store, "searched", count=60, seed=1)
    spec = {**store.job(job_id).spec, "strategy": {"name": "random"}}
    lease = store.claim(store.create_job("chance", spec).id, "me")
    tell(store, lease, range(40), trade_off(40, 2))
    store.finish(lease, JobStatus.SUCCEEDED)
    open_job(page, served, job_id)
    expect(page.locator("figure", has_text="Hypervolume").locator("li")).to_have_count(2)
    rows = rows_of_csv(page, "Hypervolume")
    assert {row["job"] for row in rows} == {"searched", f"random ({lease.job_id})"}
    assert max(int(row["evaluation"]) for row in rows if row["job"] != "searched") < 40
    page.get_by_role("combobox", name="Over").select_option("time")
    expect(page).to_have_url(re.compile("over=time"))
