"""How long a job has run, against what it may."""

from storage.records import Lease
from storage.store import ResultStore


class OutOfTime(RuntimeError):
    """A job's wall time was over before anything could be searched."""


def out_of_time(store: ResultStore, lease: Lease, limit: float | None) -> str:
    """Why a job has to end now, in words; nothing while it may go on.

    Args:
        store: which knows how long drivers ran the job, pauses and interruptions left out.
        lease: of the job.
        limit: in seconds; None for none.
    """
    if limit is None:
        return ""
    ran = store.job(lease.job_id).ran_seconds
    return f"it ran for {ran:.1f} s, and its budget is a wall time of {limit:g} s" if ran >= limit else ""
