"""The evaluations of a job as columns of numbers, thinned where there are too many to look at."""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Response
from numpy.typing import NDArray

from nas.jobspec.metric_names import TRAINED
from nas.objectives import Objective, deviation
from nas.service.access import READ, Looked, Store
from nas.service.schemas import Failure
from storage.looking import Looking
from storage.points import Points
from storage.records import JobStatus
from storage.store import ResultStore

router = APIRouter(prefix="/jobs/{job_id}", tags=["pictures"])

MOST_POINTS = 50_000
"""Evaluations of one answer; of more, every so many-th and the front."""

MOST_METRICS = 12

KIND = "application/vnd.nas.points"


@router.get("/points", dependencies=[READ], response_class=Response, responses={200: {"content": {KIND: {}}}})
def points(
    job_id: str,
    store: Store,
    start: Annotated[int, Query(ge=0, lt=2**31, description="The first evaluation.")] = 0,
) -> Response:
    """Evaluations as columns: 4 bytes that say how long a JSON header is, the header, and its columns.

    The header has `columns`, their names; `rows`; `stride`, 1 unless evaluations are left out; `front`, the numbers of
    those on the front; `objectives`; `next`, the evaluation to go on from. Each column is `rows` 64-bit floats, little-
    endian, NaN where there is no value; the first two are `number` and `failed`. What was measured anew at the end of
    the job stands in the place of what the search went by. Spaces after the header align them.
    """
    return Response(points_of(store, job_id, start), media_type=KIND)


@router.get("/failures", dependencies=[READ])
def failures(job_id: str, looked: Looked) -> list[Failure]:
    """Why evaluations failed, the most frequent causes first."""
    return [Failure.model_validate(each) for each in looked.failures(job_id)]


def points_of(store: ResultStore, job_id: str, start: int = 0) -> bytes:
    """What `points` answers, of a store that is open."""
    job, looking = store.job(job_id), Looking(store)
    known = looking.metric_names(job_id)
    objectives = [Objective(**given) for given in job.spec["objectives"]]
    if job.status is JobStatus.SUCCEEDED:  # the front is then that of the networks that were trained, if there are any
        trained = {each.metric: f"{each.metric}{TRAINED}" for each in objectives if f"{each.metric}{TRAINED}" in known}
        objectives = [each.model_copy(update={"metric": trained.get(each.metric, each.metric)}) for each in objectives]
    metrics = shown_metrics(objectives, known)
    stride = max(1, -(-(job.evaluated - start) // MOST_POINTS))
    found = looking.points(job_id, metrics, start, stride=stride)
    header = {
        "columns": ["number", "failed", *metrics],
        "rows": len(found.numbers),
        "stride": stride,
        "front": list(found.front),
        "objectives": [objective.model_dump() for objective in objectives],
        "next": max(job.evaluated, found.numbers[-1] + 1 if found.numbers else 0, start),
    }
    table = columns(found, metrics)
    for number, metric, value in looking.replicated(job_id):
        _report(table, metrics, number, {metric: value, deviation(metric): 0.0})
    return packed(header, table)


def _report(table: NDArray[np.float64], metrics: Sequence[str], number: int, values: Mapping[str, float]) -> None:
    """Put what was measured anew in the place of what the search went by."""
    place = int(np.searchsorted(table[0], number))
    if place == table.shape[1] or table[0, place] != number:
        return
    for metric, value in values.items():
        if metric in metrics:
            table[2 + metrics.index(metric), place] = value


def shown_metrics(objectives: Sequence[Objective], known: Sequence[str]) -> list[str]:
    """The metrics that are looked at: the objectives, how sure their predictions are, then others."""
    first = [objective.metric for objective in objectives]
    unsure = [deviation(metric) for metric in first if deviation(metric) in known]
    return list(dict.fromkeys([*first, *unsure, *known]))[: max(MOST_METRICS, len(first) + len(unsure))]


def columns(found: Points, metrics: Sequence[str]) -> NDArray[np.float64]:
    """The (2 + m, n) columns of n evaluations."""
    numbers = np.array(found.numbers, np.float64)
    table = np.full((2 + len(metrics), len(numbers)), np.nan)
    table[0], table[1] = numbers, found.failed
    for row, metric in enumerate(metrics, 2):
        if found.values[metric]:
            pairs = np.array(found.values[metric], np.float64)
            table[row, np.searchsorted(numbers, pairs[:, 0])] = pairs[:, 1]
    return table


def packed(header: dict[str, Any], table: NDArray[np.float64]) -> bytes:
    """The answer: what `points` describes."""
    text = json.dumps(header).encode()
    text += b" " * (-(4 + len(text)) % 8)
    return struct.pack("<I", len(text)) + text + np.ascontiguousarray(table, "<f8").tobytes()
