"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.failure import bad_input
from storage.store import DEFAULT_URL, ResultStore

StoreUrl = Annotated[
    str,
    typer.Option("--store", envvar="NAS_STORE", help="SQL store: sqlite:///FILE or postgresql://USER@HOST/DATABASE."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The id of a job, as `nas jobs` lists it.")]
JobFile = Annotated[Path, typer.Argument(metavar="JOB.yaml", help="A job file; `nas schema` describes it.")]
Default = DEFAULT_URL


def open_store(url: str, *, create: bool = False) -> ResultStore:
    """Open the store, or end the command with the reason why not."""
    with bad_input():
        return ResultStore(url, create=create)
