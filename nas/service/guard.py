"""What is turned away before anything of a request is read, and what every answer carries."""

import ipaddress
import socket
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Middleware that adds headers, and refuses what another site makes a browser send.

    A request counts as meant for us if its host is an address, `localhost`, or a name of this machine; a page of
    another site that has its own name resolve to our address is thereby refused (DNS rebinding).

    Args:
        app: what is guarded.
        hosts: further names under which the service is reached.
        headers: set on every answer that does not set them itself.
        body_bytes: largest body of a request, which is then read before the application sees it; without, the
            application counts itself while it reads.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str] = (),
        headers: Mapping[str, str] = HEADERS,
        body_bytes: int | None = None,
    ) -> None:
        self._app = app
        self._body_bytes = body_bytes
        own = socket.gethostname().lower()
        self._hosts = {"localhost", own, f"{own}.local", *(host.lower() for host in hosts)}
        self._headers = dict(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**self._headers, "Cache-Control": "no-store"}.items():
                    headers.setdefault(name, value)
            await send(message)

        if refusal := self._refusal(Headers(scope=scope), scope["scheme"]):
            await JSONResponse({"detail": refusal}, 403)(scope, receive, told)
        elif self._body_bytes is None:
            await self._app(scope, receive, told)
        elif (body := await _whole(receive, self._body_bytes)) is None:
            detail = f"a request has at most {self._body_bytes:,} bytes"
            await JSONResponse({"detail": detail}, 413)(scope, receive, told)
        else:
            once: list[Message] = [{"type": "http.request", "body": body}]

            async def replayed() -> Message:
                return once.pop() if once else await receive()

            await self._app(scope, replayed, told)

    def _refusal(self, headers: Headers, scheme: str) -> str:
        """Say why a request is not answered; nothing if it is."""
        host = headers.get("host", "")
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            name = ""
        if not (name in self._hosts or _is_address(name)):
            return f"this service is not called {name[:100]!r}; name it with --host if it is"
        origin = headers.get("origin")
        if origin is not None and origin != f"{scheme}://{host}":
            return "requests from other sites are not answered"
        return ""


async def _whole(receive: Receive, most: int) -> bytes | None:
    """The body of a request; None as soon as it is too large."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most:
            return None
    return bytes(body)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
