"""Budgets of time: what ends a search, over interruptions, and where a user reads it."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from toy_jobs import STATIC_JOB, TRAINED_JOB
from toy_records import Clock
from typer.testing import CliRunner

from nas.cli.main import app
from nas.evaluation.evaluator import Evaluated, Request
from nas.jobspec.load import load_job
from nas.search import Pace, Search
from storage.records import JobStatus
from storage.store import ResultStore
from tests.nas.test_search import OBJECTIVES, Killed, a_strategy, small_space

DEVICE_SECONDS = 0.5


class SlowEvaluator:
    """Takes a second of the store's clock for each network, half of it on a device; can die."""

    def __init__(self, clock: Clock, dies_after: int | None) -> None:
        self._clock, self._dies_after = clock, dies_after
        self._queue: list[Request] = []
        self._count = 0

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests."""
        self._queue += requests

    def wait(self) -> list[Evaluated]:
        """Answer the next."""
        if self._count == self._dies_after:
            raise Killed
        self._count += 1
        self._clock.advance(1.0)
        key = self._queue.pop(0).key
        return [Evaluated(key, {"accuracy": int(key[:4], 16) / 65536}, device_seconds=DEVICE_SECONDS)]

    def close(self) -> None:
        """Nothing to let go of."""


@pytest.mark.parametrize("kills", [(), (9, 3, 0)])
@pytest.mark.parametrize(
    ("limit", "evaluations", "reason"),
    [
        # Batches of eight are asked for while less than the limit is spent: at 0, 8, 16 and 24 s, and at 0, 4 and 8 s.
        ({"wall_seconds": 30.0}, 32, r"it ran for 32\.\d s, and its budget is a wall time of 30 s"),
        ({"device_seconds": 12.0}, 24, r"devices were busy for 12\.0 s, and its budget is a device time of 12 s"),
        ({"wall_seconds": 1e6, "device_seconds": 1e6}, 40, r"its 40 evaluations are made"),
    ],
)
def test_time_ends_a_search(
    tmp_path: Path, kills: tuple[int, ...], limit: dict[str, float], evaluations: int, reason: str
) -> None:
    """At the end of the batches that were asked for; time in which nobody ran the job does not count."""
    clock, space = Clock(), small_space()
    with ResultStore(f"sqlite:///{tmp_path}/nas.db", clock=clock) as store:
        job = store.create_job("slow", {})
        for dies_after in (*kills, None):
            clock.advance(1000.0)
            lease = store.claim(job.id, "test", dead_fence=store.job(job.id).fence)
            evaluator = SlowEvaluator(clock, dies_after)
            search = Search(store, lease, space, a_strategy(space, "nsga2"), OBJECTIVES, evaluator,
                            Pace(40, 8, 1, **limit))  # fmt: skip
            if dies_after is None:
                search.run()
                store.finish(lease, JobStatus.SUCCEEDED, end_reason=search.end_reason)
            else:
                with pytest.raises(Killed):
                    search.run()
        ended = store.job(job.id)
        found = store.evaluations(job.id)
    assert ended.evaluated == evaluations
    assert ended.end_reason is not None
    assert pytest.approx(evaluations, abs=0.5) == ended.ran_seconds
    assert sum(each.device_seconds for each in found) == DEVICE_SECONDS * evaluations
    assert re.fullmatch(reason, ended.end_reason)


def test_a_job_asks_for_it(tmp_path: Path) -> None:
    """In its budget; a device time that nothing spends is refused."""
    path = tmp_path / "job.yaml"
    job = {**STATIC_JOB, "budget": {"evaluations": 100, "wall_seconds": 3600, "device_seconds": 60.5}}
    path.write_text(yaml.safe_dump({**job, "objectives": ["macs", "latency_ms@cpu"]}))
    budget = load_job(path).budget
    assert (budget.wall_seconds, budget.device_seconds) == (3600.0, 60.5)
    path.write_text(yaml.safe_dump(job))
    with pytest.raises(ValueError, match=r"budget\.device_seconds: given, but no objective .* is measured on a device"):
        load_job(path)
    path.write_text(yaml.safe_dump({**job, "budget": {"evaluations": 100, "wall_seconds": 0}}))
    with pytest.raises(ValueError, match=r"budget\.wall_seconds: must be"):
        load_job(path)


def test_a_job_ends_by_the_clock(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It succeeds with what it has, and says why it has no more."""
    monkeypatch.setattr("nas.lease_owner._BEAT_SECONDS", 3600.0)  # a slow machine would be late for its first batch
    path, url = tmp_path / "job.yaml", f"sqlite:///{tmp_path}/nas.db"
    budget = {"evaluations": 400, "wall_seconds": 1e-3}
    path.write_text(yaml.safe_dump({**STATIC_JOB, "budget": budget, "execution": {"batch": 4, "in_flight": 1}}))
    ran = CliRunner().invoke(app, ["run", str(path), "--store", url])
    assert ran.exit_code == 0, ran.output
    assert "the search is over: it ran for" in ran.stderr
    told = json.loads(CliRunner().invoke(app, ["show", "latest", "--store", url, "--json"]).stdout)
    assert (told["status"], told["evaluated"]) == ("SUCCEEDED", 4)
    assert told["end_reason"].endswith("its budget is a wall time of 0.001 s")
    assert told["ran_seconds"] > 0
    assert told["device_seconds"] == 0


def test_a_job_whose_training_takes_all_its_time_fails_early(cluster: None, tmp_path: Path) -> None:
    """It says how far it came."""
    path, url = tmp_path / "job.yaml", f"sqlite:///{tmp_path}/nas.db"
    job = {**TRAINED_JOB, "objectives": ["accuracy", "macs"], "supernet": {"epochs": 50, "warmup_epochs": 0}}
    path.write_text(yaml.safe_dump({**job, "budget": {"evaluations": 4, "wall_seconds": 1e-3}}))
    ran = CliRunner().invoke(app, ["run", str(path), "--store", url])
    assert ran.exit_code == 1, ran.output
    told = json.loads(CliRunner().invoke(app, ["show", "latest", "--store", url, "--json"]).stdout)
    assert (told["status"], told["evaluated"]) == ("FAILED", 0)
    assert re.fullmatch(r"it ran for .* s, .* 0.001 s: 1 of 50 epochs of its supernet are trained.*", told["error"])
