"""The suite that every result store must pass, on whatever database it keeps its rows.

Subclass it in a test module and give the one fixture it asks for:

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def open_store(self, tmp_path):
            ...  # yield a function `open(**options)` that opens one store, empty at first, again and again

`options` are those of `ResultStore`; the fixture closes what it opened. Call
`pytest.register_assert_rewrite("storage.conformance")` before the import for readable failures.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Protocol

import pytest

from storage.errors import (
    AlreadyEvaluated,
    InvalidRecord,
    LeaseHeld,
    LeaseLost,
    StoreError,
    StoreNotFound,
    UnknownJob,
    WrongStatus,
)
from storage.records import Architecture, Device, JobStatus, Lease, Measurement, Outcome
from storage.store import ResultStore


class OpenStore(Protocol):
    """Opens the store of a test."""

    def __call__(self, *, create: bool = True, clock: Callable[[], datetime] = ...) -> ResultStore:
        """The same store every time."""


class Clock:
    """A clock that moves a millisecond whenever it is read, and further when it is told."""

    def __init__(self) -> None:
        self.time = datetime(2024, 2, 29, 23, 59, 58, 123456, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time, a millisecond later than before."""
        self.time += timedelta(milliseconds=1)
        return self.time

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += timedelta(seconds=seconds)


def architecture(index: int, space: str = "toy") -> Architecture:
    """A made-up architecture."""
    key = sha256(str(index).encode()).hexdigest()
    return Architecture(key, space, {"depth": index, "ratio": 0.5, "op": "Conv"}, {"macs": index + 0.5})


def running(store: ResultStore, proposed: int = 0) -> Lease:
    """A job that runs, with a first batch of proposals."""
    lease = store.claim(store.create_job("a job", {}).id, "host:1:2")
    if proposed:
        store.add_proposals(lease, 0, [architecture(index) for index in range(proposed)])
    return lease


