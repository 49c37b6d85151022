"""`nas jobs`, `nas show`, `nas pareto`: what the store holds."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.failure import bad_input, stop
from nas.cli.options import AsJson, Default, JobId, StoreUrl, find_job, open_store
from nas.cli.output import messages, print_csv, print_json, print_table
from nas.cli.report import ENDING, write_report
from nas.cli.tables import front_rows, training_rows, training_summary
from nas.results import Results
from storage.records import Job, Round
from storage.store import ResultStore


def jobs(
    store: StoreUrl = Default,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the jobs, newest first."""
    with open_store(store) as opened:
        rows = [_job_row(job) for job in opened.jobs(limit=limit)]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, empty="the store holds no jobs; `nas run JOB.yaml` makes one")


def show(
    job: JobId,
    store: StoreUrl = Default,
    as_json: AsJson = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the rounds of a differentiable search into this file.")
    ] = None,
) -> None:
    """Show a job: where it stands, what it asked for, what it found."""
    with open_store(store) as opened:
        found, results = _load(opened, job)
        artifacts, rounds = opened.artifacts(found.id), opened.rounds(found.id)
        trainings = opened.trainings(found.id)
    if plot is not None:
        _draw_rounds(found, rounds, plot)
    metrics = {evaluation.architecture_key: evaluation.metrics for evaluation in results.evaluations}
    trained = training_rows(trainings, metrics)
    row = {
        **_job_row(found),
        "error": found.error,
        "end_reason": found.end_reason,
        "ran_seconds": round(found.ran_seconds, 3),
        "device_seconds": round(sum(each.device_seconds for each in results.evaluations), 3),
        "front": int(results.front.size),
        "measured_anew": len(results.replications),
        "unstable": len(results.unstable),
        "failed": len(results.failed),
        "hypervolume": results.hypervolume,
        "rounds": len(rounds) or None,
        "artifacts": [{"id": a.id, "kind": a.kind, "path": a.path, "sha256": a.sha256} for a in artifacts],
    }
    if as_json:
        everything = results.rows(range(len(results.evaluations)))
        rows = [
            {**entry, "error": evaluation.error, "stopped": evaluation.stopped}
            for entry, evaluation in zip(everything, results.evaluations, strict=True)
        ]
        done = [{"round": each.number, "genotype": dict(each.genotype), **each.metrics} for each in rounds]
        curves = [
            {**entry, "epochs": t.epochs, "curve": dict(t.curve)} for entry, t in zip(trained, trainings, strict=True)
        ]
        print_json({**row, "spec": found.spec, "evaluations": rows, "rounds": done, "trainings": curves})
        return
    for name, value in row.items():
        if name != "artifacts" and value is not None:
            print(f"{name:14} {value}")
    if trained:
        print_table([{**entry, "key": entry["key"][:12], "cause": entry["cause"] or ""} for entry in trained])
        for line in training_summary(trainings):
            messages.print(line)
    print_table([{"artifact": a.kind, "path": a.path} for a in artifacts], empty="no artifacts yet")
    for number, evaluation in enumerate(results.failed[:3]):
        messages.print(f"failure {number + 1}: {evaluation.architecture_key[:12]} {evaluation.error}")


def pareto(
    job: JobId,
    store: StoreUrl = Default,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the front: FILE.png, or FILE.html as `nas report` writes it."),
    ] = None,
    searched: Annotated[
        bool, typer.Option("--searched", help="By what the search went by, also where networks were trained alone.")
    ] = False,
) -> None:
    """Print the Pareto front of a job: what cannot be improved without giving something up."""
    if as_json and as_csv:
        raise stop("--json and --csv were both given; choose one", 2)
    with open_store(store) as opened:
        found, loaded = _load(opened, job, front_alone=plot is None and not searched)
        if plot is not None and plot.suffix.lower() == ENDING:
            write_report(opened, found.id, plot)
            plot = None
    results = loaded if searched else loaded.final
    if as_json:
        print_json(results.rows(results.front))
    elif as_csv:
        print_csv(results.rows(results.front))
    else:
        print_table(front_rows(results), empty=_why_empty(results))
    if plot is not None:
        _draw(found, results, plot)


def _draw(job: Job, results: Results, path: Path) -> None:
    from nas.plot import front_png

    if not len(results.evaluations):
        raise stop(f"job {job.id} has no evaluation yet, so there is nothing to draw", 1)
    title = f"{job.name}: {results.front.size} of {len(results.evaluations)} architectures on the front"
    _write(path, lambda: front_png(title, results.objectives, results.values, results.front, results.knee))


def _draw_rounds(job: Job, rounds: Sequence[Round], path: Path) -> None:
    from nas.differentiable.rounds_plot import rounds_png

    if not rounds:
        raise stop(f"job {job.id} has no rounds to draw: they belong to differentiable search; see `nas pareto`", 1)
    _write(path, lambda: rounds_png(f"{job.name}: {len(rounds)} rounds", rounds))


def _write(path: Path, draw: Callable[[], bytes]) -> None:
    from nas.artifacts import write_atomically

    if path.suffix.lower() != ".png":
        raise stop(f"--plot {path}: the picture is a PNG, so the file must end in .png", 2)
    with bad_input():
        write_atomically(path, draw())
    messages.print(f"plot: {path}")


def _why_empty(results: Results) -> str:
    try:
        results.pick("knee")
    except ValueError as error:
        return str(error)
    return ""


def _load(store: ResultStore, job_id: str, *, front_alone: bool = False) -> tuple[Job, Results]:
    with bad_input():
        job = find_job(store, job_id)
        return job, Results.load(store, job, front_alone=front_alone)


def _job_row(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "status": job.status.value,
        "evaluated": job.evaluated,
        "budget": job.spec.get("budget", {}).get("evaluations"),
        "strategy": job.spec.get("strategy", {}).get("name"),
        "created_at": job.created_at.isoformat(timespec="seconds"),
        "finished_at": None if job.finished_at is None else job.finished_at.isoformat(timespec="seconds"),
    }


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(jobs)
    app.command()(show)
    app.command()(pareto)
