"""One timing at a time on a device, across all processes of a user on a host."""

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
    """Hold a lock file, and yield the milliseconds that it took to get it.

    The system releases the lock when the process dies, however it dies. A process must hold it itself: what
    a fork inherits keeps it locked.

    Raises:
        OSError: the file cannot be opened, or is a symbolic link.
    """
    start = time.perf_counter_ns()
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield (time.perf_counter_ns() - start) / 1e6
    finally:
        os.close(fd)
