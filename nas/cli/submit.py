"""`nas submit`, `nas cancel`, `nas pause`: jobs that others run."""

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.failure import bad_input, stop
from nas.cli.options import AsJson, Default, JobId, StoreUrl, find_job, open_store
from nas.cli.output import messages, print_json
from nas.cli.progress import ProgressBars

Server = Annotated[
    str, typer.Option("--server", envvar="NAS_SERVER", metavar="URL", help="The service, as `nas serve` tells it.")
]


def submit(
    job_file: Annotated[Path, typer.Argument(metavar="JOB.yaml", help="A job file; its paths are the service's.")],
    server: Server = "http://127.0.0.1:8080",
    follow: Annotated[bool, typer.Option("--follow", help="Show how it goes, until it has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send a job to a service, with the token in NAS_TOKEN, and print its id."""
    from nas.client import Client, ServiceError

    with bad_input():
        if not job_file.is_file():
            raise ValueError(f"{job_file}: there is no such file")
    try:
        with Client(server) as client:
            job = client.submit(job_file)
            if follow:
                budget = int(job.spec["budget"]["evaluations"])
                with ProgressBars() as progress:
                    for count, _ in enumerate(event for event in client.events(job.id) if not hasattr(event, "status")):
                        progress.searching(count + 1, budget)
                job = client.job(job.id)
    except ServiceError as error:
        for problem in error.problems:
            messages.print(f"{problem['where']}: {problem['message']}")
        raise stop(f"{server}: {error}", 2 if error.status in (400, 413, 422) else 1) from error
    if as_json:
        print_json(job.model_dump(mode="json"))
    else:
        print(job.id)
    if job.status.ended and job.error:
        raise stop(f"job {job.id} failed: {job.error}", 1)


def cancel(job: JobId, store: StoreUrl = Default) -> None:
    """End a job that waits or runs; what it found stays, and `nas resume` can go on with it."""
    with open_store(store) as opened, bad_input():
        found = find_job(opened, job)
        opened.cancel(found.id)
    messages.print(f"job {found.id} is cancelled")


def pause(job: JobId, store: StoreUrl = Default) -> None:
    """Let a job wait until `nas resume`; its driver stops at its next result, and what it found stays."""
    with open_store(store) as opened, bad_input():
        found = find_job(opened, job)
        opened.pause(found.id)
    messages.print(f"job {found.id} is paused; go on with `nas resume {found.id}`")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(submit)
    app.command()(cancel)
    app.command()(pause)
