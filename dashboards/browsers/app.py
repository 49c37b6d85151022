"""The page and its routes as one application, to be served alone or mounted in another."""

from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse
from starlette.middleware import Middleware

from dashboards.browsers.headers import HEADERS, MAX_BODY_BYTES
from dashboards.browsers.routes import browser_routes
from dashboards.browsers.runtime import FILES, VERSION
from nas.service.guard import Guard
from profilers.browser_lobby import Lobby
from profilers.joined_browser import LeaseOver, NotJoined

_STATIC = Path(__file__).parent / "static"
_THEME = Path(__file__).parents[1] / "theme.css"

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}


def browser_app(lobby: Lobby, runtime: Path, hosts: Collection[str] = ()) -> FastAPI:
    """The application in which browsers join a lobby.

    Args:
        lobby: where they join.
        runtime: folder with the files of ONNX Runtime Web, see `runtime.find`.
        hosts: see `nas.service.guard.Guard`.
    """
    app = FastAPI(
        openapi_url=None,
        middleware=[Middleware(Guard, hosts=hosts, headers=HEADERS, body_bytes=MAX_BODY_BYTES)],
        exception_handlers={
            NotJoined: _says(401, "this page has not joined, or another one has taken its place"),
            LeaseOver: _says(410, "nobody waits for this model any more"),
        },
    )
    app.include_router(browser_routes(lobby))

    @app.get("/runtime.json")
    def version() -> dict[str, str]:
        return {"version": VERSION}

    for name, kind in FILES.items():
        _file(app, f"/runtime/{VERSION}/{name}", runtime / name, kind, _FOR_EVER)
    for page in (_THEME, *sorted(_STATIC.iterdir())):
        _file(app, "/" if page.name == "index.html" else f"/{page.name}", page, _TYPES[page.suffix], {})
    return app


def _file(app: FastAPI, path: str, file: Path, kind: str, headers: dict[str, str]) -> None:
    """Serve one file."""

    def serve() -> FileResponse:
        return FileResponse(file, media_type=kind, headers=headers)

    app.add_api_route(path, serve, methods=["GET"], response_class=FileResponse)


def _says(status: int, detail: str) -> Callable[[Request, Any], Coroutine[Any, Any, JSONResponse]]:
    """Answer an exception."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": detail}, status)

    return answer
