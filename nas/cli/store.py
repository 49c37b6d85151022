"""`nas store`: upgrade, check and copy the store itself."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from nas.artifacts import artifact_folder, sha256
from nas.cli.failure import bad_input
from nas.cli.options import AsJson, Default, StoreUrl, open_store
from nas.cli.output import messages, print_json, print_table
from nas.results import Results
from storage.migrate import HEAD
from storage.records import JobStatus
from storage.store import ResultStore

app = typer.Typer(name="store", help="Upgrade, check and copy the store.", no_args_is_help=True)


@app.command()
def upgrade(store: StoreUrl = Default, as_json: AsJson = False) -> None:
    """Bring the store to the schema of this version. Every command does so by itself; this one does only that."""
    with bad_input():
        before = ResultStore.revision(store)
    open_store(store).close()
    if as_json:
        print_json({"before": before, "now": HEAD})
    else:
        told = "is of the newest schema already" if before == HEAD else f"was upgraded from schema {before}"
        messages.print(f"the store {told} ({HEAD})")


@app.command()
def check(store: StoreUrl = Default, as_json: AsJson = False) -> None:
    """Look for anything unsound: damaged rows, gaps, fronts that do not fit, files that are gone or changed."""
    with open_store(store) as opened:
        found = opened.faults()
        for job in opened.jobs():
            found += _wrong_front(opened, job.id) + _wrong_files(opened, job.id, artifact_folder(store))
    if as_json:
        print_json({"faults": found})
    else:
        print_table([{"fault": fault} for fault in found], empty="the store is sound")
    if found:
        raise typer.Exit(1)


@app.command()
def export(
    to: Annotated[str, typer.Option("--to", help="Another store, new or empty: a file or a server.")],
    store: StoreUrl = Default,
    as_json: AsJson = False,
) -> None:
    """Copy everything into another store, from a file to a server or back. Files of jobs stay where they are."""
    with open_store(store) as opened, bad_input():
        bars = Progress(
            TextColumn("{task.description:>18}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=messages,
            disable=not messages.is_terminal,
        )
        with bars, ResultStore(to) as target:
            tasks = {}

            def on_rows(table: str, done: int, total: int) -> None:
                if table not in tasks:
                    tasks[table] = bars.add_task(table, total=total)
                bars.update(tasks[table], completed=done)

            counts = opened.copy_to(target, on_rows)
    if as_json:
        print_json(counts)
    else:
        print_table([{"table": name, "rows": rows} for name, rows in counts.items()])


def _wrong_front(store: ResultStore, job_id: str) -> list[str]:
    """The kept front beside the one of all evaluations by the objectives of the spec."""
    job = store.job(job_id)
    if not job.spec.get("objectives") or (job.status is not JobStatus.SUCCEEDED and store.replications(job_id)):
        return []  # while finalists are measured anew the front is still that of the search
    results = Results.load(store, job)
    results = results.final if job.status is JobStatus.SUCCEEDED else results
    expected = {results.evaluations[index].number for index in results.front}
    kept = {evaluation.number for evaluation in store.front(job_id)}
    if kept == expected:
        return []
    wrong = ", ".join(map(str, sorted(kept ^ expected)[:5]))
    return [f"the front of job {job_id} is not that of its evaluations; wrong about number {wrong}"]


def _wrong_files(store: ResultStore, job_id: str, folder: Path) -> list[str]:
    """The files that the store keeps, against their recorded hashes; exported ones belong to the user."""
    found = []
    for artifact in store.artifacts(job_id):
        path = Path(artifact.path)
        if not path.is_relative_to(folder):
            continue
        if not path.is_file():
            found.append(f"artifact {artifact.id} of job {job_id} is gone: {path}")
        elif sha256(path.read_bytes()) != artifact.sha256:
            found.append(f"artifact {artifact.id} of job {job_id} is not what was recorded: {path}")
    return found


def register(commands: typer.Typer) -> None:
    """Add the commands."""
    commands.add_typer(app)
