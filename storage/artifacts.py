"""The records of files that jobs made, in the transaction of the caller."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select

from storage import checks
from storage.database import insert
from storage.errors import InvalidRecord, UnknownArtifact
from storage.jobs import random_id
from storage.records import Artifact
from storage.schema import ArtifactRow

_SHA256 = re.compile(r"[0-9a-f]{64}")


def add(
    connection: Connection,
    job_id: str,
    kind: str,
    path: str,
    sha256: str,
    size_bytes: int,
    metadata: Mapping[str, Any],
    now: datetime,
) -> Artifact:
    """Add the record of a file; a file that is written again keeps its id."""
    if not _SHA256.fullmatch(sha256):
        raise InvalidRecord(f"a SHA-256 is 64 lower-case hex digits (got {sha256!r})")
    if size_bytes < 0:
        raise InvalidRecord(f"a file has no negative size (got {size_bytes!r} bytes)")
    statement = insert(connection, ArtifactRow).values(
        id=random_id(16),
        job_id=job_id,
        kind=checks.text(kind, "the kind of an artifact"),
        path=checks.text(path, "the path of an artifact"),
        sha256=sha256,
        size_bytes=size_bytes,
        metadata_=checks.json_object(metadata, "the metadata of an artifact"),
        created_at=now,
    )
    changed = {name: statement.excluded[name] for name in ("kind", "sha256", "size_bytes", "metadata", "created_at")}
    connection.execute(statement.on_conflict_do_update(index_elements=["job_id", "path"], set_=changed))
    row = connection.execute(_artifacts().where(ArtifactRow.job_id == job_id, ArtifactRow.path == path)).one()
    return Artifact(*row)


def get(connection: Connection, artifact_id: str) -> Artifact:
    """The artifact with this id, or `UnknownArtifact`."""
    row = connection.execute(_artifacts().where(ArtifactRow.id == artifact_id)).one_or_none()
    if row is None:
        raise UnknownArtifact(f"no artifact {artifact_id!r}")
    return Artifact(*row)


def of_job(connection: Connection, job_id: str, kind: str | None) -> list[Artifact]:
    """The artifacts of a job, newest first, of one kind or all."""
    statement = _artifacts().where(ArtifactRow.job_id == job_id)
    if kind is not None:
        statement = statement.where(ArtifactRow.kind == kind)
    return [Artifact(*row) for row in connection.execute(statement)]


def _artifacts() -> Select[*tuple[Any, ...]]:
    return select(
        ArtifactRow.id,
        ArtifactRow.job_id,
        ArtifactRow.kind,
        ArtifactRow.path,
        ArtifactRow.sha256,
        ArtifactRow.size_bytes,
        ArtifactRow.metadata_,
        ArtifactRow.created_at,
    ).order_by(ArtifactRow.created_at.desc(), ArtifactRow.id)
