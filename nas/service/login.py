"""Logging in and out with a browser."""

import json

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool

from nas.service.access import LoggedIn, Records, Settings, cookie_name, token_of
from nas.service.bodies import read_text
from nas.service.schemas import Session
from nas.service.sessions import LIFETIME_S
from storage.records import Role

router = APIRouter(prefix="/session", tags=["session"])

_BODY_BYTES = 1000
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": {"token": {"type": "string"}}, "required": ["token"]}
            }
        },
    }
}


@router.get("")
def who(request: Request, settings: Settings) -> Session:
    """Who is logged in; 401 when nobody is."""
    if not settings.tokens:
        return Session(name="everybody", role=Role.ADMIN)
    token = token_of(request)
    if token is None:
        raise HTTPException(401, "nobody is logged in with this browser")
    return Session(name=token.name, role=token.role)


@router.post("", openapi_extra=_BODY)
async def log_in(request: Request, response: Response, records: Records, sessions: LoggedIn) -> Session:
    """Begin a session of this browser with a token of `nas token create`."""
    text = _token(await read_text(request, _BODY_BYTES))
    found = await run_in_threadpool(records.check_token, text)
    if found is None:
        raise HTTPException(401, "this token is not known, or its time is over")
    response.set_cookie(
        cookie_name(request),
        sessions.open(text),
        max_age=int(LIFETIME_S),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return Session(name=found.name, role=found.role)


@router.delete("", status_code=204)
def log_out(request: Request, response: Response, sessions: LoggedIn) -> None:
    """End the session of this browser."""
    sessions.close(request.cookies.get(cookie_name(request), ""))
    response.delete_cookie(cookie_name(request), path="/", httponly=True, samesite="strict")


def _token(body: str) -> str:
    try:
        given = json.loads(body)
    except (json.JSONDecodeError, RecursionError):
        given = None
    if not isinstance(given, dict) or not isinstance(given.get("token"), str):
        raise HTTPException(422, 'the body must be {"token": "..."}')
    return str(given["token"]).strip()
