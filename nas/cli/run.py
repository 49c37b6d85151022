"""`nas run`, `nas resume` and `nas train`."""

import signal
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from nas.cli.failure import bad_input, stop
from nas.cli.options import AllowCode, Default, JobFile, JobId, RayAddress, StoreUrl, find_job, open_store
from nas.cli.output import messages, print_table
from nas.cli.progress import ProgressBars
from nas.cli.tables import front_rows, training_summary
from nas.jobspec.document import DocumentError, parse_text
from nas.jobspec.load import load_job, parse_job
from nas.lease_owner import claim
from storage.records import Job, JobStatus
from storage.store import ResultStore


def run(
    job_file: JobFile, store: StoreUrl = Default, address: RayAddress = None, allow_code: AllowCode = False
) -> None:
    """Search as the job file says, on this machine, and keep every result in the store."""
    with bad_input():
        spec = load_job(job_file, allow_code=allow_code)
    problem = _prepare(spec, allow_code)
    with open_store(store, create=True) as opened:
        job = opened.create_job(spec.name, spec.model_dump(mode="json"))
        messages.print(f"job [bold]{job.id}[/bold] in {opened.name}")
        _drive(opened, store, job, problem, address)


def resume(job: JobId, store: StoreUrl = Default, address: RayAddress = None, allow_code: AllowCode = False) -> None:
    """Go on with a job that was killed, interrupted, cancelled or failed; nothing is evaluated twice."""
    with open_store(store) as opened:
        with bad_input():
            found = find_job(opened, job)
            if found.status is JobStatus.SUCCEEDED:
                messages.print(f"job {found.id} has already succeeded; `nas pareto {found.id}` shows what it found")
                return
            source = f"the stored spec of job {found.id}"
            spec = parse_job(found.spec, source=source, allow_code=allow_code)
        problem = _prepare(spec, allow_code)
        with bad_input():
            if found.paused:
                opened.unpause(found.id)
            if found.status in (JobStatus.FAILED, JobStatus.CANCELLED):
                opened.requeue(found.id)
                found = opened.job(found.id)
        messages.print(f"job [bold]{found.id}[/bold]: {found.evaluated} evaluations are stored already")
        _drive(opened, store, found, problem, address)


def train(
    job: JobId,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Of the `train` section, such as epochs=20 networks=knee."),
    ] = None,
    store: StoreUrl = Default,
    address: RayAddress = None,
    allow_code: AllowCode = False,
) -> None:
    """Train networks of an ended job, each alone; what was trained with the same recipe is not trained again."""
    with open_store(store) as opened:
        with bad_input():
            found = find_job(opened, job)
            section = {**(found.spec.get("train") or {}), **_settings(settings or [])}
            asked = {**found.spec, "train": section}
            spec = parse_job(asked, source=f"job {found.id} with these settings", allow_code=allow_code)
            if spec.trains_in_search:
                raise ValueError(f"job {found.id} has trained every candidate; there is nothing left to train")
        problem = _prepare(spec, allow_code)
        with bad_input():
            opened.extend(found.id, spec.model_dump(mode="json"))
        _drive(opened, store, opened.job(found.id), problem, address)


def _settings(given: list[str]) -> dict[str, Any]:
    """KEY=VALUE as plain values, each value read as in a job file."""
    found: dict[str, Any] = {}
    for setting in given:
        key, equals, text = setting.partition("=")
        if not equals or not key or key in found:
            raise ValueError(f"{setting!r} is not KEY=VALUE with a KEY that comes once")
        try:
            found[key] = parse_text(text)
        except DocumentError as error:
            raise ValueError(f"{setting!r}: {error}") from None
    return found


def _prepare(spec: Any, allow_code: bool) -> Any:
    """Everything that can be wrong with a job is found here, before any work starts."""
    from nas.problem import prepare  # torch takes seconds to import; a wrong job file is told without it

    with bad_input():
        return prepare(spec, allow_code=allow_code)


def _drive(store: ResultStore, url: str, job: Job, problem: Any, address: str | None) -> None:
    from nas.artifacts import artifact_folder
    from nas.driver import Driver, JobFailed
    from storage.errors import LeaseLost, StoreFailed

    with bad_input():
        lease = claim(store, job)
        folder = artifact_folder(url)
        _make(folder)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ProgressBars() as progress:
            results = Driver(store, lease, problem, folder, progress, address).run()
    except JobFailed as error:
        raise stop(f"job {job.id} failed: {error}", 1) from error
    except LeaseLost as error:
        raise stop(f"job {job.id} is not ours any more: {error}", 1) from error
    except StoreFailed as error:
        raise stop(f"job {job.id} was interrupted: {error}; then go on with `nas resume {job.id}`", 1) from error
    except KeyboardInterrupt as error:
        raise stop(f"job {job.id} was interrupted; go on with `nas resume {job.id}`", 1) from error
    final = results.final
    if final.front.size:
        what = "trained networks" if final is not results else "evaluations"
        title = f"front of {job.id}: {final.front.size} of {len(final.evaluations)} {what}"
        print_table(front_rows(final), title=title)
    else:
        messages.print(final.why_no_front())
    for metric, (measured, predicted) in results.spared.items():
        broken = int((results.violations[results.front] > 0).sum())
        messages.print(
            f"{metric} was measured for {measured} networks and predicted for {predicted}; "
            f"{broken} of the {results.front.size} on the measured front break a bound"
        )
    if cut := [each for each in results.evaluations if each.stopped and "saved_seconds" in each.metrics]:
        saved = sum(each.metrics["saved_seconds"] for each in cut)
        messages.print(f"{len(cut)} evaluations were cut short; about {saved:.1f} s saved")
    for line in training_summary(store.trainings(job.id)):
        messages.print(line)
    messages.print(
        f"hypervolume {results.hypervolume:.4f} of the box between this job's best and worst values, "
        f"{len(results.failed)} of {len(results.evaluations)} evaluations failed"
    )
    messages.print(f"next: `nas pareto {job.id} --plot front.png`, `nas export {job.id} --output model.onnx`")


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Treat SIGTERM as an interrupt, so that the job is given back."""
    raise KeyboardInterrupt


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(run)
    app.command()(resume)
    app.command()(train)
