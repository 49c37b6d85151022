"""The tables.

A change here needs a migration beside it (`storage/migrations/versions`); a test compares the two. Every name
in the schema is also what an analyst types into SQL: keys are natural ones, times are UTC.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from storage.columns import Number, PlainText, Samples, UtcDateTime


class Base(DeclarativeBase):
    """All tables, with names for their constraints so that a migration can name them too."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's declaration, not an attribute of instances
        str: PlainText(),
        datetime: UtcDateTime(),
        float: Double(),
        dict[str, Any]: JSON(),
    }


class JobRow(Base):
    """A search and who runs it. `fence` counts its claims; the lease ends `lease_seconds` after the heartbeat.

    `restarts` are the drivers that were lost: when, after how many evaluations, and how that was known; `submitted_by`
    is the name of the token by which a service got the job. `ran_seconds` grows with every heartbeat by the time since
    the one before; `end_reason` says why a job that SUCCEEDED ended when it did.
    """

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    spec: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(index=True)
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(index=True)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    owner: Mapped[str | None]
    heartbeat_at: Mapped[datetime | None]
    lease_seconds: Mapped[float | None]
    fence: Mapped[int] = mapped_column(default=0)
    priority: Mapped[int] = mapped_column(default=0, server_default="0")
    paused: Mapped[bool] = mapped_column(default=False, server_default=false())
    restarts: Mapped[list[dict[str, Any]]] = mapped_column(JSON(), default=list, server_default="[]")
    submitted_by: Mapped[str | None]
    ran_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")
    end_reason: Mapped[str | None]


class ArchitectureRow(Base):
    """A network, by the canonical hash of its graph. Whoever proposed it first gave space and genotype."""

    __tablename__ = "architectures"

    key: Mapped[str] = mapped_column(primary_key=True)
    space: Mapped[str]
    genotype: Mapped[dict[str, Any]]
    static_metrics: Mapped[dict[str, Any]]


class ProposalRow(Base):
    """What a strategy asked for, in its order: the checkpoint of the search."""

    __tablename__ = "proposals"
    __table_args__ = (Index(None, "job_id", "architecture_key"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    batch: Mapped[int]
    architecture_key: Mapped[str] = mapped_column(ForeignKey("architectures.key"))
    genotype: Mapped[dict[str, Any]]


class EvaluationRow(Base):
    """What an evaluation said, in the order in which the strategy is told; once per job and architecture.

    `proposal` is the first proposal of the job that asked for it; `stopped` says why it was cut short. `seconds` is
    what it took, `device_seconds` how long devices were busy with it.
    """

    __tablename__ = "evaluations"
    __table_args__ = (
        UniqueConstraint("job_id", "architecture_key"),
        ForeignKeyConstraint(["job_id", "proposal"], ["proposals.job_id", "proposals.number"]),
    )

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    architecture_key: Mapped[str] = mapped_column(ForeignKey("architectures.key"), index=True)
    proposal: Mapped[int]
    error: Mapped[str | None]
    seconds: Mapped[float]
    created_at: Mapped[datetime]
    stopped: Mapped[str | None]
    device_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")


class MetricRow(Base):
    """One metric of one evaluation. NULL means NaN; a metric that was never found has no row."""

    __tablename__ = "evaluation_metrics"
    __table_args__ = (
        ForeignKeyConstraint(["job_id", "number"], ["evaluations.job_id", "evaluations.number"]),
        {"sqlite_with_rowid": False},
    )

    job_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float] = mapped_column(Number, nullable=True)


class RoundRow(Base):
    """A round of a search that trains as it goes: what it stands for then. `last` says that no other follows."""

    __tablename__ = "rounds"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    genotype: Mapped[dict[str, Any]]
    chances: Mapped[dict[str, Any]]
    last: Mapped[bool]
    created_at: Mapped[datetime]


class RoundMetricRow(Base):
    """One metric of one round. NULL means NaN."""

    __tablename__ = "round_metrics"
    __table_args__ = (
        ForeignKeyConstraint(["job_id", "number"], ["rounds.job_id", "rounds.number"]),
        {"sqlite_with_rowid": False},
    )

    job_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float] = mapped_column(Number, nullable=True)


class TrainingRow(Base):
    """A training of one network alone: how far it is, and its validation metrics after each epoch."""

    __tablename__ = "trainings"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    architecture_key: Mapped[str] = mapped_column(ForeignKey("architectures.key"), primary_key=True)
    recipe: Mapped[dict[str, Any]]
    epochs: Mapped[int]
    status: Mapped[str]
    curve: Mapped[dict[str, Any]]
    seconds: Mapped[float]
    saved_seconds: Mapped[float]
    cause: Mapped[str | None]
    created_at: Mapped[datetime]


class FrontRow(Base):
    """An evaluation on the Pareto front of its job, with its losses: the objectives, to be minimised."""

    __tablename__ = "fronts"
    __table_args__ = (ForeignKeyConstraint(["job_id", "number"], ["evaluations.job_id", "evaluations.number"]),)

    job_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    losses: Mapped[list[float]] = mapped_column(JSON())


class DeviceRow(Base):
    """A measuring target, by its fingerprint."""

    __tablename__ = "devices"

    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[dict[str, Any]]
    last_seen: Mapped[datetime]


class MeasurementRow(Base):
    """The newest measurement of a metric of an architecture on a device."""

    __tablename__ = "measurements"

    architecture_key: Mapped[str] = mapped_column(ForeignKey("architectures.key"), primary_key=True)
    device_fingerprint: Mapped[str] = mapped_column(ForeignKey("devices.fingerprint"), primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float] = mapped_column(Number, nullable=True)
    device_name: Mapped[str]
    statistics: Mapped[dict[str, Any]]
    samples: Mapped[bytes] = mapped_column(Samples)
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))
    created_at: Mapped[datetime]


class LayerRow(Base):
    """What a layer takes on a device, by what it does: operator, attributes, types and shapes."""

    __tablename__ = "layers"

    device_fingerprint: Mapped[str] = mapped_column(ForeignKey("devices.fingerprint"), primary_key=True)
    signature: Mapped[str] = mapped_column(primary_key=True)
    op: Mapped[str]
    latency_ms: Mapped[float]
    created_at: Mapped[datetime]


class ReplicationRow(Base):
    """A metric of a finalist, measured anew at the end of its job; `searched` is what the search went by."""

    __tablename__ = "replications"
    __table_args__ = (
        ForeignKeyConstraint(["job_id", "architecture_key"], ["evaluations.job_id", "evaluations.architecture_key"]),
    )

    job_id: Mapped[str] = mapped_column(primary_key=True)
    architecture_key: Mapped[str] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float] = mapped_column(Number, nullable=True)
    searched: Mapped[float] = mapped_column(Number, nullable=True)
    stable: Mapped[bool]
    statistics: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class ArtifactRow(Base):
    """A file that a job made; a file that is written again has one record, the newest."""

    __tablename__ = "artifacts"
    __table_args__ = (UniqueConstraint("job_id", "path"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    kind: Mapped[str]
    path: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", JSON())
    created_at: Mapped[datetime]


class TokenRow(Base):
    """What lets a user of the service in: the hash of a secret, with a role."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    role: Mapped[str]
    sha256: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class TaskRow(Base):
    """Something that the service does in the background: an export, the profile of an uploaded model."""

    __tablename__ = "tasks"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))
    request: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(index=True)
    result: Mapped[dict[str, Any] | None]
    error: Mapped[str | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
