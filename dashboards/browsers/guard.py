"""What every answer to a browser carries, and which requests are not answered at all."""

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 8 << 20
"""Largest body of a request: 100,000 samples in JSON take less."""

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    # The three that make a page cross-origin isolated, so that WebAssembly has threads and the clock is fine.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Middleware that adds the headers, and turns away what another site makes a browser send.

    A request counts as meant for us if its host is an address, `localhost`, or a name of this machine; a page of
    another site that has its own name resolve to our address is thereby refused (DNS rebinding).

    Args:
        app: what is guarded.
        hosts: further names under which the service is reached.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app = app
        own = socket.gethostname().lower()
        self._hosts = {"localhost", own, f"{own}.local", *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if refusal := self._refusal(Headers(scope=scope), scope["scheme"]):
            await JSONResponse({"detail": refusal}, 403)(scope, receive, told)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > MAX_BODY_BYTES:
                detail = f"a request has at most {MAX_BODY_BYTES:,} bytes"
                await JSONResponse({"detail": detail}, 413)(scope, receive, told)
                return
        whole: list[Message] = [{"type": "http.request", "body": bytes(body)}]

        async def replayed() -> Message:
            return whole.pop() if whole else await receive()

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


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
