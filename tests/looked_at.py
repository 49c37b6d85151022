"""Pages of the service as tests look at them, and jobs that fill them."""

import json
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import BrowserContext, Page
from serving import Service
from toy_records import architecture

from storage.records import JobStatus, Lease, Outcome, Role
from storage.store import ResultStore

OBJECTIVES = [
    {"metric": "accuracy", "direction": "max"},
    {"metric": "latency_ms@cpu", "direction": "min", "bound": 40.0},
]
HOSTILE = "<img src=x onerror=alert(1)>"
SHOTS = Path(os.environ.get("NAS_SCREENSHOTS", Path(__file__).parents[1] / "out" / "screenshots"))


def logged_in(context: BrowserContext, service: Service, role: Role) -> Page:
    """A page of a browser that has logged in; of one service, all with the same role share a session."""
    name, value = service.session(role)
    context.add_cookies([{"name": name, "value": value, "url": service.page, "sameSite": "Strict", "httpOnly": True}])
    return context.new_page()


def shoot(page: Page, name: str, *, whole: bool = True) -> None:
    """Keep a picture of a page, or of the part that is seen; the folder is ignored by git."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=whole)


def make_job(
    store: ResultStore,
    name: str,
    outcomes: Callable[[str, int], Outcome] | None = None,
    count: int = 0,
    *,
    status: JobStatus | None = JobStatus.SUCCEEDED,
    seed: int = 0,
    spec: dict[str, Any] | None = None,
) -> tuple[str, Lease]:
    """A job with made-up evaluations.

    Args:
        store: where it goes.
        name: of the job.
        outcomes: key and number -> outcome; by default those of `trade_off`.
        count: how many.
        status: that it ends with; None leaves it running.
        seed: of the default outcomes.
        spec: what differs from the usual.
    """
    spec = {
        "objectives": OBJECTIVES,
        "budget": {"evaluations": max(1, 2 * count)},
        "strategy": {"name": "nsga2"},
        "space": {"name": "toy"},
        "seed": seed,
        **(spec or {}),
    }
    lease = store.claim(store.create_job(name, spec).id, "host:1:2", lease_seconds=3600)
    tell(store, lease, range(count), outcomes or trade_off(count, seed))
    if status is not None:
        store.finish(lease, status, "out of memory" if status is JobStatus.FAILED else None)
    return lease.job_id, lease


def tell(store: ResultStore, lease: Lease, numbers: Sequence[int], outcomes: Callable[[str, int], Outcome]) -> None:
    """Add evaluations to a job that runs."""
    for start in range(0, len(numbers), 2000):
        part = numbers[start : start + 2000]
        rows = [architecture(number) for number in part]
        batch = store.job(lease.job_id).proposed
        store.add_proposals(lease, batch, rows)
        store.add_evaluations(lease, [outcomes(row.key, number) for row, number in zip(rows, part, strict=True)])


def trade_off(count: int, seed: int = 0) -> Callable[[str, int], Outcome]:
    """Networks that are the more accurate the slower they are; later ones are better, some break the bound."""
    rng = np.random.default_rng(seed)
    slow, luck = rng.uniform(1, 50, count + 1000), rng.normal(0, 0.02, count + 1000)

    def outcome(key: str, number: int) -> Outcome:
        if number % 50 == 49:
            return Outcome(key, error=f"out of memory {HOSTILE}" if number % 100 == 49 else "timed out", seconds=1.0)
        latency = float(slow[number])
        later = 0.05 * number / max(1, count)
        accuracy = float(np.clip(0.6 + 0.08 * np.log(latency) + later + luck[number], 0, 1))
        guessed = number % 3 == 0
        metrics = {
            "accuracy": accuracy,
            "latency_ms@cpu": latency,
            "latency_ms@cpu deviation": 1.5 if guessed else 0.0,
            "macs": 1e6 * latency + number,
        }
        return Outcome(key, metrics, seconds=0.1, losses=None if latency > 40 else [-accuracy, latency])

    return outcome


def make_large_job(service: Service, count: int) -> str:
    """A running job with as many evaluations, written by SQL, which takes a moment and not a minute."""
    rng = np.random.default_rng(0)
    latency = rng.uniform(1, 50, count)
    accuracy = np.clip(0.6 + 0.08 * np.log(latency) + rng.normal(0, 0.02, count), 0, 1)
    with ResultStore(service.url) as store:
        job_id, _ = make_job(store, f"large {count}", status=None)
    numbers = range(count)
    keys = [f"{number:064x}" for number in numbers]
    losses = np.stack([-accuracy, latency], axis=1)
    order = np.lexsort((losses[:, 0], losses[:, 1]))
    best = order[np.concatenate([[True], accuracy[order][1:] > np.maximum.accumulate(accuracy[order])[:-1]])]
    best = best[latency[best] <= 40]
    now = "2026-01-01 00:00:00.000000"
    file = sqlite3.connect(service.url.removeprefix("sqlite:///"), timeout=60)
    with closing(file), file:
        many = file.executemany
        many("INSERT OR IGNORE INTO architectures VALUES (?, 'toy', '{}', '{}')", ((key,) for key in keys))
        many(
            "INSERT INTO proposals (job_id, number, batch, architecture_key, genotype) VALUES (?, ?, 0, ?, '{}')",
            ((job_id, number, key) for number, key in zip(numbers, keys, strict=True)),
        )
        many(
            "INSERT INTO evaluations (job_id, number, architecture_key, proposal, seconds, created_at) "
            f"VALUES (?, ?, ?, ?, 0.1, '{now}')",
            ((job_id, number, key, number) for number, key in zip(numbers, keys, strict=True)),
        )
        for name, values in (("accuracy", accuracy), ("latency_ms@cpu", latency)):
            many(
                f"INSERT INTO evaluation_metrics (job_id, number, name, value) VALUES (?, ?, '{name}', ?)",
                ((job_id, number, value) for number, value in zip(numbers, values.tolist(), strict=True)),
            )
        many(
            "INSERT INTO fronts (job_id, number, losses) VALUES (?, ?, ?)",
            ((job_id, number, json.dumps(losses[number].tolist())) for number in best.tolist()),
        )
    return job_id
