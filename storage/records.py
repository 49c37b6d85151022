"""What goes into a store and comes out of it: frozen values, never live rows.

Times are timezone-aware UTC datetimes. A genotype is an object `decision name -> option` of the active
decisions; an architecture's key is the 64 hex digits of its canonical graph hash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

Json = dict[str, Any]


class JobStatus(StrEnum):
    """Where a job is. It moves only by compare-and-set.

    QUEUED -> RUNNING -> SUCCEEDED | FAILED | CANCELLED; a RUNNING job can be given back to QUEUED, a QUEUED
    one be CANCELLED, and a FAILED or CANCELLED one be queued again.
    """

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether no driver will touch the job unless it is queued again."""
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write for a job: what `claim` gives and every write of a driver passes.

    `fence` counts the claims of the job. A lease whose fence is not the job's newest is refused, so a driver
    that was believed dead and wakes up again cannot write.
    """

    job_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class Job:
    """A search: its specification, where it is, and who runs it.

    `owner`, `heartbeat_at` and `lease_seconds` are None unless the job is RUNNING. `proposed` and `evaluated`
    count its proposals and evaluations. A job that is `paused` is QUEUED and is not claimed until it is resumed; of
    those that wait the one with the greatest `priority` is next. `restarts` tells of each driver that was lost, or that
    gave it back for a reason: `at` (ISO time), `evaluated`, `reason`. `submitted_by` names the token by which a service
    got the job; None without one. `ran_seconds` is how long drivers ran it, up to the last sign of life; `end_reason`
    says why a job that SUCCEEDED ended when it did.
    """

    id: str
    name: str
    spec: Json
    status: JobStatus
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    owner: str | None
    heartbeat_at: datetime | None
    lease_seconds: float | None
    fence: int
    proposed: int
    evaluated: int
    priority: int = 0
    paused: bool = False
    restarts: Sequence[Json] = ()
    submitted_by: str | None = None
    ran_seconds: float = 0.0
    end_reason: str | None = None

    @property
    def lease_ends_at(self) -> datetime | None:
        """When the job may be claimed by another driver, if no further heartbeat comes; None without a lease."""
        if self.heartbeat_at is None or self.lease_seconds is None:
            return None
        return self.heartbeat_at + timedelta(seconds=self.lease_seconds)


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network, shared by all jobs: its key and one genotype of one space that builds it.

    `static_metrics` are what its graph alone tells (`macs`, `params`, ...), finite numbers.
    """

    key: str
    space: str
    genotype: Json
    static_metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a strategy asked for: the `number`-th of its job (from 0), in the batch `batch`."""

    number: int
    batch: int
    architecture_key: str
    genotype: Json


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an evaluator says of one architecture: metrics, or why there are none.

    A failed evaluation has an `error` and those metrics that were found before it failed, perhaps none. One that was
    cut short because nothing good was to be expected says so in `stopped`; its metrics are those at that point. A
    metric that is not known is left out; one that is NaN or infinite is kept as that. `seconds` is the time
    that the evaluation took, `device_seconds` how long devices were busy with it. `losses` are what the job's
    objectives make of the metrics, finite and to be minimised; None keeps the evaluation off the front, as one that
    failed or breaks a bound.
    """

    architecture_key: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    seconds: float = 0.0
    stopped: str | None = None
    losses: Sequence[float] | None = None
    device_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A stored outcome: the `number`-th of its job (from 0), the order in which the strategy is told.

    `genotype` is the one that this job proposed first for this architecture.
    """

    number: int
    architecture_key: str
    genotype: Json
    metrics: dict[str, float]
    error: str | None
    seconds: float
    created_at: datetime
    stopped: str | None = None
    device_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Round:
    """The `number`-th round (from 1) of a search that trains as it goes, such as a differentiable one.

    `genotype` is the network that the search stands for after it, `chances` are the probabilities of the options of
    each decision, and `last` says that no round follows. A metric that is NaN or infinite is kept as that. The store
    sets `created_at`.
    """

    number: int
    genotype: Json
    chances: Mapping[str, Sequence[float]]
    metrics: Mapping[str, float] = field(default_factory=dict)
    last: bool = False
    created_at: datetime | None = None


class TrainingStatus(StrEnum):
    """Where a training is."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    STOPPED = "STOPPED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Training:
    """A training of one network alone.

    `curve` has for each validation metric its value after each epoch so far, of `epochs` that were planned; `recipe` is
    all that decides how it is trained. `saved_seconds` is how much longer a STOPPED one would have taken, and `cause`
    says why it was STOPPED or FAILED. The store sets `created_at`, when it began.
    """

    architecture_key: str
    recipe: Json
    epochs: int
    status: TrainingStatus = TrainingStatus.RUNNING
    curve: Mapping[str, Sequence[float]] = field(default_factory=dict)
    seconds: float = 0.0
    saved_seconds: float = 0.0
    cause: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A measuring target. `fingerprint` changes with whatever changes its timings; `name` is for people.

    The store sets `last_seen`, and `noise`, the noise floor that the newest measurement tells, as a relative change.
    """

    fingerprint: str
    name: str
    description: Json = field(default_factory=dict)
    last_seen: datetime | None = None
    noise: float | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """A metric of an architecture as one device showed it, reusable by every job on the same fingerprint.

    `statistics` is a JSON object of finite values (median, p90, spread, runs, ...); `samples` are the timed
    runs themselves, kept exactly, as 64-bit floats. The store sets `job_id`, the job that made it, and
    `created_at`.
    """

    architecture_key: str
    device_fingerprint: str
    metric: str
    value: float
    device_name: str
    statistics: Json = field(default_factory=dict)
    samples: Sequence[float] = ()
    job_id: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer takes on a device. Layers with the same signature do the same work.

    The store sets `created_at`.
    """

    signature: str
    op: str
    latency_ms: float
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Replication:
    """A metric of a finalist that was measured anew at the end of its job, which is the value to report.

    `searched` is what the search went by. `stable` says whether two measurements in a row agreed; a finalist that
    could not be measured anew has NaN. The store sets `created_at`.
    """

    architecture_key: str
    metric: str
    value: float
    searched: float
    stable: bool
    statistics: Json = field(default_factory=dict)
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a job made. The store keeps the record, not the file; `path` is as it was given."""

    id: str
    job_id: str
    kind: str
    path: str
    sha256: str
    size_bytes: int
    metadata: Json
    created_at: datetime


class Role(StrEnum):
    """What a user of the service may do; each may do what those before it may."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"

    def may(self, needed: "Role") -> bool:
        """Whether this role is enough for what needs that one."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Token:
    """What lets a user of the service in. Its text is told when it is made and is nowhere kept."""

    id: str
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class TaskStatus(StrEnum):
    """Where a task is: QUEUED -> RUNNING -> SUCCEEDED | FAILED."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Task:
    """Something that the service does in the background; `result` when it succeeded, `error` when it failed."""

    id: str
    kind: str
    job_id: str | None
    request: Json
    status: TaskStatus
    result: Json | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None
