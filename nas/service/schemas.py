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
    """A search: what it asks for and where it stands.

    `restarts` tells of drivers that were lost, `submitted_by` is the name of the token that brought it, if one did.
    `ran_seconds` is how long drivers ran it, `end_reason` why it ended when it did, if it succeeded.
    """

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
    submitted_by: str | None
    ran_seconds: float
    end_reason: str | None
    spec: Plain


class Evaluation(Told):
    """What became of one architecture: metrics, or an error. `number` counts from 0 in the order of telling."""

    number: int
    architecture_key: str
    genotype: dict[str, Any]
    metrics: Metrics
    error: str | None
    stopped: str | None
    seconds: float
    device_seconds: float
    created_at: datetime


class Page(BaseModel):
    """Some evaluations, and the number to go on from; None at the end of what is there."""

    evaluations: list[Evaluation]
    next: int | None


class Front(BaseModel):
    """The Pareto front of a job, ascending in the first objective's loss.

    What was measured anew at the end of the job stands in the place of what the search went by; `unstable` are the keys
    of networks whose values did not replicate.
    """

    objectives: list[Plain]
    evaluations: list[Evaluation]
    unstable: list[str] = []


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


class Session(BaseModel):
    """Who is logged in with a browser, and what that allows."""

    name: str
    role: Role


class Verdict(BaseModel):
    """What a job would get that is not submitted: its name if it would be taken, else what is wrong, and where."""

    name: str | None
    problems: list[dict[str, str]]


class Progress(BaseModel):
    """The hypervolume of a job's front as the search was told it.

    Each step is an evaluation that changed the front: its number, the seconds since the job began (pauses count), and
    the share of the box of all results of the jobs that were asked for, between the best and the worst of each
    objective, that was dominated then.
    """

    evaluated: int
    numbers: list[int]
    seconds: list[float]
    hypervolumes: list[float]


class Failure(Told):
    """A cause of failed evaluations, how many it ended, and the number of the first."""

    error: str
    count: int
    first: int


class Round(Told):
    """A round of a search that trains as it goes."""

    number: int
    metrics: Metrics
    last: bool


class Elite(BaseModel):
    """The best result of a cell: its evaluation, where the cell is in the grid, and what was found."""

    number: int
    cell: list[int]
    feasible: bool
    metrics: Metrics


class Archive(BaseModel):
    """The archive of a `map_elites` search as it stands: the best result in `quality` of each cell of a grid.

    The grid has `bins` cells along each of `descriptors`, counted from the best; `edges` are the values between them.
    """

    quality: str
    direction: str
    descriptors: list[str]
    bins: int
    edges: list[list[float]]
    elites: list[Elite]


class Importance(BaseModel):
    """How much of a metric's variance a decision explains by itself: metric -> share, None where nothing varies."""

    decision: str
    shares: dict[str, float | None]


class Encounter(Told):
    """A job's evaluation of a network."""

    job_id: str
    job_name: str
    number: int
    error: str | None
    created_at: datetime
    on_front: bool


class Timing(Told):
    """What a device measured of a network."""

    device_fingerprint: str
    device_name: str
    metric: str
    value: Annotated[float | None, BeforeValidator(_finite)]
    statistics: Plain
    job_id: str | None
    created_at: datetime


class Met(BaseModel):
    """Where a network was met: the jobs that evaluated it, and what devices measured of it."""

    jobs: list[Encounter]
    measured: list[Timing]


class Waiting(Told):
    """A job that waits or runs, and names a device."""

    id: str
    name: str
    status: JobStatus
    paused: bool


class Presence(BaseModel):
    """Whether a device answers, and what waits for it.

    `answers` is null where that is not known: it is being asked, or this service cannot reach it; `told` says why.
    """

    fingerprint: str
    answers: bool | None
    told: str
    asking: bool
    queue: list[Waiting]


class Noise(BaseModel):
    """The noise floor of a device over time, as relative changes; `measured` counts what was looked at."""

    measured: int
    times: list[datetime]
    noise: list[float]


class Agreement(BaseModel):
    """How two devices rank the networks that both measured (C. Spearman, 1904); None for fewer than three."""

    first: str
    second: str
    metric: str
    networks: int
    spearman: float | None


class Network(BaseModel):
    """A network as it is deployed: its nodes in their order, each with its stage, what it reads and what it costs.

    `left_out` counts the nodes of a network that has more than are told.
    """

    inputs: list[Plain]
    costs: dict[str, float]
    nodes: list[Plain]
    left_out: int


class LeftOut(BaseModel):
    """A sample of a predictor: what was measured, what was predicted without it, and its 90 % interval.

    `choices` say which network it was, decision -> option.
    """

    measured: float
    predicted: float
    low: float
    high: float
    choices: Plain


class Predictor(BaseModel):
    """What predicts a metric of a device, and how far it can be trusted.

    `left_out` has its samples in the order in which they were chosen; it is empty for one that learned from networks of
    several spaces. `coverage` tells for levels of intervals the share of the samples that they hold, each judged by the
    others.
    """

    device: str
    metric: str
    subject: str
    kind: str
    samples: int
    sources: list[str]
    scores: Metrics
    tested: Metrics
    fitted: str | None
    left_out: list[LeftOut]
    coverage: list[dict[str, float]]


class Predictors(BaseModel):
    """The predictors beside a store, and the causes why others cannot be read."""

    predictors: list[Predictor]
    broken: list[str]
