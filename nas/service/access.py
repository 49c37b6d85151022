"""Who may do what: a token or a logged-in browser with a role on every request, unless the operator wants none."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from nas.service.sessions import Sessions
from nas.service.settings import ServiceSettings
from storage.looking import Looking
from storage.records import Role, Token
from storage.service_records import ServiceRecords
from storage.store import ResultStore

_bearer = HTTPBearer(auto_error=False, description="A token of `nas token create`.")
Found = TypeVar("Found")
_SAFE = ("GET", "HEAD")


def store_of(request: Request) -> ResultStore:
    """The open store of the application."""
    store: ResultStore = request.app.state.store
    return store


def records_of(request: Request) -> ServiceRecords:
    """The service's own records."""
    records: ServiceRecords = request.app.state.records
    return records


def settings_of(request: Request) -> ServiceSettings:
    """What the operator decided."""
    settings: ServiceSettings = request.app.state.settings
    return settings


def sessions_of(request: Request) -> Sessions:
    """The browsers that are logged in."""
    sessions: Sessions = request.app.state.sessions
    return sessions


def looking_of(request: Request) -> Looking:
    """What pictures are made of."""
    return Looking(store_of(request))


def _at_once(find: Callable[[Request], Found]) -> Callable[[Request], Awaitable[Found]]:
    """A dependency that waits for nothing: a plain function would be given a thread with every request."""

    async def found(request: Request) -> Found:
        return find(request)

    return found


Store = Annotated[ResultStore, Depends(_at_once(store_of))]
Records = Annotated[ServiceRecords, Depends(_at_once(records_of))]
Settings = Annotated[ServiceSettings, Depends(_at_once(settings_of))]
LoggedIn = Annotated[Sessions, Depends(_at_once(sessions_of))]
Looked = Annotated[Looking, Depends(_at_once(looking_of))]


def cookie_name(request: Request) -> str:
    """The name of the cookie that holds a session; services on other ports of the same host have their own."""
    return f"nas_session_{request.url.port or request.url.scheme}"


def token_of(request: Request, given: HTTPAuthorizationCredentials | None = None) -> Token | None:
    """The token that a request comes with, in its header or by its session; None when there is none that is good.

    Raises:
        HTTPException: a request that changes something comes with a cookie and does not say from which page.
    """
    records = records_of(request)
    if given is not None:
        return records.check_token(given.credentials)
    text = sessions_of(request).token(request.cookies.get(cookie_name(request), ""))
    if text is None:
        return None
    # Browsers name the origin of whatever changes something, and the guard has compared it with ours.
    if request.method not in _SAFE and "origin" not in request.headers:
        raise HTTPException(403, "a request of a browser that changes something needs an Origin")
    return records.check_token(text)


def who_asks(
    request: Request, settings: Settings, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Token | None:
    """The token of a request; None where the operator wants none."""
    return token_of(request, given) if settings.tokens else None


Who = Annotated[Token | None, Depends(who_asks)]


def needs(role: Role) -> Callable[..., Awaitable[None]]:
    """A dependency that lets requests in whose token has this role or a greater one."""

    async def check(request: Request, settings: Settings, token: Who) -> None:
        if not settings.tokens:
            return
        challenge = {"WWW-Authenticate": "Bearer"}
        if token is None:
            known = "authorization" in request.headers or cookie_name(request) in request.cookies
            detail = (
                "the token is not known, or its time is over"
                if known
                else "a token is needed: log in, or send Authorization: Bearer TOKEN"
            )
            raise HTTPException(401, detail, challenge)
        if not token.role.may(role):
            raise HTTPException(403, f"this needs a token with the role {role}; yours has {token.role}")

    return check


READ = Depends(needs(Role.READ))
SUBMIT = Depends(needs(Role.SUBMIT))
ADMIN = Depends(needs(Role.ADMIN))
