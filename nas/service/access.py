"""Who may do what: a token with a role on every request, unless the operator wants none."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from nas.service.settings import ServiceSettings
from storage.records import Role
from storage.service_records import ServiceRecords
from storage.store import ResultStore

_bearer = HTTPBearer(auto_error=False, description="A token of `nas token create`.")


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


Store = Annotated[ResultStore, Depends(store_of)]
Records = Annotated[ServiceRecords, Depends(records_of)]
Settings = Annotated[ServiceSettings, Depends(settings_of)]


def needs(role: Role) -> Callable[..., None]:
    """A dependency that lets requests in whose token has this role or a greater one."""

    def check(
        request: Request,
        records: Records,
        settings: Settings,
        given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> None:
        if not settings.tokens:
            return
        challenge = {"WWW-Authenticate": "Bearer"}
        if given is None:
            raise HTTPException(401, "a token is needed: Authorization: Bearer TOKEN", challenge)
        token = records.check_token(given.credentials)
        if token is None:
            raise HTTPException(401, "the token is not known, or its time is over", challenge)
        if not token.role.may(role):
            raise HTTPException(403, f"this needs a token with the role {role}; yours has {token.role}")

    return check


READ = Depends(needs(Role.READ))
SUBMIT = Depends(needs(Role.SUBMIT))
ADMIN = Depends(needs(Role.ADMIN))
