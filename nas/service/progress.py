"""How the front of each job grew: looked at once, and from then on only at what is new."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request
from numpy.typing import NDArray

from nas.front import hypervolume
from nas.objectives import Objective, losses, violations
from nas.service.access import READ
from nas.service.points import columns
from nas.service.schemas import Progress as Told
from storage.errors import UnknownJob
from storage.looking import Looking
from storage.records import Job
from storage.store import ResultStore

router = APIRouter(tags=["pictures"])

MOST_JOBS = 50
"""That are told of at once."""

_JOBS = 200
"""Whose traces are kept."""
_AT_ONCE = 20_000
_CHUNK = 1000
_STEPS = 400
"""Steps of one answer: of more, evenly chosen ones and the last."""

Array = NDArray[np.float64]


@dataclass(slots=True)
class _Trace:
    """What is known of one job: its evaluations up to `next`, of which `steps` changed the front."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    next: int = 0
    numbers: list[int] = field(default_factory=list)
    steps: list[Array] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    front: Array = field(default_factory=lambda: np.empty((0, 0)))
    lower: Array | None = None
    upper: Array | None = None


class _Known(NamedTuple):
    """What a trace said at one moment."""

    evaluated: int
    numbers: list[int]
    seconds: list[float]
    steps: Array
    lower: Array | None
    upper: Array | None


class Progress:
    """The traces of the jobs that were looked at last.

    Args:
        store: whose jobs.
    """

    def __init__(self, store: ResultStore) -> None:
        self._store = store
        self._looking = Looking(store)
        self._lock = threading.Lock()
        self._traces: OrderedDict[str, _Trace] = OrderedDict()

    def of(self, job_ids: Sequence[str]) -> list[Told]:
        """The hypervolume after each change of the fronts of jobs, in a box that holds all their results.

        Raises:
            UnknownJob: there is no such job.
            ValueError: the jobs differ in their objectives.
        """
        jobs = [self._store.job(job_id) for job_id in job_ids]
        asked = [[(o["metric"], o["direction"]) for o in job.spec["objectives"]] for job in jobs]
        for job, other in zip(jobs, asked, strict=True):
            if other != asked[0]:
                raise ValueError(f"jobs {jobs[0].id} and {job.id} differ in their objectives; compare others")
        return _told([self._known(job) for job in jobs])

    def _known(self, job: Job) -> "_Known":
        with self._lock:
            trace = self._traces.setdefault(job.id, _Trace())
            self._traces.move_to_end(job.id)
            while len(self._traces) > _JOBS:
                self._traces.popitem(last=False)
        with trace.lock:
            self._read_on(job, trace)
            return _Known(
                trace.next, list(trace.numbers), list(trace.seconds), np.array(trace.steps), trace.lower, trace.upper
            )

    def _read_on(self, job: Job, trace: _Trace) -> None:
        objectives = [Objective(**given) for given in job.spec["objectives"]]
        if not trace.next:
            trace.front = np.empty((0, len(objectives)))
        while trace.next < job.evaluated:
            self._read_part(job, trace, objectives)

    def _read_part(self, job: Job, trace: _Trace, objectives: Sequence[Objective]) -> None:
        metrics = [objective.metric for objective in objectives]
        end = min(job.evaluated, trace.next + _AT_ONCE)
        found = self._looking.points(job.id, metrics, trace.next, end=end)
        table = columns(found, metrics)
        values = dict(zip(metrics, table[2:], strict=True))
        given, broken = losses(objectives, values), violations(objectives, values)
        good = np.flatnonzero((table[1] == 0) & np.isfinite(given).all(axis=1) & (broken <= 0))
        given, numbers = given[good], table[0][good].astype(np.int64)
        if len(given):
            low, high = given.min(axis=0), given.max(axis=0)
            trace.lower = low if trace.lower is None else np.minimum(trace.lower, low)
            trace.upper = high if trace.upper is None else np.maximum(trace.upper, high)
        joined: list[int] = []
        for start in range(0, len(given), _CHUNK):
            part = given[start : start + _CHUNK]
            for place in np.flatnonzero(~_covered(part, trace.front)):
                row = part[place]
                if not _covered(row[None], trace.front)[0]:
                    trace.front = np.concatenate([trace.front[~(row <= trace.front).all(axis=1)], row[None]])
                    trace.steps.append(row)
                    joined.append(int(numbers[start + place]))
        times = self._looking.times(job.id, joined)
        begin = job.started_at or job.created_at
        trace.numbers += joined
        trace.seconds += [max(0.0, (times[number] - begin).total_seconds()) for number in joined]
        trace.next = end


def _covered(rows: Array, front: Array) -> NDArray[np.bool_]:
    """Which (n, m) rows some row of an (k, m) front is as good as, or better than, in every loss."""
    better: NDArray[np.bool_] = np.logical_and.reduce(front[None] <= rows[:, None], axis=2)
    found: NDArray[np.bool_] = np.logical_or.reduce(better, axis=1)
    return found


def _told(jobs: Sequence[_Known]) -> list[Told]:
    boxes = [(job.lower, job.upper) for job in jobs if job.lower is not None and job.upper is not None]
    if not boxes:
        return [Told(evaluated=job.evaluated, numbers=[], seconds=[], hypervolumes=[]) for job in jobs]
    lower = np.min([low for low, _ in boxes], axis=0)
    upper = np.max([high for _, high in boxes], axis=0)
    size = np.where(upper > lower, upper - lower, 1.0)
    corner = np.full(len(size), 1.0 + 1e-9)
    found = []
    for job in jobs:
        count = len(job.steps)
        shown = np.unique(np.linspace(0, count - 1, min(count, _STEPS)).astype(np.intp)).tolist()
        scaled = (job.steps - lower) / size if count else job.steps
        found.append(
            Told(
                evaluated=job.evaluated,
                numbers=[job.numbers[place] for place in shown],
                seconds=[job.seconds[place] for place in shown],
                hypervolumes=[hypervolume(scaled[: place + 1], corner) for place in shown],
            )
        )
    return found


@router.get("/progress", dependencies=[READ])
def progress(request: Request, job: Annotated[list[str], Query(min_length=1, max_length=MOST_JOBS)]) -> list[Told]:
    """The hypervolumes of the fronts of jobs with the same objectives, over their evaluations and over time."""
    traces: Progress = request.app.state.progress
    try:
        return traces.of(job)
    except UnknownJob:
        raise
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
