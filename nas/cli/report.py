"""`nas report`: a job as one file to look at, to keep and to send."""

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.failure import bad_input
from nas.cli.options import Default, JobId, StoreUrl, find_job, open_store
from nas.cli.output import messages
from storage.store import ResultStore

ENDING = ".html"


def report(
    job: JobId,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.html", help="Where the report goes.")],
    store: StoreUrl = Default,
) -> None:
    """Write what the page of a job shows into one file that needs nothing else: front, charts, causes, numbers."""
    with bad_input():
        if output.suffix.lower() != ENDING:
            raise ValueError(f"--output {output}: the report is HTML, so the file must end in {ENDING}")
        if not output.parent.is_dir():
            raise ValueError(f"--output {output}: the folder {output.parent} does not exist")
    with open_store(store) as opened:
        with bad_input():
            found = find_job(opened, job)
        write_report(opened, found.id, output)


def write_report(store: ResultStore, job_id: str, path: Path) -> None:
    """Write the report of a job, whole or not at all."""
    from dashboards.pages.report import report as made
    from nas.artifacts import write_atomically

    with bad_input():
        write_atomically(path, made(store, job_id).encode())
    messages.print(f"report: {path}", markup=False)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)
