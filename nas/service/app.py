"""The application: routes under `/v1`, access, and the processes that work while it is served."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from nas.jobspec.errors import JobSpecError
from nas.service import (
    archives,
    encounters,
    events,
    exports,
    health,
    importance,
    jobs,
    login,
    lookups,
    networks,
    points,
    predictors,
    presence,
    progress,
)
from nas.service.drivers import Drivers
from nas.service.guard import Guard
from nas.service.sessions import Sessions
from nas.service.settings import ServiceSettings
from nas.service.tasks import Tasks
from storage.errors import (
    InvalidRecord,
    StoreFailed,
    UnknownArtifact,
    UnknownJob,
    UnknownTask,
    WrongStatus,
)
from storage.service_records import ServiceRecords
from storage.store import ResultStore

PREFIX = "/v1"

_PARTS = (
    *(login, jobs, events, points, progress, importance, archives, encounters, networks, predictors, exports),
    *(presence, lookups, health),
)

_STATUS: dict[type[Exception], int] = {
    UnknownJob: 404,
    UnknownTask: 404,
    UnknownArtifact: 404,
    WrongStatus: 409,
    InvalidRecord: 422,
    StoreFailed: 503,
}


def create_app(store: ResultStore, settings: ServiceSettings) -> FastAPI:
    """The API over an open store. While it is served, its drivers run waiting jobs and its tasks are done.

    Args:
        store: open; closed by the caller.
        settings: what the operator decided.
    """
    records, metrics = ServiceRecords(store), health.Metrics(store)
    drivers, tasks = Drivers(store, settings), Tasks(records, settings)

    @asynccontextmanager
    async def working(app: FastAPI) -> AsyncIterator[None]:
        drivers.start()
        tasks.start()
        try:
            yield
        finally:
            await run_in_threadpool(tasks.stop)
            await run_in_threadpool(drivers.stop)

    # In the order in which a request meets them: who it comes from is known before its Origin is judged.
    middleware = [
        Middleware(health.Counting, metrics=metrics),
        Middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.proxies)),
        Middleware(Guard, hosts=settings.hosts),
    ]
    app = FastAPI(
        title="nas",
        version="1",
        description="Hardware-aware neural architecture search.",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=working,
        middleware=middleware,
        exception_handlers={
            **{kind: _answering(status) for kind, status in _STATUS.items()},
            JobSpecError: _job_problems,
        },
    )
    app.state.store, app.state.records = store, records
    app.state.settings, app.state.metrics = settings, metrics
    app.state.sessions, app.state.progress = Sessions(), progress.Progress(store)
    app.state.networks, app.state.presence = networks.Networks(store, settings), presence.Presences(store)
    api = APIRouter(prefix=PREFIX)
    for part in _PARTS:
        api.include_router(part.router)
    app.include_router(api)
    return app


def _answering(status: int) -> Callable[[Request, Any], Coroutine[Any, Any, JSONResponse]]:
    async def answer(request: Request, error: Exception) -> JSONResponse:
        # Where the store lies is nobody's business; what broke there stands in the operator's log.
        name = request.app.state.store.name
        told = str(error).replace(f" in store {name}", "").replace(name, "")
        detail = "the store does not answer" if status >= 500 else told
        return JSONResponse({"detail": detail}, status)

    return answer


async def _job_problems(request: Request, error: Any) -> JSONResponse:
    problems = [{"where": problem.path, "message": problem.message} for problem in error.problems]
    return JSONResponse({"detail": str(error), "problems": problems}, 422)
