"""The result store: what a search remembers, and its only checkpoint."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from storage import artifacts, checks, fronts, history, jobs, layers, measurements, replications, rounds, trainings
from storage.copying import copy
from storage.database import Database
from storage.errors import BadStore, StoreFailed
from storage.migrate import prepare, revision
from storage.query import query
from storage.records import (
    Architecture,
    Artifact,
    Device,
    Evaluation,
    Job,
    JobStatus,
    Layer,
    Lease,
    Measurement,
    Outcome,
    Proposal,
    Replication,
    Round,
    Training,
)
from storage.soundness import faults

#: Where results go unless the user says otherwise: a file in the current folder.
DEFAULT_URL = "sqlite:///nas.db"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ResultStore:
    """An open store. Every method is one transaction; what it returns are copies.

    Threads may share a store; processes open their own. A driver claims its job and passes the lease with
    every write: a write whose lease is over is refused, and one that is accepted counts as a heartbeat.
    Any method raises `StoreFailed` when the database gives up, and those that take a job `UnknownJob`.

    Args:
        url: `sqlite:///FILE` (`sqlite:////absolute/file`) or `postgresql://USER@HOST/DATABASE`.
        create: make a store where there is none. An older store is upgraded in any case.
        clock: the time, as a timezone-aware datetime.

    Raises:
        BadStore: the URL is not one of these, or what it names cannot be opened or is no store.
        StoreNotFound: there is no store and `create` is False.
        SchemaTooNew: a newer version of this software wrote it.
    """

    def __init__(
        self, url: str = DEFAULT_URL, *, create: bool = True, clock: Callable[[], datetime] = _utc_now
    ) -> None:
        #: For the other parts of this package.
        self.database = Database(url, create=create)
        self.clock = clock
        #: The URL without its password, for messages.
        self.name = self.database.name
        try:
            prepare(self.database, create=create)
        except BaseException as error:
            self.database.close()
            if isinstance(error, StoreFailed):
                raise BadStore(str(error)) from error
            raise

    def close(self) -> None:
        """Give the connections back. The store is not used after it."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Jobs

    def create_job(self, name: str, spec: Mapping[str, Any], *, submitted_by: str | None = None) -> Job:
        """Queue a job. Its id is the slug of its name and six random characters.

        Args:
            name: for people.
            spec: a JSON object.
            submitted_by: name of the token by which a service got it.

        Raises:
            InvalidRecord: the spec is no JSON object, or the name is empty.
        """
        with self.database.write() as connection:
            job_id = jobs.create(connection, name, spec, self.clock(), submitted_by)
            return jobs.get(connection, job_id, self.name)

    def begin_job(self, name: str, spec: Mapping[str, Any], owner: str, *, lease_seconds: float = 60.0) -> Lease:
        """Create a job that this owner runs from the start, so that nobody else claims it; as those two methods do."""
        with self.database.write() as connection:
            now = self.clock()
            job_id = jobs.create(connection, name, spec, now)
            return jobs.claim(connection, job_id, owner, lease_seconds, None, now, self.name)

    def job(self, job_id: str) -> Job:
        """The job with this id."""
        with self.database.read() as connection:
            return jobs.get(connection, job_id, self.name)

    def jobs(self, status: JobStatus | None = None, limit: int | None = None) -> list[Job]:
        """Jobs, newest first: of one status or all, at most `limit`."""
        with self.database.read() as connection:
            return jobs.newest(connection, status, limit)

    def claim(self, job_id: str, owner: str, *, lease_seconds: float = 60.0, dead_fence: int | None = None) -> Lease:
        """Make a job RUNNING by this owner: a QUEUED one, or a RUNNING one whose lease is over.

        A lease is over when its owner was not heard of for its `lease_seconds`, or at once when the caller
        knows that its owner is dead and says so by `dead_fence`, the fence of that lease.

        Args:
            job_id: the job.
            owner: who runs it, any text that another process can check, such as `host:pid:start-time`.
            lease_seconds: how long the lease lasts after each heartbeat, in seconds.
            dead_fence: the fence (`Job.fence`) of a lease whose owner the caller knows to be dead.

        Raises:
            LeaseHeld: another owner runs it.
            WrongStatus: the job has ended.
        """
        with self.database.write() as connection:
            return jobs.claim(connection, job_id, owner, lease_seconds, dead_fence, self.clock(), self.name)

    def heartbeat(self, lease: Lease) -> None:
        """Keep the lease. Raises `LeaseLost` when it is over, also when the job was cancelled."""
        with self.database.write() as connection:
            jobs.hold(connection, lease, self.clock(), self.name)

    def adopt(self, lease: Lease, owner: str) -> Lease:
        """Move a lease to the process that it was taken for, under a new fence. Raises `LeaseLost`, as for any second.

        Args:
            lease: taken by somebody who hands it on.
            owner: who has it now, as in `claim`.
        """
        with self.database.write() as connection:
            return jobs.adopt(connection, lease, owner, self.clock(), self.name)

    def finish(
        self, lease: Lease, status: JobStatus, error: str | None = None, *, end_reason: str | None = None
    ) -> None:
        """End the job, or give it back: SUCCEEDED, CANCELLED, FAILED with its error, or QUEUED to go on later.

        Args:
            lease: the driver's.
            status: what it is from now on.
            error: the cause of a FAILED one, or why a QUEUED one was given back, which counts as a restart then.
            end_reason: why one that SUCCEEDED ended when it did.

        Raises:
            LeaseLost: the lease is over; the job is as it was.
        """
        with self.database.write() as connection:
            jobs.finish(connection, lease, JobStatus(status), error, end_reason, self.clock(), self.name)

    def cancel(self, job_id: str) -> None:
        """Cancel a QUEUED or RUNNING job; its driver learns it at its next write. Raises `WrongStatus`."""
        with self.database.write() as connection:
            jobs.cancel(connection, job_id, self.clock(), self.name)

    def pause(self, job_id: str) -> None:
        """Give a QUEUED or RUNNING job back and let nobody claim it until it is resumed. Raises `WrongStatus`."""
        with self.database.write() as connection:
            jobs.pause(connection, job_id, self.name)

    def unpause(self, job_id: str) -> None:
        """Let a paused job be claimed again."""
        with self.database.write() as connection:
            jobs.unpause(connection, job_id, self.name)

    def prioritise(self, job_id: str, priority: int) -> None:
        """Change the priority of a job; of the jobs that wait, the greatest is next."""
        with self.database.write() as connection:
            jobs.prioritise(connection, job_id, priority, self.name)

    def count_jobs(self) -> dict[JobStatus, int]:
        """How many jobs have each status; statuses that none has are out."""
        with self.database.read() as connection:
            return jobs.count(connection)

    def waiting(self) -> list[Job]:
        """Jobs that a driver could claim now: QUEUED ones that are not paused, and RUNNING ones whose lease is over.

        The greatest priority comes first, then the oldest.
        """
        with self.database.read() as connection:
            return jobs.waiting(connection, self.clock())

    def requeue(self, job_id: str) -> None:
        """Queue a FAILED or CANCELLED job again, with all that it has found. Raises `WrongStatus`."""
        with self.database.write() as connection:
            jobs.requeue(connection, job_id, self.name)

    def extend(self, job_id: str, spec: Mapping[str, Any]) -> None:
        """Queue a job that has ended again, with all that it has found and a spec that asks for more.

        Raises:
            WrongStatus: it has not ended.
            InvalidRecord: the spec is no JSON object.
        """
        with self.database.write() as connection:
            jobs.extend(connection, job_id, spec, self.name)

    # The history of a search

    def add_proposals(self, lease: Lease, batch: int, rows: Iterable[Architecture]) -> range:
        """Record what the strategy asked for, in its order, before any of it is evaluated.

        Architectures that no job has proposed before become known to all jobs.

        Args:
            lease: the driver's.
            batch: the number of this batch; greater than all that are recorded.
            rows: one architecture per proposal; a repeated one is proposed repeatedly.

        Returns:
            The numbers of these proposals within the job.

        Raises:
            LeaseLost: the lease is over.
            InvalidRecord: a key, genotype or static metric has no stored form, or the batch is recorded.
        """
        checked = history.checked_architectures(rows)
        with self.database.write() as connection:
            jobs.hold(connection, lease, self.clock(), self.name)
            return history.add_proposals(connection, lease.job_id, batch, checked)

    def proposals(self, job_id: str) -> list[Proposal]:
        """Everything the strategy of a job asked for, in its order."""
        with self.database.read() as connection:
            jobs.expect(connection, job_id, self.name)
            return history.proposals(connection, job_id)

    def add_evaluations(self, lease: Lease, rows: Iterable[Outcome], measured: Iterable[Measurement] = ()) -> range:
        """Record outcomes in the order in which the strategy is told: all of them or, after an error, none.

        Args:
            lease: the driver's.
            rows: the outcomes.
            measured: what was measured for them, recorded with them, as by `add_measurements`.

        Returns:
            The numbers of these evaluations within the job.

        Raises:
            LeaseLost: the lease is over.
            AlreadyEvaluated: the job has an evaluation of one of these architectures.
            InvalidRecord: the job never proposed one of them, or a metric is no number.
        """
        checked, timed = history.checked_outcomes(rows), measurements.checked(measured)
        with self.database.write() as connection:
            now = self.clock()
            jobs.hold(connection, lease, now, self.name)
            measurements.add(connection, timed, lease.job_id, now)
            return history.add_evaluations(connection, lease.job_id, checked, now)

    def evaluations(self, job_id: str, *, start: int = 0, limit: int | None = None) -> list[Evaluation]:
        """The evaluations of a job in their order, from the number `start` on, at most `limit`."""
        with self.database.read() as connection:
            jobs.expect(connection, job_id, self.name)
            return history.evaluations(connection, job_id, start, limit)

    def front(self, job_id: str) -> list[Evaluation]:
        """The evaluations of a job that no other dominates, ascending in the first loss, then in the second, ...

        It is kept up to date with every batch that is told: asking costs the same however many there are.
        """
        with self.database.read() as connection:
            jobs.expect(connection, job_id, self.name)
            return history.front(connection, job_id)

    def replace_front(self, lease: Lease, losses: Mapping[int, Sequence[float]]) -> None:
        """Make the front anew of some evaluations, because their values are known better now.

        Args:
            lease: the driver's.
            losses: number of an evaluation -> its losses, finite, all of the same length. Dominated ones are left out.

        Raises:
            LeaseLost: the lease is over.
            InvalidRecord: the job has no evaluation of such a number, or losses are not finite.
        """
        with self.database.write() as connection:
            jobs.hold(connection, lease, self.clock(), self.name)
            fronts.replace(connection, lease.job_id, losses)

    def architectures(self, keys: Iterable[str]) -> dict[str, Architecture]:
        """The recorded ones of these architectures by key, whichever job proposed them."""
        with self.database.read() as connection:
            return history.architectures(connection, keys)

    def add_architectures(self, lease: Lease, rows: Iterable[Architecture]) -> None:
        """Make architectures known that are measured without being proposed; those that are known stay as they are.

        Raises:
            LeaseLost: the lease is over.
            InvalidRecord: a key, genotype or static metric has no stored form.
        """
        checked = history.checked_architectures(rows)
        with self.database.write() as connection:
            jobs.hold(connection, lease, self.clock(), self.name)
            history.add_architectures(connection, checked)

    def add_round(self, lease: Lease, row: Round) -> None:
        """Record a round of a search that trains as it goes.

        Raises:
            LeaseLost: the lease is over.
            InvalidRecord: it does not follow the last recorded one, or a value has no stored form.
        """
        checked = rounds.checked(row)
        with self.database.write() as connection:
            now = self.clock()
            jobs.hold(connection, lease, now, self.name)
            rounds.add(connection, lease.job_id, checked, now)

    def rounds(self, job_id: str) -> list[Round]:
        """The rounds of a job, in their order; none of a search that does not train."""
        with self.database.read() as connection:
            jobs.expect(connection, job_id, self.name)
            return rounds.of_job(connection, job_id)

    # Trainings

    def record_training(self, lease: Lease, row: Training, metrics: Mapping[str, float] | None = None) -> None:
        """Record a training that began, or what became of it since.

        Args:
            lease: the driver's.
            row: it, whole.
            metrics: what is put beside the metrics of the job's evaluation of this architecture, if there is one.

        Raises:
            LeaseLost: the lease is over.
            InvalidRecord: the architecture is not recorded, or a value has no stored form.
        """
        checked, found = trainings.checked(row), checks.numbers(metrics or {}, "metric")
        with self.database.write() as connection:
            now = self.clock()
            jobs.hold(connection, lease, now, self.name)
            trainings.record(connection, lease.job_id, checked, found, now)

    def trainings(self, job_id: str) -> list[Training]:
        """The trainings of a job, in the order in which they began."""
        with self.database.read() as connection:
            jobs.expect(connection, job_id, self.name)
            return trainings.of_job(connection, job_id)

    # Devices and measurements

    def add_device(self, device: Device) -> None:
        """Record a device, or that it was seen again."""
        with self.database.write() as connection:
            measurements.add_device(connection, device, self.clock())

    def devices(self) -> list[Device]:
        """All devices, the one seen last first."""
        with self.database.read() as connection:
            return measurements.devices(connection)

    def add_measurements(self, job: Lease | str | None, rows: Iterable[Measurement]) -> None:
        """Record measurements, all or none; one of the same architecture, device and metric is replaced.

        Args:
            job: who measured: a driver's lease, the id of a job that nobody runs, or None.
            rows: measurements of recorded architectures on recorded devices.

        Raises:
            LeaseLost: the lease is over.
            InvalidRecord: an architecture or device is not recorded, or a value has no stored form.
        """
        checked = measurements.checked(rows)
        with self.database.write() as connection:
            now = self.clock()
            measurements.add(connection, checked, jobs.permit(connection, job, now, self.name), now)

    def measurements(
        self, keys: Iterable[str], device_fingerprints: str | Iterable[str], metric: str
    ) -> dict[str, Measurement]:
        """What any job measured last of these architectures, by key; keys without a measurement are out.

        Args:
            keys: of the architectures.
            device_fingerprints: of the device, or of each of its settings where these are a part of the architectures.
            metric: such as `latency_ms@cpu`; what jobs call the device makes no difference.
        """
        fingerprints = [device_fingerprints] if isinstance(device_fingerprints, str) else device_fingerprints
        with self.database.read() as connection:
            return measurements.lookup(connection, keys, fingerprints, metric)

    def add_layers(self, device_fingerprint: str, rows: Iterable[Layer]) -> None:
        """Record what layers take on a device, all or none; one with the same signature is replaced.

        Raises:
            InvalidRecord: the device is not recorded, or a value has no stored form.
        """
        checked = layers.checked(rows)
        with self.database.write() as connection:
            layers.add(connection, device_fingerprint, checked, self.clock())

    def layers(self, device_fingerprint: str) -> list[Layer]:
        """What was measured of layers on a device, by signature."""
        with self.database.read() as connection:
            return layers.of_device(connection, device_fingerprint)

    def add_replications(self, lease: Lease, rows: Iterable[Replication]) -> None:
        """Record that finalists of a job were measured anew, all or none; the same again is replaced.

        Raises:
            LeaseLost: the lease is over.
            InvalidRecord: the job has no evaluation of one of them, or a value has no stored form.
        """
        checked = replications.checked(rows)
        with self.database.write() as connection:
            now = self.clock()
            jobs.hold(connection, lease, now, self.name)
            replications.add(connection, lease.job_id, checked, now)

    def replications(self, job_id: str) -> list[Replication]:
        """What was measured anew of a job's finalists, by architecture and metric."""
        with self.database.read() as connection:
            jobs.expect(connection, job_id, self.name)
            return replications.of_job(connection, job_id)

    # The store as a whole

    @staticmethod
    def revision(url: str) -> str | None:
        """The schema revision of the store at this URL, None of an empty database. Nothing is changed."""
        database = Database(url, create=False)
        try:
            with database.read() as connection:
                return revision(connection)
        finally:
            database.close()

    def faults(self) -> list[str]:
        """What is wrong with the database and its rows, a sentence each; nothing when it is sound."""
        return faults(self.database)

    def copy_to(self, other: "ResultStore", on_rows: Callable[[str, int, int], None]) -> dict[str, int]:
        """Copy every row into a store without rows, whole or not at all.

        Args:
            other: where they go.
            on_rows: called with a table's name, its rows copied so far, and its rows in all.

        Returns:
            The number of rows of each table.

        Raises:
            BadStore: the other one has rows.
        """
        return copy(self.database, other.database, on_rows)

    # Questions

    @contextmanager
    def query(self, sql: str, *, seconds: float = 60.0) -> Iterator[tuple[list[str], Iterator[tuple[Any, ...]]]]:
        """Ask by SQL that only reads: the names of the columns, and the rows as they come. See `storage.query`.

        Raises:
            BadQuery: the database does not take it, it would change something, or it takes longer than `seconds`.
        """
        with query(self.database, sql, seconds) as answer:
            yield answer

    # Artifacts

    def add_artifact(
        self,
        job: Lease | str,
        kind: str,
        path: str,
        *,
        sha256: str,
        size_bytes: int,
        metadata: Mapping[str, Any] | None = None,
    ) -> Artifact:
        """Record a file that a job made; the file of the same path is recorded anew under the same id.

        Args:
            job: a driver's lease, or the id of a job.
            kind: what it is: `supernet`, `onnx`, `plot`, ...
            path: where it is, kept as given.
            sha256: 64 hex digits.
            size_bytes: its size.
            metadata: a JSON object.

        Raises:
            LeaseLost: the lease is over.
            InvalidRecord: a value has no stored form.
        """
        with self.database.write() as connection:
            now = self.clock()
            job_id = jobs.permit(connection, job, now, self.name)
            assert job_id is not None
            return artifacts.add(connection, job_id, kind, path, sha256, size_bytes, metadata or {}, now)

    def artifact(self, artifact_id: str) -> Artifact:
        """The record of one file. Raises `UnknownArtifact`."""
        with self.database.read() as connection:
            return artifacts.get(connection, artifact_id)

    def artifacts(self, job_id: str, kind: str | None = None) -> list[Artifact]:
        """The recorded files of a job, newest first: of one kind or all."""
        with self.database.read() as connection:
            jobs.expect(connection, job_id, self.name)
            return artifacts.of_job(connection, job_id, kind)
