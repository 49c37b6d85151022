"""What people look at: a store's evaluations as columns, and where networks were met."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from storage import encounters, jobs, points
from storage.encounters import Encounter, Timing
from storage.points import Failure, Points
from storage.records import Json
from storage.store import ResultStore


class Looking:
    """The part of a store that pictures are made of. Every method is one transaction that only reads.

    Those that take a job raise `UnknownJob`.
    """

    def __init__(self, store: ResultStore) -> None:
        self._store = store
        self._database = store.database

    def points(
        self, job_id: str, metrics: Sequence[str], start: int = 0, *, end: int | None = None, stride: int = 1
    ) -> Points:
        """Every `stride`-th evaluation of a job from `start` to before `end`, and all of the front among them."""
        with self._database.read() as connection:
            jobs.expect(connection, job_id, self._store.name)
            return points.points(connection, job_id, metrics, start, end, stride)

    def metric_names(self, job_id: str) -> list[str]:
        """The metrics that a job's first and last evaluations have, and those on its front."""
        with self._database.read() as connection:
            jobs.expect(connection, job_id, self._store.name)
            return points.metric_names(connection, job_id)

    def replicated(self, job_id: str) -> list[tuple[int, str, float]]:
        """What was measured anew of a job's finalists: number of the evaluation, metric, value."""
        with self._database.read() as connection:
            return points.replicated(connection, job_id)

    def times(self, job_id: str, numbers: Iterable[int]) -> dict[int, datetime]:
        """When evaluations were recorded, by their numbers."""
        with self._database.read() as connection:
            return points.times(connection, job_id, numbers)

    def failures(self, job_id: str, limit: int = 20) -> list[Failure]:
        """Why evaluations of a job failed, the most frequent causes first."""
        with self._database.read() as connection:
            jobs.expect(connection, job_id, self._store.name)
            return points.failures(connection, job_id, limit)

    def encounters(self, key: str, limit: int = 100) -> list[Encounter]:
        """The jobs that evaluated a network, the newest evaluation first."""
        with self._database.read() as connection:
            return encounters.encounters(connection, key, limit)

    def evaluation_number(self, job_id: str, key: str) -> int | None:
        """The number of a job's evaluation of a network; None where there is none."""
        with self._database.read() as connection:
            return encounters.evaluation_number(connection, job_id, key)

    def timings(self, key: str) -> list[Timing]:
        """What devices measured of a network, by device and metric."""
        with self._database.read() as connection:
            return encounters.timings(connection, key)

    def common(
        self, metric: str, first: str, second: str, limit: int = 1000
    ) -> list[tuple[str, float | None, float | None]]:
        """Networks that two devices, by fingerprint, measured: key, value on the first, value on the second."""
        with self._database.read() as connection:
            return encounters.common(connection, metric, first, second, limit)

    def measured_by(self, fingerprint: str, limit: int = 2000) -> list[tuple[datetime, str, float, Json]]:
        """The newest measurements of a device, oldest first: when, metric, value, statistics."""
        with self._database.read() as connection:
            return encounters.measured_by(connection, fingerprint, limit)
