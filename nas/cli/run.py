"""`nas run`, `nas resume` and `nas train`."""

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.failure import bad_input, stop
from nas.cli.options import AllowCode, Default, JobFile, JobId, RayAddress, StoreUrl, find_job, open_store
from nas.cli.output import messages, print_table
from nas.cli.progress import ProgressBars
from nas.cli.tables import front_rows, training_summary
from nas.jobspec.document import DocumentError, parse_text
from nas.jobspec.load import load_job, parse_job
from nas.lease_owner import LEASE_SECONDS, claim, this_process
from nas.service.commands import TRY_AGAIN
from storage.errors import LeaseLost, StoreFailed
from storage.interrupts import interrupt
from storage.records import JobStatus, Lease
from storage.store import ResultStore


def run(
    job_file: JobFile, store: StoreUrl = Default, address: RayAddress = None, allow_code: AllowCode = False
) -> None:
    """Search as the job file says, on this machine, and keep every result in the store."""
    with bad_input():
        spec = load_job(job_file, allow_code=allow_code)
    problem = _prepare(spec, allow_code)
    with open_store(store, create=True) as opened:

        def begin() -> Lease:
            plain = spec.model_dump(mode="json")
            lease = opened.begin_job(spec.name, plain, this_process(), lease_seconds=LEASE_SECONDS)
            messages.print(f"job [bold]{lease.job_id}[/bold] in {opened.name}")
            return lease

        _drive(opened, store, begin, problem, address)


def resume(
    job: JobId,
    store: StoreUrl = Default,
    address: RayAddress = None,
    allow_code: AllowCode = False,
    adopt: Annotated[int | None, typer.Option(hidden=True, help="The fence of a lease that was taken for us.")] = None,
    waiting: Annotated[bool, typer.Option("--waiting", hidden=True, help="Only if it waits for a driver.")] = False,
) -> None:
    """Go on with a job that was killed, interrupted, cancelled or failed; nothing is evaluated twice."""
    with open_store(store) as opened:
        with bad_input():
            found = find_job(opened, job)
            if found.status is JobStatus.SUCCEEDED:
                messages.print(f"job {found.id} has already succeeded; `nas pareto {found.id}` shows what it found")
                return
            source = f"the stored spec of job {found.id}"
            spec = parse_job(found.spec, source=source, allow_code=allow_code)
        if (waiting or adopt is not None) and (found.paused or found.status.ended):
            raise stop(f"job {found.id} was {'paused' if found.paused else 'ended'} meanwhile", TRY_AGAIN)
        problem = _prepare(spec, allow_code)
        with bad_input():
            if found.paused:
                opened.unpause(found.id)
            if found.status in (JobStatus.FAILED, JobStatus.CANCELLED):
                opened.requeue(found.id)
                found = opened.job(found.id)
        messages.print(f"job [bold]{found.id}[/bold]: {found.evaluated} evaluations are stored already")
        sent = None if adopt is None else Lease(found.id, adopt)
        take = partial(claim, opened, found) if sent is None else partial(_adopted, opened, sent)
        _drive(opened, store, take, problem, address)


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
        _drive(opened, store, partial(claim, opened, opened.job(found.id)), problem, address)


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


def _adopted(store: ResultStore, sent: Lease) -> Lease:
    """The lease that the sender of a Ray Job took for its driver.

    Raises:
        ValueError: it is over.
    """
    try:
        return store.adopt(sent, this_process())
    except LeaseLost as error:
        raise ValueError(f"job {sent.job_id} does not wait for this Ray Job any more: {error}") from error


def _drive(store: ResultStore, url: str, take: Callable[[], Lease], problem: Any, address: str | None) -> None:
    """Run a job to its end; its lease is taken when what runs it is loaded, which may last."""
    from nas.artifacts import artifact_folder
    from nas.driver import Driver, JobFailed, JobInterrupted

    with bad_input():
        folder = artifact_folder(url)
        _make(folder)
        lease = take()
    job_id = lease.job_id
    for number in (signal.SIGINT, signal.SIGTERM):  # either gives the job back
        signal.signal(number, interrupt)
    try:
        with ProgressBars() as progress:
            results = Driver(store, lease, problem, folder, progress, address).run()
    except JobFailed as error:
        raise stop(f"job {job_id} failed: {error}", 1) from error
    except JobInterrupted as error:
        raise stop(f"job {job_id} was interrupted: {error}; go on with `nas resume {job_id}`", 1) from error
    except LeaseLost as error:
        raise stop(f"job {job_id} is not ours any more: {error}", 1) from error
    except StoreFailed as error:
        raise stop(f"job {job_id} was interrupted: {error}; then go on with `nas resume {job_id}`", 1) from error
    except KeyboardInterrupt as error:
        raise stop(f"job {job_id} was interrupted; go on with `nas resume {job_id}`", 1) from error
    final = results.final
    if final.front.size:
        what = "trained networks" if final is not results else "evaluations"
        title = f"front of {job_id}: {final.front.size} of {len(final.evaluations)} {what}"
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
    for line in training_summary(store.trainings(job_id)):
        messages.print(line)
    messages.print(
        f"hypervolume {results.hypervolume:.4f} of the box between this job's best and worst values, "
        f"{len(results.failed)} of {len(results.evaluations)} evaluations failed"
    )
    messages.print(f"next: `nas pareto {job_id} --plot front.png`, `nas export {job_id} --output model.onnx`")


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(run)
    app.command()(resume)
    app.command()(train)
