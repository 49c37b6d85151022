"""Whether the service is well, for people and for Prometheus."""

import time
from collections.abc import Iterator

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nas.service.access import READ, Store
from storage.records import JobStatus
from storage.store import ResultStore

router = APIRouter(tags=["health"])


@router.get("/health")
def health(store: Store) -> dict[str, str]:
    """`ok` when the store answers; needs no token and tells nothing."""
    store.jobs(limit=1)
    return {"status": "ok"}


@router.get("/metrics", dependencies=[READ], response_class=Response)
def metrics(request: Request) -> Response:
    """Prometheus' text format: jobs by status, requests, how long they took."""
    return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)


class Metrics:
    """What is counted: requests by route and status as they end, jobs by status when they are asked for."""

    def __init__(self, store: ResultStore) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Jobs(store))
        labels = ["method", "route"]
        self.requests = Counter("nas_requests", "Requests that ended.", [*labels, "status"], registry=self.registry)
        self.seconds = Histogram("nas_request_seconds", "How long they took.", labels, registry=self.registry)


class Counting:
    """Middleware that counts requests, by the route and never by the path, of which there are endlessly many."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, told)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.requests.labels(scope["method"], route, status).inc()
            self._metrics.seconds.labels(scope["method"], route).observe(time.perf_counter() - started)


class _Jobs(Collector):
    def __init__(self, store: ResultStore) -> None:
        self._store = store

    def collect(self) -> Iterator[GaugeMetricFamily]:
        counts = self._store.count_jobs()
        gauge = GaugeMetricFamily("nas_jobs", "Jobs by status.", labels=["status"])
        for status in JobStatus:
            gauge.add_metric([status], counts.get(status, 0))
        yield gauge
