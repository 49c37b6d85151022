"""The pages as one application, mounted beside the API of a service."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as AnyHTTPException

from dashboards.pages.joining import Joining
from dashboards.pages.rendering import STATIC, THEME, Pages
from nas.service.access import Store, settings_of, token_of
from nas.service.app import PREFIX
from storage.errors import StoreError, UnknownJob
from storage.records import Job, Role, Token


class NotLoggedIn(Exception):
    """A page was asked for by a browser that has to log in first."""


class _Files(StaticFiles):
    """Files that a browser asks about each time and fetches again only when they have changed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


class Reader:
    """Who looks at a page.

    Attributes:
        name: of the token.
        role: what it allows.
        logged_in: whether there is a session to end; without tokens there is none.
    """

    def __init__(self, token: Token | None) -> None:
        self.name = "everybody" if token is None else token.name
        self.role = Role.ADMIN if token is None else token.role
        self.logged_in = token is not None


def reader(request: Request) -> Reader:
    """Who looks at a page. Raises `NotLoggedIn`."""
    if not settings_of(request).tokens:
        return Reader(None)
    token = token_of(request)
    if token is None:
        raise NotLoggedIn
    return Reader(token)


Seen = Annotated[Reader, Depends(reader)]


def add_pages(app: FastAPI, joining: Joining | None = None) -> None:
    """Let a service answer with pages wherever its API does not.

    Args:
        app: the service.
        joining: where browsers join as devices, if that is to be shown to those who may submit.
    """
    pages = FastAPI(openapi_url=None)
    pages.state = app.state
    show = Pages()
    pages.add_exception_handler(NotLoggedIn, _to_login)
    pages.add_exception_handler(UnknownJob, _unknown_job(show))
    pages.add_exception_handler(StoreError, _failed(show, 503, "The store does not answer"))
    pages.add_exception_handler(Exception, _failed(show, 500, "Something broke here"))
    pages.add_exception_handler(AnyHTTPException, _not_found(show))
    pages.add_api_route("/static/theme.css", _theme)
    pages.mount("/static", _Files(directory=STATIC))
    _add_routes(pages, show, joining)
    app.mount("/", pages)


def _theme() -> FileResponse:
    return FileResponse(THEME, media_type="text/css", headers={"Cache-Control": "no-cache"})


def _add_routes(pages: FastAPI, show: Pages, joining: Joining | None) -> None:
    @pages.get("/login")
    def login(request: Request, next: str = "/") -> Response:  # noqa: A002 - what the address calls it
        """Where a token is given; `next` is a page of ours, or it is the first one."""
        return show("login.html", request, None, next=next if _is_ours(next) else "/")

    @pages.get("/")
    def jobs(request: Request, seen: Seen) -> Response:
        return show("jobs.html", request, seen)

    @pages.get("/submit")
    def submit(request: Request, seen: Seen) -> Response:
        return show("submit.html", request, seen)

    @pages.get("/jobs/{job_id}")
    def job(request: Request, seen: Seen, job_id: str, store: Store) -> Response:
        return show("job.html", request, seen, job=_facts(store.job(job_id)))

    @pages.get("/jobs/{job_id}/networks/{key}")
    def network(request: Request, seen: Seen, job_id: str, key: str, store: Store) -> Response:
        if len(key) != 64 or set(key) - set("0123456789abcdef"):
            raise HTTPException(404, f"{key[:80]!r} is not the key of a network")
        return show("network.html", request, seen, job=_facts(store.job(job_id)), key=key)

    @pages.get("/devices")
    def devices(request: Request, seen: Seen) -> Response:
        return show("devices.html", request, seen, joining=joining if seen.role.may(Role.SUBMIT) else None)

    @pages.get("/predictors")
    def predictors(request: Request, seen: Seen) -> Response:
        return show("predictors.html", request, seen)

    @pages.get("/compare")
    def compare(request: Request, seen: Seen, job: Annotated[list[str] | None, Query()] = None) -> Response:
        return show("compare.html", request, seen, chosen=job or [])


def _facts(job: Job) -> dict[str, Any]:
    return {"id": job.id, "name": job.name, "objectives": job.spec.get("objectives", [])}


def _is_ours(path: str) -> bool:
    """Whether an address is a page of this service: another host would begin with two slashes."""
    return path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()


async def _to_login(request: Request, error: Exception) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse("/login?" + urlencode({"next": f"{request.url.path}{query}"}), 303)


def _unknown_job(show: Pages) -> Any:
    def answer(request: Request, error: UnknownJob) -> Response:
        return show("error.html", request, None, 404, title="No such job", detail=f"There is no job {error.job_id!r}.")

    return answer


def _failed(show: Pages, status: int, title: str) -> Any:
    def answer(request: Request, error: Exception) -> Response:
        detail = "Nothing is lost. Try again in a moment; what broke stands in the service's log."
        return show("error.html", request, None, status, title=title, detail=detail)

    return answer


def _not_found(show: Pages) -> Any:
    def answer(request: Request, error: AnyHTTPException) -> Response:
        if request.url.path.startswith(f"{PREFIX}/"):
            return JSONResponse({"detail": error.detail}, error.status_code)
        title = "No such page" if error.status_code == 404 else f"Error {error.status_code}"
        detail = error.detail if error.detail != "Not Found" else f"There is nothing at {request.url.path[:200]}."
        return show("error.html", request, None, error.status_code, title=title, detail=detail)

    return answer
