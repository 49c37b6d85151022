"""`nas submit`, `nas cancel`, `nas pause`: jobs that others run."""

import time
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.failure import bad_input, stop
from nas.cli.options import AllowCode, AsJson, Default, JobId, StoreUrl, find_job, open_store
from nas.cli.output import messages, print_json
from nas.cli.progress import ProgressBars
from storage.records import Job
from storage.store import ResultStore

_LOOK_SECONDS = 0.5

Server = Annotated[
    str, typer.Option("--server", envvar="NAS_SERVER", metavar="URL", help="The service, as `nas serve` tells it.")
]


def submit(
    job_file: Annotated[Path, typer.Argument(metavar="JOB.yaml", help="A job file; its paths are the service's.")],
    server: Server = "http://127.0.0.1:8080",
    address: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A Ray cluster in the place of a service: its dashboard, http://HOST:8265."),
    ] = None,
    store: Annotated[
        str, typer.Option(envvar="NAS_STORE", help="With --address: the store, by a URL that fits all its machines.")
    ] = Default,
    follow: Annotated[bool, typer.Option("--follow", help="Show how it goes, until it has ended.")] = False,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Send a job to a service, with the token in NAS_TOKEN, or to a Ray cluster, and print its id."""
    with bad_input():
        if not job_file.is_file():
            raise ValueError(f"{job_file}: there is no such file")
    if address is None:
        _to_service(job_file, server, follow, as_json)
    else:
        _to_cluster(job_file, address, store, follow, allow_code, as_json)


def _to_service(job_file: Path, server: str, follow: bool, as_json: bool) -> None:
    from nas.client import Client, ServiceError

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


def _to_cluster(job_file: Path, address: str, url: str, follow: bool, allow_code: bool, as_json: bool) -> None:
    from nas.jobspec.document import read_document
    from nas.jobspec.load import parse_job
    from nas.ray_job import SENT_LEASE_SECONDS, RayJobFailed, RayJobs, check_places, cluster_environment

    with bad_input():
        document = read_document(job_file)
        check_places(document, str(job_file))
        spec = parse_job(document, source=str(job_file), allow_code=allow_code)
        environment = cluster_environment(url, allow_code)
    try:
        with bad_input():
            cluster = RayJobs(address)
        with open_store(url, create=True) as store, bad_input():
            plain = spec.model_dump(mode="json")
            lease = store.begin_job(spec.name, plain, cluster.owner, lease_seconds=SENT_LEASE_SECONDS)
            try:
                cluster.send(store, lease, environment)
            except RayJobFailed as error:
                raise stop(f"job {lease.job_id}: {error}", 1) from error
            except KeyboardInterrupt:
                waits = f"it waits for `nas resume {lease.job_id}` or a service"
                raise stop(f"job {lease.job_id} was not begun; {waits}", 1) from None
            job = store.job(lease.job_id)
            job = _followed(store, job) if follow else job
    except RayJobFailed as error:
        raise stop(str(error), 1) from error
    if as_json:
        print_json({"id": job.id, "status": job.status, "evaluated": job.evaluated})
    else:
        print(job.id)
    if job.status.ended and job.error:
        raise stop(f"job {job.id} failed: {job.error}", 1)


def _followed(store: ResultStore, job: Job) -> Job:
    """The job once it has ended, its results shown until then; the store is what tells of it."""
    budget = int(job.spec["budget"]["evaluations"])
    with ProgressBars() as progress:
        while not job.status.ended:
            progress.searching(job.evaluated, budget)
            time.sleep(_LOOK_SECONDS)
            job = store.job(job.id)
        progress.searching(job.evaluated, budget)
    return job


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
