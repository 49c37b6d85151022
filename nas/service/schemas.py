"""What the API tells, as JSON: the nouns of the store, with numbers that JSON has not as null."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from storage.records import JobStatus, Role, TaskStatus


def _finite(value: Any) -> Any:
    """JSON has neither NaN nor infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, list | tuple) else value


Metrics = Annotated[dict[str, float | None], BeforeValidator(_finite)]
Plain = Annotated[dict[str, Any], BeforeValidator(_finite)]


class Told(BaseModel):
    """Made from a record of the store."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Job(Told):
    """A search: what it asks for and where it stands. `restarts` tells of drivers that were lost."""

    id: str
    name: str
    status: JobStatus
    error: str | None
    priority: int
    paused: bool
    evaluated: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    heartbeat_at: datetime | None
    restarts: list[dict[str, Any]]
    spec: Plain


class Evaluation(Told):
    """What became of one architecture: metrics, or an error. `number` counts from 0 in the order of telling."""

    number: int
    architecture_key: str
    genotype: dict[str, Any]
    metrics: Metrics
    error: str | None
    seconds: float
    created_at: datetime


class Page(BaseModel):
    """Some evaluations, and the number to go on from; None at the end of what is there."""

    evaluations: list[Evaluation]
    next: int | None


class Front(BaseModel):
    """The Pareto front of a job, ascending in the first objective's loss."""

    objectives: list[Plain]
    evaluations: list[Evaluation]


class Architecture(Told):
    """A network by its canonical hash, with one genotype that builds it and what its graph alone tells."""

    key: str
    space: str
    genotype: dict[str, Any]
    static_metrics: Metrics


class Device(Told):
    """A measuring target."""

    fingerprint: str
    name: str
    description: Plain
    last_seen: datetime | None


class Artifact(Told):
    """A file that a job made, to be fetched by its id."""

    id: str
    job_id: str
    kind: str
    sha256: str
    size_bytes: int
    metadata: Plain
    created_at: datetime


class Task(Told):
    """Something that the service does in the background."""

    id: str
    kind: str
    job_id: str | None
    request: Plain
    status: TaskStatus
    result: Plain | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


class Token(Told):
    """Who may do what, without the secret."""

    id: str
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
