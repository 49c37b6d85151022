"""One timing at a time on a device, across all processes of a user on a host, first come, first served."""

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def run_directory() -> Path:
    """Give the private directory of this user for locks, made when it is missing.

    Raises:
        PermissionError: something else is in its place, or others may write to it.
    """
    path = Path(tempfile.gettempdir()) / f"nas-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(
            f"{path} must be a directory of user {os.getuid()} with mode 0700 "
            f"(got owner {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}); remove it or set TMPDIR"
        )
    return path


def lock_path(family: str, directory: Path | None = None) -> Path:
    """Name the lock file of a device family."""
    return (directory or run_directory()) / f"{family}.lock"


@contextmanager
def device_lock(path: Path) -> Iterator[float]:
    """Hold a device, and yield the milliseconds that it took to get it.

    Who asks first has it first, so jobs that always have something to measure take turns. Each draws a ticket: a file
    beside the lock file that stays locked until the device is given back, and waits for all tickets that were drawn
    before. The system releases the lock of a ticket when its process dies, however it dies. A process must hold it
    itself: what a fork inherits keeps it locked.

    Raises:
        OSError: a file cannot be opened, or is a symbolic link.
    """
    start = time.perf_counter_ns()
    ticket, drawn, earlier = _draw(path)
    try:
        for other in earlier:
            _wait(other)
        yield (time.perf_counter_ns() - start) / 1e6
    finally:
        ticket.unlink(missing_ok=True)
        os.close(drawn)


def tickets(path: Path) -> list[Path]:
    """The tickets of who has a device or waits for it, and of those who died with one, in their order."""
    found = {int(each.name.removeprefix(f"{path.name}.")): each for each in path.parent.glob(f"{path.name}.[0-9]*")}
    return [found[number] for number in sorted(found)]


def _draw(path: Path) -> tuple[Path, int, list[Path]]:
    """Draw a ticket: its file, the descriptor that keeps it locked, and the tickets before it."""
    counter = _open(path, os.O_CREAT)
    try:
        fcntl.flock(counter, fcntl.LOCK_EX)  # for a moment, so that nobody sees a ticket that is not locked yet
        earlier = tickets(path)
        last = int(earlier[-1].name.rpartition(".")[2]) if earlier else 0
        ticket = path.with_name(f"{path.name}.{last + 1}")
        drawn = _open(ticket, os.O_CREAT | os.O_EXCL)
        fcntl.flock(drawn, fcntl.LOCK_EX)
        return ticket, drawn, earlier
    finally:
        os.close(counter)


def _wait(ticket: Path) -> None:
    """Wait until a ticket is given back or its process is gone, which then leaves the file to us."""
    try:
        other = _open(ticket, 0)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(other, fcntl.LOCK_SH)
        ticket.unlink(missing_ok=True)  # no number is drawn twice while a later ticket, ours, is there
    finally:
        os.close(other)


def _open(path: Path, flags: int) -> int:
    return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
