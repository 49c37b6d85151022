"""Exports and profiles over HTTP: tasks in the background, and the files that they make."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from nas.service.access import READ, SUBMIT, Records, Settings, Store
from nas.service.bodies import described, reading, save
from nas.service.orders import ExportOrder
from nas.service.schemas import Artifact, Task

router = APIRouter()

_MODEL_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "/jobs/{job_id}/exports",
    status_code=202,
    dependencies=[SUBMIT],
    tags=["exports"],
    openapi_extra=described(ExportOrder),
)
def export(job_id: str, records: Records, order: Annotated[ExportOrder, reading(ExportOrder)]) -> Task:
    """Export a network of the front as ONNX: `knee`, `best:METRIC`, or the beginning of an architecture's key."""
    return Task.model_validate(records.create_task("export", job_id, order.model_dump()))


@router.post("/models", status_code=202, dependencies=[SUBMIT], tags=["exports"], openapi_extra=_MODEL_BODY)
async def profile(request: Request, records: Records, settings: Settings) -> Task:
    """Measure an ONNX file, the body of the request, on this machine's CPU."""
    path = await save(request, settings.folder / "uploads", settings.model_bytes)
    try:
        task = await run_in_threadpool(records.create_task, "profile", None, {"file": path.name})
        return Task.model_validate(task)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@router.get("/tasks/{task_id}", dependencies=[READ], tags=["exports"])
def task(task_id: str, records: Records) -> Task:
    """Where a task stands; its result, when it has one."""
    return Task.model_validate(records.task(task_id))


@router.get("/jobs/{job_id}/artifacts", dependencies=[READ], tags=["exports"])
def artifacts(job_id: str, store: Store) -> list[Artifact]:
    """The files that a job made, newest first."""
    return [Artifact.model_validate(each) for each in store.artifacts(job_id)]


@router.get("/artifacts/{artifact_id}", dependencies=[READ], tags=["exports"])
def artifact(artifact_id: str, store: Store) -> Artifact:
    """One file's record."""
    return Artifact.model_validate(store.artifact(artifact_id))


@router.get("/artifacts/{artifact_id}/content", dependencies=[READ], tags=["exports"], response_class=FileResponse)
def content(artifact_id: str, store: Store, settings: Settings) -> FileResponse:
    """One file's bytes. Files that a user exported to a place of their own are not told."""
    found = store.artifact(artifact_id)
    path = Path(found.path).resolve()
    if not path.is_relative_to(settings.folder.resolve()) or not path.is_file():
        raise HTTPException(410, "this file does not lie with the service, or is gone")
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)
