"""Jobs over HTTP: submit, list, show, cancel, pause, resume."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.concurrency import run_in_threadpool

from nas.jobspec.document import DocumentError, parse_text
from nas.jobspec.errors import JobSpecError
from nas.jobspec.load import parse_job
from nas.jobspec.spec import JobSpec
from nas.objectives import Objective, deviation
from nas.service.access import READ, SUBMIT, Settings, Store, Who
from nas.service.bodies import described, read_text, reading
from nas.service.orders import Priority
from nas.service.schemas import Evaluation, Front, Job, Page, Verdict
from storage.records import JobStatus, Replication
from storage.store import ResultStore

MOST_AT_ONCE = 1000
"""Rows of one answer."""

router = APIRouter(prefix="/jobs", tags=["jobs"])

_JOB_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/yaml": {"schema": {"type": "string", "description": "A job file."}},
            "application/json": {"schema": {"type": "object", "description": "The same as JSON."}},
        },
    }
}


@router.post("", status_code=201, dependencies=[SUBMIT], openapi_extra=_JOB_BODY)
async def submit(request: Request, store: Store, settings: Settings, who: Who) -> Job:
    """Queue a job, if nothing is wrong with it: YAML, or JSON with `Content-Type: application/json`."""
    text = await read_text(request, settings.job_bytes)
    try:
        return await run_in_threadpool(_queue, text, _is_json(request), store, settings, who)
    except DocumentError as error:
        raise HTTPException(400, str(error)) from None


@router.post("/verdicts", dependencies=[SUBMIT], openapi_extra=_JOB_BODY)
async def judge(request: Request, settings: Settings) -> Verdict:
    """Say what is wrong with a job without submitting it."""
    text = await read_text(request, settings.job_bytes)
    try:
        spec = await run_in_threadpool(_judged, text, _is_json(request), settings)
    except DocumentError as error:
        return Verdict(name=None, problems=[{"where": "", "message": str(error)}])
    except JobSpecError as error:
        return Verdict(name=None, problems=[{"where": each.path, "message": each.message} for each in error.problems])
    return Verdict(name=spec.name, problems=[])


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").split(";")[0].strip() == "application/json"


def _judged(text: str, is_json: bool, settings: Settings) -> JobSpec:
    """The job in a text; reading it and files that it names may be slow, so not where requests are received."""
    folders = tuple(settings.data_folders)
    plain = parse_text(text, json_format=is_json)
    return parse_job(plain, source="the job", allow_code=settings.allow_code, allowed_folders=folders)


def _queue(text: str, is_json: bool, store: Store, settings: Settings, who: Who) -> Job:
    spec = _judged(text, is_json, settings)
    submitted_by = None if who is None else who.name
    return Job.model_validate(store.create_job(spec.name, spec.model_dump(mode="json"), submitted_by=submitted_by))


@router.get("", dependencies=[READ])
def list_jobs(
    store: Store,
    status: JobStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 100,
) -> list[Job]:
    """Jobs, newest first."""
    return [Job.model_validate(job) for job in store.jobs(status, limit)]


@router.get("/{job_id}", dependencies=[READ])
def show(job_id: str, store: Store) -> Job:
    """One job."""
    return Job.model_validate(store.job(job_id))


@router.post("/{job_id}/cancel", dependencies=[SUBMIT])
def cancel(job_id: str, store: Store) -> Job:
    """End a job that waits or runs; what it found stays."""
    store.cancel(job_id)
    return Job.model_validate(store.job(job_id))


@router.post("/{job_id}/pause", dependencies=[SUBMIT])
def pause(job_id: str, store: Store) -> Job:
    """Let a job wait until it is resumed; what it found stays."""
    store.pause(job_id)
    return Job.model_validate(store.job(job_id))


@router.post("/{job_id}/resume", dependencies=[SUBMIT])
def resume(job_id: str, store: Store) -> Job:
    """Let a paused, failed or cancelled job go on where it stopped."""
    store.unpause(job_id)
    if store.job(job_id).status in (JobStatus.FAILED, JobStatus.CANCELLED):
        store.requeue(job_id)
    return Job.model_validate(store.job(job_id))


@router.put("/{job_id}/priority", dependencies=[SUBMIT], openapi_extra=described(Priority))
def prioritise(job_id: str, store: Store, order: Annotated[Priority, reading(Priority)]) -> Job:
    """Of the jobs that wait, the greatest priority is next."""
    store.prioritise(job_id, order.priority)
    return Job.model_validate(store.job(job_id))


@router.get("/{job_id}/evaluations", dependencies=[READ])
def evaluations(
    job_id: str,
    store: Store,
    start: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 100,
    failed: Annotated[bool | None, Query(description="Only those that failed, or only those that did not.")] = None,
) -> Page:
    """Evaluations in the order of telling, from `start` on; a filter may leave fewer than `limit`."""
    found = store.evaluations(job_id, start=start, limit=limit)
    kept = [each for each in found if failed is None or (each.error is not None) is failed]
    return Page(
        evaluations=[Evaluation.model_validate(each) for each in kept],
        next=found[-1].number + 1 if len(found) == limit else None,
    )


@router.get("/{job_id}/front", dependencies=[READ])
def front(job_id: str, store: Store) -> Front:
    """What cannot be improved without giving something up; while the job runs, so far."""
    return front_of(store, job_id)


def front_of(store: ResultStore, job_id: str) -> Front:
    """The front of a job, of a store that is open, with what was measured anew in the place of what was searched by."""
    objectives = [Objective(**given) for given in store.job(job_id).spec["objectives"]]
    anew: dict[str, dict[str, Replication]] = {}
    for row in store.replications(job_id):
        anew.setdefault(row.architecture_key, {})[row.metric] = row
    found = []
    for each in store.front(job_id):
        measured = {metric: row.value for metric, row in anew.get(each.architecture_key, {}).items()}
        sure = {deviation(metric): 0.0 for metric in measured if deviation(metric) in each.metrics}
        found.append(replace(each, metrics={**each.metrics, **measured, **sure}))
    return Front(
        objectives=[objective.model_dump() for objective in objectives],
        evaluations=[Evaluation.model_validate(each) for each in found],
        unstable=[key for key, rows in anew.items() if not all(row.stable for row in rows.values())],
    )
