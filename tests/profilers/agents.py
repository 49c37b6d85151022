"""Remote agents in processes of their own, on loopback."""

import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def token_file(folder: Path, name: str = "token") -> Path:
    """A file with a new token that only its owner can read."""
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32) + "\n")
    return path


def start_agent(
    token: Path, *options: str, serve: str = "127.0.0.1:0", log: int = subprocess.DEVNULL, folder: Path | None = None
) -> tuple[subprocess.Popen[str], str]:
    """Start an agent, with its locks in a folder of its own if one is given; it and its address, once it serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", "profilers.agent", "--serve", serve, "--name", "loop", "--token-file", token, *options],
        stdout=subprocess.PIPE,
        stderr=log,
        env=None if folder is None else {**os.environ, "TMPDIR": str(folder)},
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("agent loop serves "), line
    return process, line.split()[3].removesuffix(":")


@contextmanager
def agent(token: Path, *options: str) -> Iterator[str]:
    """The address of an agent that serves meanwhile."""
    process, address = start_agent(token, *options)
    try:
        yield address
    finally:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    """End an agent and wait for it."""
    process.terminate()
    process.communicate()


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.005)
    return True
