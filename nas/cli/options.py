"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.failure import bad_input, stop
from nas.service.commands import TRY_AGAIN
from storage.errors import BadStore, StoreUnreachable, UnknownJob
from storage.records import Job
from storage.store import DEFAULT_URL, ResultStore

StoreUrl = Annotated[
    str,
    typer.Option("--store", envvar="NAS_STORE", help="SQL store: sqlite:///FILE or postgresql://USER@HOST/DATABASE."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The id of a job, as `nas jobs` lists it, or `latest`.")]
AllowCode = Annotated[
    bool,
    typer.Option("--allow-code", envvar="NAS_ALLOW_CODE", help="Run the Python file of a space that the job brings."),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--address",
        envvar="NAS_RAY_ADDRESS",
        metavar="HOST:PORT",
        help="Run on this Ray cluster, or `auto` for the one of this machine; a local one is started if not given.",
    ),
]
JobFile = Annotated[Path, typer.Argument(metavar="JOB.yaml", help="A job file; `nas schema` describes it.")]
Default = DEFAULT_URL


def open_store(url: str, *, create: bool = False) -> ResultStore:
    """Open the store, or end the command with the reason why not: exit code 75 where it is worth another try."""
    with bad_input():
        try:
            return ResultStore(url, create=create)
        except BadStore as error:
            if isinstance(error.__cause__, StoreUnreachable):
                raise stop(str(error), TRY_AGAIN) from error
            raise


def find_job(store: ResultStore, job_id: str) -> Job:
    """The job with this id, or the newest for `latest`.

    Raises:
        UnknownJob: there is no such job.
    """
    if job_id != "latest":
        return store.job(job_id)
    newest = store.jobs(limit=1)
    if not newest:
        raise UnknownJob(job_id, [], store.name)
    return newest[0]