class StoreConformance:
    """What a result store promises."""

    @pytest.fixture
    def clock(self) -> Clock:
        """The time of the test."""
        return Clock()

    @pytest.fixture
    def store(self, open_store: OpenStore, clock: Clock) -> ResultStore:
        """An empty store."""
        return open_store(clock=clock)

    # Opening

    def test_nothing_is_created_unasked(self, open_store: OpenStore) -> None:
        """A reader of a store that does not exist is told so, and it does not exist after that."""
        for _ in range(2):
            with pytest.raises(StoreNotFound):
                open_store(create=False)

    def test_everything_survives_reopening(self, open_store: OpenStore, clock: Clock) -> None:
        """What a second opening sees is what the first one saw."""
        store = open_store(clock=clock)
        lease = running(store, 3)
        store.add_evaluations(lease, [Outcome(architecture(1).key, {"accuracy": 0.5})])
        again = open_store(create=False)
        assert again.jobs() == store.jobs()
        assert again.proposals(lease.job_id) == store.proposals(lease.job_id)
        assert again.evaluations(lease.job_id) == store.evaluations(lease.job_id)

    # Jobs

    def test_a_new_job_is_queued(self, store: ResultStore) -> None:
        """It has a readable id, its spec in its order, and nothing that only a driver brings."""
        spec = {"z": [1, 2.5, None, True], "a": {"ü": "é\u2028", "empty": ""}}
        job = store.create_job("Digits über alles!", spec)
        slug, _, random = job.id.rpartition("-")
        assert (slug, len(random)) == ("digits-uber-alles", 6)
        assert (job.name, job.spec, job.status) == ("Digits über alles!", spec, JobStatus.QUEUED)
        assert list(job.spec) == ["z", "a"]
        assert {job.error, job.started_at, job.finished_at, job.owner, job.lease_ends_at} == {None}
        assert job.fence == job.proposed == job.evaluated == 0
        assert store.job(job.id) == job

    def test_a_name_without_letters_still_makes_an_id(self, store: ResultStore) -> None:
        """The slug of nothing is `job`, and equal names make different ids."""
        first, second = store.create_job("???", {}), store.create_job("???", {})
        assert first.id.startswith("job-")
        assert first.id != second.id

    def test_jobs_come_newest_first(self, store: ResultStore) -> None:
        """Listings are newest first, of one status or all, and can be cut."""
        ids = [store.create_job(f"job {index}", {}).id for index in range(4)]
        store.claim(ids[1], "me")
        assert [job.id for job in store.jobs()] == ids[::-1]
        assert [job.id for job in store.jobs(limit=2)] == ids[:1:-1]
        assert [job.id for job in store.jobs(status=JobStatus.RUNNING)] == [ids[1]]

    def test_an_unknown_job_is_named(self, store: ResultStore) -> None:
        """Whoever asks for a job that is not there learns which ones are."""
        with pytest.raises(UnknownJob, match=r"no job 'nope'.*it holds no jobs"):
            store.job("nope")
        ids = [store.create_job("digits", {}).id for _ in range(7)]
        lost = Lease("nope", 1)
        for ask in (
            lambda: store.job("nope"),
            lambda: store.proposals("nope"),
            lambda: store.evaluations("nope"),
            lambda: store.artifacts("nope"),
            lambda: store.claim("nope", "me"),
            lambda: store.cancel("nope"),
            lambda: store.requeue("nope"),
            lambda: store.heartbeat(lost),
            lambda: store.add_artifact("nope", "plot", "a.png", sha256="0" * 64, size_bytes=1),
            lambda: store.add_measurements("nope", []),
        ):
            with pytest.raises(UnknownJob, match="no job 'nope'") as caught:
                ask()
            assert caught.value.known == ids[:1:-1]

    @pytest.mark.parametrize("spec", [{"x": math.nan}, {"x": math.inf}, {"x": object()}, {1: 2}, [1]])
    def test_a_spec_is_json(self, store: ResultStore, spec: object) -> None:
        """What has no JSON form is refused on every database, and no job is made."""
        with pytest.raises(InvalidRecord, match="a job's spec"):
            store.create_job("job", spec)  # type: ignore[arg-type]
        assert store.jobs() == []

    def test_times_are_utc(self, open_store: OpenStore) -> None:
        """Microseconds and the moment survive, whatever time zone the clock speaks."""
        summer = datetime(2024, 7, 1, 0, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=45)))
        store = open_store(clock=lambda: summer)
        job = store.job(store.create_job("job", {}).id)
        assert job.created_at == summer
        assert job.created_at.utcoffset() == timedelta(0)

    # Leases

    def test_the_life_of_a_job(self, store: ResultStore, clock: Clock) -> None:
        """QUEUED, RUNNING, SUCCEEDED, each with its time."""
        created = store.create_job("job", {})
        lease = store.claim(created.id, "host:1:2", lease_seconds=30)
        job = store.job(created.id)
        assert lease == Lease(created.id, 1)
        assert (job.status, job.owner, job.fence, job.lease_seconds) == (JobStatus.RUNNING, "host:1:2", 1, 30.0)
        assert job.started_at == job.heartbeat_at
        assert job.lease_ends_at == clock.time + timedelta(seconds=30)
        clock.advance(20)
        store.heartbeat(lease)
        assert store.job(job.id).lease_ends_at == clock.time + timedelta(seconds=30)
        store.finish(lease, JobStatus.SUCCEEDED)
        ended = store.job(job.id)
        assert (ended.status, ended.finished_at, ended.started_at) == (
            JobStatus.SUCCEEDED,
            clock.time,
            job.started_at,
        )
        assert {ended.owner, ended.heartbeat_at, ended.lease_seconds} == {None}

    def test_a_failed_job_keeps_its_error(self, store: ResultStore) -> None:
        """Text from anywhere is kept; what no database agrees on is replaced."""
        lease = running(store)
        with pytest.raises(InvalidRecord, match="a FAILED job has an error"):
            store.finish(lease, JobStatus.FAILED)
        store.finish(lease, JobStatus.FAILED, "it's 100 % \0broken\ud800: %s\nΩ😀")
        assert store.job(lease.job_id).error == "it's 100 % \ufffdbroken\ufffd: %s\nΩ😀"

    def test_a_lease_is_exclusive(self, store: ResultStore, clock: Clock) -> None:
        """Nobody else claims a job whose owner lives; when it was silent for too long, the next one does."""
        job = store.create_job("job", {})
        first = store.claim(job.id, "first", lease_seconds=60)
        clock.advance(59)
        with pytest.raises(LeaseHeld, match="is run by first, last heard of 59 s ago; its lease ends in 1 s"):
            store.claim(job.id, "second")
        clock.advance(1)
        second = store.claim(job.id, "second")
        assert (first.fence, second.fence) == (1, 2)
        assert store.job(job.id).owner == "second"

    def test_a_dead_owner_is_followed_at_once(self, store: ResultStore) -> None:
        """Who knows that the owner is dead names its fence, and cannot take a newer lease by mistake."""
        job = store.create_job("job", {})
        first = store.claim(job.id, "first")
        second = store.claim(job.id, "second", dead_fence=first.fence)
        with pytest.raises(LeaseHeld):
            store.claim(job.id, "third", dead_fence=first.fence)
        assert store.job(job.id).fence == second.fence

    def test_one_of_many_claims_wins(self, store: ResultStore) -> None:
        """Threads that claim one job at once: one has it."""
        job = store.create_job("job", {})

        def claim(owner: int) -> int:
            try:
                return store.claim(job.id, f"owner {owner}").fence
            except LeaseHeld:
                return 0

        with ThreadPoolExecutor(4) as pool:
            fences = sorted(pool.map(claim, range(8)))
        assert fences == [0] * 7 + [1]

    def test_a_stale_lease_writes_nothing(self, store: ResultStore) -> None:
        """A driver that wakes up after another one took over is refused, whatever it writes."""
        stale = running(store, 2)
        store.add_device(Device("f", "cpu"))
        store.claim(stale.job_id, "second", dead_fence=stale.fence)
        before = store.job(stale.job_id)
        outcome = Outcome(architecture(0).key, {"accuracy": 1.0})
        measurement = Measurement(architecture(0).key, "f", "latency_ms", 1.0, "cpu")
        for write in (
            lambda: store.heartbeat(stale),
            lambda: store.add_proposals(stale, 1, [architecture(9)]),
            lambda: store.add_evaluations(stale, [outcome]),
            lambda: store.add_measurements(stale, [measurement]),
            lambda: store.add_artifact(stale, "plot", "a.png", sha256="0" * 64, size_bytes=1),
            lambda: store.finish(stale, JobStatus.SUCCEEDED),
        ):
            with pytest.raises(LeaseLost, match=r"fence 1 is over: .* \(its fence is 2, held by second\)"):
                write()
        assert store.job(stale.job_id) == before
        assert not store.evaluations(stale.job_id)
        assert not store.artifacts(stale.job_id)
        assert store.architectures([architecture(9).key]) == {}
        assert store.measurements([architecture(0).key], "f", "latency_ms") == {}

    @pytest.mark.parametrize("end", ["cancel", "finish", "give back"])
    def test_a_lease_ends_with_its_run(self, store: ResultStore, end: str) -> None:
        """After the job was cancelled, ended or given back, its last driver writes nothing."""
        lease = running(store, 1)
        if end == "cancel":
            store.cancel(lease.job_id)
        else:
            store.finish(lease, JobStatus.QUEUED if end == "give back" else JobStatus.SUCCEEDED)
        with pytest.raises(LeaseLost, match=r"the job is (CANCELLED|QUEUED|SUCCEEDED)"):
            store.add_evaluations(lease, [Outcome(architecture(0).key, {"accuracy": 1.0})])
        assert store.evaluations(lease.job_id) == []

    def test_a_job_goes_on_with_what_it_found(self, store: ResultStore) -> None:
        """Cancelled or failed, queued again, claimed: nothing is lost, and the fence is a new one."""
        lease = running(store, 2)
        store.add_evaluations(lease, [Outcome(architecture(0).key, {"accuracy": 1.0})])
        store.cancel(lease.job_id)
        store.requeue(lease.job_id)
        second = store.claim(lease.job_id, "second")
        store.finish(second, JobStatus.FAILED, "no space left")
        store.requeue(lease.job_id)
        assert (store.job(lease.job_id).error, store.job(lease.job_id).finished_at) == (None, None)
        third = store.claim(lease.job_id, "third")
        store.add_evaluations(third, [Outcome(architecture(1).key, {"accuracy": 1.0})])
        assert third.fence == 3
        assert len(store.evaluations(lease.job_id)) == store.job(lease.job_id).evaluated == 2

    def test_a_status_moves_only_as_allowed(self, store: ResultStore) -> None:
        """What has ended is neither claimed nor cancelled; what has not is not queued again."""
        lease = running(store)
        with pytest.raises(WrongStatus, match="is RUNNING; only a job that is FAILED or CANCELLED can be"):
            store.requeue(lease.job_id)
        with pytest.raises(WrongStatus, match="does not finish as RUNNING"):
            store.finish(lease, JobStatus.RUNNING)
        store.finish(lease, JobStatus.SUCCEEDED)
        for move in (store.cancel, store.requeue):
            with pytest.raises(WrongStatus, match="is SUCCEEDED"):
                move(lease.job_id)
        with pytest.raises(WrongStatus, match="is SUCCEEDED; only a job that is QUEUED or RUNNING can be claimed"):
            store.claim(lease.job_id, "me")

    # History

    def test_proposals_keep_their_order(self, store: ResultStore) -> None:
        """Numbers go on from batch to batch; one architecture may be proposed again, by another genotype."""
        lease = running(store)
        twin = Architecture(architecture(1).key, "toy", {"depth": 99})
        first = store.add_proposals(lease, 0, [architecture(2), architecture(1)])
        second = store.add_proposals(lease, 4, [architecture(0), twin, architecture(0)])
        assert (first, second) == (range(2), range(2, 5))
        rows = store.proposals(lease.job_id)
        assert [row.number for row in rows] == list(range(5))
        assert [row.batch for row in rows] == [0, 0, 4, 4, 4]
        assert [row.architecture_key for row in rows] == [architecture(i).key for i in (2, 1, 0, 1, 0)]
        assert [row.genotype["depth"] for row in rows] == [2, 1, 0, 99, 0]
        assert rows[0].genotype == architecture(2).genotype
        assert [type(option) for option in rows[0].genotype.values()] == [int, float, str]
        assert store.job(lease.job_id).proposed == 5

    def test_a_batch_is_recorded_once(self, store: ResultStore) -> None:
        """A batch that is there already, or came before it, is refused whole."""
        lease = running(store, 2)
        store.add_proposals(lease, 3, [architecture(5)])
        for batch in (3, 1):
            with pytest.raises(InvalidRecord, match="batch 3 is recorded"):
                store.add_proposals(lease, batch, [architecture(6)])
        assert store.job(lease.job_id).proposed == 3
        assert store.architectures([architecture(6).key]) == {}

    def test_architectures_are_shared(self, store: ResultStore) -> None:
        """The first record of an architecture stays, and every job's evaluations show its own genotype."""
        running(store, 2)
        other = running(store)
        same = Architecture(architecture(1).key, "another space", {"width": 3}, {"macs": 7.0})
        store.add_proposals(other, 0, [same])
        store.add_evaluations(other, [Outcome(same.key, {"accuracy": 1.0})])
        keys = ["f" * 64, architecture(1).key, architecture(0).key]
        assert store.architectures(keys) == {index.key: index for index in (architecture(1), architecture(0))}
        assert store.evaluations(other.job_id)[0].genotype == {"width": 3}

    def test_evaluations_keep_their_order(self, store: ResultStore, clock: Clock) -> None:
        """The order in which they are told, not proposed; with metrics, errors and time."""
        lease = running(store, 4)
        told = store.add_evaluations(
            lease,
            [
                Outcome(architecture(3).key, {"latency_ms@cpu": 2.5, "accuracy": 0.75}, seconds=1.5),
                Outcome(architecture(0).key, error="out of memory\n\0"),
            ],
        )
        more = store.add_evaluations(lease, [Outcome(architecture(2).key, {"macs": 1}, error="half")])
        assert (told, more) == (range(2), range(2, 3))
        first, second, third = store.evaluations(lease.job_id)
        assert [first.number, second.number, third.number] == [0, 1, 2]
        assert first.architecture_key == architecture(3).key
        assert first.genotype == architecture(3).genotype
        assert (first.metrics, first.error, first.seconds) == ({"accuracy": 0.75, "latency_ms@cpu": 2.5}, None, 1.5)
        assert list(first.metrics) == ["accuracy", "latency_ms@cpu"]
        assert first.created_at < clock.time
        assert (second.metrics, second.error) == ({}, "out of memory\n\ufffd")
        assert (third.metrics, third.error) == ({"macs": 1.0}, "half")
        assert store.evaluations(lease.job_id, start=1) == [second, third]
        assert store.evaluations(lease.job_id, start=1, limit=1) == [second]
        assert store.evaluations(lease.job_id, start=3) == []

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, -0.0, 0.1, 1e308, -5e-324, 2.0**53, 1 / 3])
    def test_every_float_comes_back(self, store: ResultStore, value: float) -> None:
        """NaN and infinities too; only the sign of zero is not kept."""
        lease = running(store, 1)
        store.add_device(Device("f", "cpu"))
        key = architecture(0).key
        store.add_evaluations(lease, [Outcome(key, {"metric": value})])
        store.add_measurements(lease, [Measurement(key, "f", "metric", value, "cpu", samples=[value, 1.0])])
        expected = repr(value + 0.0)
        measured = store.measurements([key], "f", "metric")[key]
        assert repr(store.evaluations(lease.job_id)[0].metrics["metric"]) == expected
        assert repr(measured.value) == expected
        assert repr(measured.samples[0]) == repr(value)

    def test_an_architecture_is_evaluated_once(self, store: ResultStore) -> None:
        """A second evaluation is refused together with everything that came with it."""
        lease = running(store, 4)
        outcomes = [Outcome(architecture(index).key, {"accuracy": 0.5}) for index in range(4)]
        store.add_evaluations(lease, outcomes[:1])
        with pytest.raises(AlreadyEvaluated, match=f"architecture {architecture(0).key} before, as its number 0"):
            store.add_evaluations(lease, [*outcomes[1:], outcomes[0]])
        with pytest.raises(AlreadyEvaluated, match="comes twice"):
            store.add_evaluations(lease, [*outcomes[1:], outcomes[2]])
        assert store.job(lease.job_id).evaluated == len(store.evaluations(lease.job_id)) == 1
        assert store.add_evaluations(lease, outcomes[1:]) == range(1, 4)

    @pytest.mark.parametrize(
        ("outcome", "message"),
        [
            (Outcome(architecture(9).key, {"accuracy": 1.0}), "never proposed architecture"),
            (Outcome("cafe", {"accuracy": 1.0}), "64 lower-case hex digits"),
            (Outcome(architecture(1).key), "neither metrics nor an error"),
            (Outcome(architecture(1).key, {"accuracy": "good"}), "metric 'accuracy' must be a number"),  # type: ignore[dict-item]
            (Outcome(architecture(1).key, {"accuracy": 10**400}), "metric 'accuracy' must be a number"),
            (Outcome(architecture(1).key, {"": 1.0}), "the name of metric"),
            (Outcome(architecture(1).key, {"accuracy": 1.0}, seconds=math.nan), "seconds of an evaluation"),
        ],
    )
    def test_a_bad_outcome_leaves_nothing(self, store: ResultStore, outcome: Outcome, message: str) -> None:
        """One row that cannot be stored keeps the good ones beside it out."""
        lease = running(store, 3)
        good = Outcome(architecture(0).key, {"accuracy": 1.0})
        with pytest.raises(InvalidRecord, match=message):
            store.add_evaluations(lease, [good, outcome])
        assert store.evaluations(lease.job_id) == []
        store.add_evaluations(lease, [good])

    def test_adding_nothing_changes_nothing(self, store: ResultStore) -> None:
        """Empty batches are allowed, also of an iterator."""
        lease = running(store)
        assert list(store.add_proposals(lease, 0, [])) == list(store.add_evaluations(lease, iter(()))) == []
        store.add_measurements(lease, [])
        assert not store.architectures([])
        assert not store.measurements([], "f", "latency_ms")

    def test_many_rows(self, store: ResultStore) -> None:
        """More keys than one statement takes."""
        lease = running(store, 2500)
        keys = [architecture(index).key for index in range(2500)]
        store.add_evaluations(lease, [Outcome(key, {"a": 1.0, "b": 2.0}) for key in keys])
        assert [row.architecture_key for row in store.evaluations(lease.job_id)] == keys
        assert list(store.architectures(keys)) == keys

    # Devices and measurements

    def test_measurements_are_reused(self, store: ResultStore) -> None:
        """What one job measured another one finds, by architecture, device and metric."""
        lease = running(store, 3)
        store.add_device(Device("f", "cpu", {"model": "Ω", "threads": 1}))
        keys = [architecture(index).key for index in range(3)]
        statistics = {"median": 2.0, "p90": 2.5, "runs": 3}
        store.add_measurements(
            lease,
            [
                Measurement(keys[0], "f", "latency_ms", 2.0, "cpu", statistics, (1.5, 2.0, 2.5)),
                Measurement(keys[1], "f", "latency_ms", math.nan, "cpu"),
                Measurement(keys[1], "f", "energy_mj", 5.0, "cpu"),
            ],
        )
        found = store.measurements([*keys[::-1], "f" * 64], "f", "latency_ms")
        assert list(found) == [keys[1], keys[0]]
        assert math.isnan(found[keys[1]].value)
        one = found[keys[0]]
        assert (one.value, one.statistics, one.samples) == (2.0, statistics, (1.5, 2.0, 2.5))
        assert (one.device_name, one.job_id) == ("cpu", lease.job_id)
        assert one.created_at is not None
        assert one.created_at.utcoffset() == timedelta(0)
        assert store.measurements(keys, "g", "latency_ms") == {}

    def test_a_newer_measurement_replaces(self, store: ResultStore) -> None:
        """Measured again, by somebody without a lease or without a job: the newest stands."""
        lease = running(store, 1)
        key = architecture(0).key
        store.add_device(Device("f", "cpu"))
        for job, values in ((lease, [1.0, 2.0]), (lease.job_id, [3.0]), (None, [4.0])):
            store.add_measurements(job, [Measurement(key, "f", "latency_ms", value, "cpu") for value in values])
            found = store.measurements([key], "f", "latency_ms")[key]
            assert found.value == values[-1]
            assert found.job_id == (None if job is None else lease.job_id)

    def test_a_measurement_is_of_something_known(self, store: ResultStore) -> None:
        """An architecture or a device that nobody recorded is refused, and so are the others beside it."""
        lease = running(store, 1)
        key = architecture(0).key
        good = Measurement(key, "f", "latency_ms", 1.0, "cpu")
        with pytest.raises(InvalidRecord, match="no device has the fingerprint 'f'"):
            store.add_measurements(lease, [good])
        store.add_device(Device("f", "cpu"))
        with pytest.raises(InvalidRecord, match=f"no architecture {'f' * 64} is recorded"):
            store.add_measurements(lease, [good, Measurement("f" * 64, "f", "latency_ms", 1.0, "cpu")])
        with pytest.raises(InvalidRecord, match="statistics of a measurement has no JSON form"):
            store.add_measurements(lease, [Measurement(key, "f", "m", 1.0, "cpu", {"spread": math.nan})])
        assert store.measurements([key], "f", "latency_ms") == {}

    def test_devices_are_seen_again(self, store: ResultStore, clock: Clock) -> None:
        """One row per fingerprint, with the newest name and description; the last seen comes first."""
        store.add_device(Device("a", "cpu", {"threads": 1}))
        store.add_device(Device("b", "gpu"))
        store.add_device(Device("a", "cpu renamed", {"threads": 2}))
        assert store.devices() == [
            Device("a", "cpu renamed", {"threads": 2}, clock.time),
            Device("b", "gpu", {}, clock.time - timedelta(milliseconds=1)),
        ]

    # Artifacts

    def test_artifacts(self, store: ResultStore, clock: Clock) -> None:
        """Newest first, by kind; a file that is written again keeps its id and its place is new."""
        lease = running(store)
        supernet = store.add_artifact(lease, "supernet", "s.safetensors", sha256="a" * 64, size_bytes=2**40)
        store.finish(lease, JobStatus.SUCCEEDED)
        onnx = store.add_artifact(
            lease.job_id, "onnx", "Ω/x.onnx", sha256="b" * 64, size_bytes=0, metadata={"pick": "knee"}
        )
        assert store.artifacts(lease.job_id) == [onnx, supernet]
        assert store.artifacts(lease.job_id, kind="onnx") == [onnx]
        assert (onnx.path, onnx.metadata, onnx.created_at) == ("Ω/x.onnx", {"pick": "knee"}, clock.time)
        assert supernet.size_bytes == 2**40
        again = store.add_artifact(lease.job_id, "supernet", "s.safetensors", sha256="c" * 64, size_bytes=3)
        assert (again.id, again.sha256) == (supernet.id, "c" * 64)
        assert store.artifacts(lease.job_id) == [again, onnx]
        with pytest.raises(InvalidRecord, match="SHA-256 is 64"):
            store.add_artifact(lease.job_id, "plot", "p.png", sha256="abc", size_bytes=1)

    # Together

    def test_copies_are_not_live(self, store: ResultStore) -> None:
        """Changing what was returned changes nothing in the store, and it does not change by itself."""
        lease = running(store, 1)
        before = store.job(lease.job_id)
        before.spec["changed"] = True
        store.cancel(lease.job_id)
        assert before.status is JobStatus.RUNNING
        assert store.job(lease.job_id).spec == {}

    def test_drivers_side_by_side(self, open_store: OpenStore) -> None:
        """Threads with a store each propose the same architectures in opposite orders: no deadlock, no loss."""
        stores = [open_store() for _ in range(4)]

        def drive(index: int) -> str:
            store = stores[index]
            lease = running(store)
            rows = [architecture(row) for row in range(20)][:: -1 if index % 2 else 1]
            store.add_device(Device("f", "cpu"))
            for batch in range(5):
                some = rows[4 * batch : 4 * batch + 4]
                store.add_proposals(lease, batch, some)
                store.add_measurements(lease, [Measurement(row.key, "f", "m", 1.0, "cpu") for row in some])
                store.add_evaluations(lease, [Outcome(row.key, {"m": 1.0}) for row in some])
            store.finish(lease, JobStatus.SUCCEEDED)
            return lease.job_id

        with ThreadPoolExecutor(4) as pool:
            ids = list(pool.map(drive, range(4)))
        for job_id in ids:
            numbers = [row.number for row in stores[0].evaluations(job_id)]
            assert numbers == list(range(20))
        assert len(stores[0].measurements([architecture(row).key for row in range(20)], "f", "m")) == 20

    def test_errors_name_no_statements(self, store: ResultStore) -> None:
        """What a user reads is about jobs, not about SQL."""
        with pytest.raises(StoreError) as caught:
            store.job("nope")
        assert "SELECT" not in str(caught.value)
