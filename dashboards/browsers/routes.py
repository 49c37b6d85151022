"""What the page asks the service for, over HTTP.

    POST join                      {"code", "name", "facts", "previous_key"} -> {"key"}
    POST leases                    -> the next model's description, or 204 when there is none in time
    GET  leases/ID/content         -> the model and its inputs
    POST leases/ID/watch           {"running"}: a sign of life -> {"over"}, after a while
    POST leases/ID/answer          what came of the model
    POST leases/ID/return          the model back, without a fault of its own
    POST leave

All but the first carry the key as a bearer token. 401 says that the key is not, or no longer, valid; 410 that the lease
is over.
"""

from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from profilers.browser_lobby import JoinRefused, Lobby
from profilers.frames import Frame
from profilers.joined_browser import JoinedBrowser

POLL_S = 5.0
"""How long a page waits for a model before it asks again."""

WATCH_S = 2.0
"""Seconds between two signs of life."""

MAX_SAMPLES = 100_000

_STATUS = {"code": 403, "guessing": 429, "name": 422, "taken": 409, "full": 503}


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Facts(_Message):
    """What a browser says of itself; see `facts.js`."""

    agent: str = Field(max_length=300)
    platform: str = Field(max_length=100)
    cores: int = Field(ge=1, le=4096)
    memory_gib: float = Field(ge=0, le=1e6)
    isolated: bool
    gpu: str = Field(max_length=200)
    runtime: str = Field(max_length=40)


class Join(_Message):
    """Who wants to join."""

    code: str = Field(max_length=100)
    name: str = Field(max_length=100)
    facts: Facts
    previous_key: str = Field("", max_length=100)


class Watch(_Message):
    """A sign of life."""

    running: bool


class Measured(_Message):
    """A measurement."""

    event: Literal["measured"]
    session_ms: float = Field(ge=0)
    warmup_runs: int = Field(ge=0)
    settled: bool
    runs_per_sample: int = Field(ge=1)
    samples_ms: list[Annotated[float, Field(gt=0)]] = Field(min_length=1, max_length=MAX_SAMPLES)

    def frame(self) -> Frame:
        """The same, as `profilers.answer` has it."""
        header = self.model_dump(exclude={"samples_ms"}) | {"queued_ms": 0.0, "peak_memory_bytes": None}
        return Frame(header, np.array(self.samples_ms, dtype="<f8").tobytes())


class Failed(_Message):
    """Why there is no measurement."""

    event: Literal["failed"]
    message: str = Field(max_length=2000)
    reason: Literal["load", "run", "memory", "wall_clock", "crash", "start"]

    def frame(self) -> Frame:
        """The same, as `profilers.answer` has it."""
        return Frame(self.model_dump(), b"")


def browser_routes(lobby: Lobby) -> APIRouter:
    """The routes of a lobby, below wherever they are mounted."""
    routes = APIRouter()

    def speaker(given: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> tuple[JoinedBrowser, str]:
        return lobby.speaker(given.credentials), given.credentials

    Speaker = Annotated[tuple[JoinedBrowser, str], Depends(speaker)]

    @routes.post("/join")
    def join(asked: Join) -> dict[str, str]:
        try:
            return {"key": lobby.join(asked.code, asked.name, asked.facts.model_dump(), asked.previous_key)}
        except JoinRefused as error:
            raise HTTPException(_STATUS[error.reason], str(error)) from None

    @routes.post("/leases", response_model=None)
    def take(who: Speaker) -> Response | dict[str, object]:
        browser, key = who
        lease = browser.take(key, POLL_S)
        return Response(status_code=204) if lease is None else {"lease": lease.identity, **lease.task.header}

    @routes.get("/leases/{lease}/content")
    def content(who: Speaker, lease: str) -> Response:
        browser, key = who
        return Response(browser.content(key, lease), media_type="application/octet-stream")

    @routes.post("/leases/{lease}/watch")
    def watch(who: Speaker, lease: str, sign: Watch) -> dict[str, bool]:
        browser, key = who
        return {"over": browser.watch(key, lease, sign.running, WATCH_S)}

    @routes.post("/leases/{lease}/answer", status_code=204)
    def finish(who: Speaker, lease: str, answer: Annotated[Measured | Failed, Field(discriminator="event")]) -> None:
        browser, key = who
        browser.finish(key, lease, answer.frame())

    @routes.post("/leases/{lease}/return", status_code=204)
    def give_back(who: Speaker, lease: str) -> None:
        browser, key = who
        browser.give_back(key, lease)

    @routes.post("/leave", status_code=204)
    def leave(who: Speaker) -> None:
        browser, key = who
        browser.leave(key)

    return routes
