"""What happens in a job, as it happens: server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from nas.service.access import READ, Store
from nas.service.schemas import Evaluation, Job
from storage.records import Job as JobRecord
from storage.store import ResultStore

router = APIRouter(prefix="/jobs", tags=["jobs"])

_POLL_SECONDS = 0.25
_QUIET_SECONDS = 15.0
_AT_ONCE = 500


@router.get("/{job_id}/events", dependencies=[READ], response_class=StreamingResponse)
async def events(
    job_id: str,
    request: Request,
    store: Store,
    start: Annotated[int, Query(ge=0, lt=2**31, description="The first evaluation that is told.")] = 0,
    last_event_id: Annotated[int | None, Header(ge=0, lt=2**31)] = None,
) -> StreamingResponse:
    """`job` when its status changes, `evaluation` for each, until the job has ended.

    The id of an event is the number of the last evaluation told, so a client that lost its connection goes on where it
    stopped by sending it back as `Last-Event-ID`, as browsers do.
    """
    first = start if last_event_id is None else last_event_id + 1
    job = await run_in_threadpool(store.job, job_id)
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(_events(request, store, job, first), media_type="text/event-stream", headers=headers)


async def _events(request: Request, store: ResultStore, job: JobRecord, number: int) -> AsyncIterator[str]:
    told, quiet = None, 0.0
    while not await request.is_disconnected():
        state = (job.status, job.paused, job.priority, job.error)
        if state != told:
            yield _event("job", Job.model_validate(job).model_dump_json(), number - 1)
            told, quiet = state, 0.0
        found = []
        if job.evaluated > number:
            found = await run_in_threadpool(store.evaluations, job.id, start=number, limit=_AT_ONCE)
        for each in found:
            number = each.number + 1
            yield _event("evaluation", Evaluation.model_validate(each).model_dump_json(), each.number)
            quiet = 0.0
        if job.evaluated <= number:
            if job.status.ended:
                yield _event("end", json.dumps({"status": job.status}), number - 1)
                return
            await asyncio.sleep(_POLL_SECONDS)
            quiet += _POLL_SECONDS
            if quiet >= _QUIET_SECONDS:
                yield ": still here\n\n"
                quiet = 0.0
        job = await run_in_threadpool(store.job, job.id)


def _event(kind: str, data: str, number: int) -> str:
    name = f"id: {number}\n" if number >= 0 else ""
    return f"{name}event: {kind}\ndata: {data}\n\n"
