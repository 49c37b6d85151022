"""The service behind `nas browser-agent serve`: a page for browsers, and an agent for jobs."""

import socket
import ssl
import threading
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from dashboards.browsers.app import browser_app
from dashboards.browsers.runtime import find
from profilers.address import read_address, show_address
from profilers.agent_server import AgentServer
from profilers.agent_token import Token
from profilers.browser_bench import BROWSER_LIMITS, BrowserBenches
from profilers.browser_lobby import Lobby
from profilers.limits import Limits


@dataclass(frozen=True, slots=True)
class Tls:
    """Files for encrypted connections, of browsers and jobs alike."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """The context of a server.

        Raises:
            OSError: the files cannot be read, or do not belong together.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context


class _WebServer(uvicorn.Server):
    """Lets go of pages that wait for an answer before it ends."""

    def __init__(self, config: uvicorn.Config, lobby: Lobby) -> None:
        super().__init__(config)
        self._lobby = lobby

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._lobby.close()
        await super().shutdown(sockets)


class BrowserService:
    """Listens for browsers and for jobs.

    Args:
        page: `HOST:PORT` for browsers; port 0 takes a free one.
        serve: `HOST:PORT` for jobs.
        token: what jobs have to know.
        code: what browsers have to know; drawn if not given.
        tls: for encrypted connections.
        limits: what a model may use in a browser at most.
        hosts: names under which browsers reach the page, beside addresses, localhost and this machine's name.
        runtime: folder with the files of ONNX Runtime Web.

    Raises:
        ValueError: an argument makes no sense.
        OSError: an address cannot be listened on, or a file cannot be read.
        RuntimeFilesError: the files are not there.
    """

    def __init__(
        self,
        page: str,
        serve: str,
        token: Token,
        *,
        code: str | None = None,
        tls: Tls | None = None,
        limits: Limits = BROWSER_LIMITS,
        hosts: Collection[str] = (),
        runtime: Path | None = None,
    ) -> None:
        self.lobby = Lobby(code)
        host, port = read_address(page)
        config = uvicorn.Config(
            browser_app(self.lobby, find(runtime), hosts),
            host=host,
            port=port,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=1,
            ssl_certfile=tls.certificate if tls else None,
            ssl_keyfile=tls.key if tls else None,
        )
        self._web = _WebServer(config, self.lobby)
        context = tls.context() if tls else None
        self._socket = config.bind_socket()
        scheme = "https" if tls else "http"
        shown = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104 - that is what is asked
        self.page = f"{scheme}://{show_address(shown, self._socket.getsockname()[1])}/"
        self._benches = BrowserBenches(self.lobby, limits, self.page)
        try:
            self._agent = AgentServer(read_address(serve), self._benches.find, token, context)
        except BaseException:
            self._socket.close()
            raise

    @property
    def address(self) -> str:
        """Where jobs reach the browsers, as `HOST:PORT`."""
        return self._agent.address

    def run(self) -> None:
        """Serve until interrupted."""
        agent = threading.Thread(target=self._agent.serve_forever, daemon=True)
        with closing(self._benches), self._agent:
            agent.start()
            try:
                self._web.run(sockets=[self._socket])
            finally:
                self._agent.shutdown()
