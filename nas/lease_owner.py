"""Who runs a job: a process that another process on the same host can check to be alive."""

import json
import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from storage.errors import LeaseLost, StoreFailed
from storage.records import Job, Lease
from storage.store import ResultStore

LEASE_SECONDS = 60.0
_BEAT_SECONDS = 10.0


def this_process() -> str:
    """The owner text of this process."""
    started = psutil.Process().create_time()
    return json.dumps({"host": platform.node(), "pid": os.getpid(), "started": started})


def is_dead(owner: str | None) -> bool:
    """Whether an owner is known to be gone: a process of this host that does not run any more.

    Nothing is known of processes of other hosts; their leases end by time.
    """
    try:
        given = json.loads(owner or "")
        if given["host"] != platform.node():
            return False
        return abs(psutil.Process(int(given["pid"])).create_time() - float(given["started"])) > 1.0
    except psutil.NoSuchProcess:
        return True
    except (ValueError, KeyError, TypeError, psutil.Error):
        return False


def claim(store: ResultStore, job: Job) -> Lease:
    """Take the lease of a job for this process; a dead owner on this host does not hold us up.

    Raises:
        LeaseHeld: somebody else runs it.
        WrongStatus: it has ended.
    """
    dead = job.fence if job.owner is not None and is_dead(job.owner) else None
    return store.claim(job.id, this_process(), lease_seconds=LEASE_SECONDS, dead_fence=dead)


@contextmanager
def held(store: ResultStore, lease: Lease) -> Iterator[threading.Event]:
    """Keep a lease while inside; the event is set when it is lost."""
    done, lost = threading.Event(), threading.Event()

    def beat() -> None:
        while not done.wait(_BEAT_SECONDS):
            try:
                store.heartbeat(lease)
            except LeaseLost:
                lost.set()
                return
            except StoreFailed:
                continue  # the next beat may get through; if none does, the lease ends and a write says so

    thread = threading.Thread(target=beat, name=f"heartbeat {lease.job_id}", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        done.set()
        thread.join()
