"""An agent in this process, and the token that it wants."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from profilers.agent_server import AgentServer, only
from profilers.agent_token import read_token
from profilers.host import HostDevice
from profilers.limits import Limits
from tests.profilers.agents import CountingBench, token_file


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """A file with a token."""
    return token_file(tmp_path)


@pytest.fixture
def server(token: Path) -> Iterator[AgentServer]:
    """An agent in this process, so that its memory can be looked into."""
    bench = CountingBench(HostDevice(), Limits())
    served = AgentServer(("127.0.0.1", 0), only(bench, "here"), read_token(str(token), None), None)
    thread = threading.Thread(target=served.serve_forever, args=(0.01,))
    thread.start()
    with closing(bench), served:
        served.bench = bench
        yield served
        served.shutdown()
        thread.join()
