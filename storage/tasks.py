"""What a service does in the background for its users, in the transaction of the caller."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update

from storage import checks
from storage.errors import InvalidRecord, UnknownTask
from storage.jobs import random_id
from storage.records import Task, TaskStatus
from storage.schema import TaskRow


def create(connection: Connection, kind: str, job_id: str | None, request: Mapping[str, Any], now: datetime) -> Task:
    """Add a QUEUED task under a random id."""
    task = Task(
        random_id(16),
        checks.text(kind, "the kind of a task"),
        job_id,
        checks.json_object(request, "the request of a task"),
        TaskStatus.QUEUED,
        None,
        None,
        now,
        None,
    )
    values = {"id": task.id, "kind": kind, "job_id": job_id, "request": task.request, "status": task.status}
    connection.execute(insert(TaskRow), {**values, "created_at": now})
    return task


def get(connection: Connection, task_id: str) -> Task:
    """The task with this id, or `UnknownTask`."""
    row = connection.execute(_tasks().where(TaskRow.id == task_id)).one_or_none()
    if row is None:
        raise UnknownTask(f"no task {task_id!r}")
    return _task(row)


def unfinished(connection: Connection) -> list[Task]:
    """Tasks that are QUEUED or RUNNING, oldest first."""
    statement = _tasks().where(TaskRow.status.in_([TaskStatus.QUEUED, TaskStatus.RUNNING]))
    return [_task(row) for row in connection.execute(statement.order_by(TaskRow.created_at, TaskRow.id))]


def start(connection: Connection, task_id: str) -> None:
    """Say that a task is RUNNING, perhaps again."""
    _change(connection, task_id, status=TaskStatus.RUNNING)


def finish(
    connection: Connection, task_id: str, result: Mapping[str, Any] | None, error: str | None, now: datetime
) -> None:
    """End a task: with a result, or with an error."""
    if (result is None) == (error is None):
        raise InvalidRecord("a task ends with a result or with an error, not with both or neither")
    status = TaskStatus.FAILED if result is None else TaskStatus.SUCCEEDED
    told = None if result is None else checks.json_object(result, "the result of a task")
    _change(connection, task_id, status=status, result=told, error=error, finished_at=now)


def _change(connection: Connection, task_id: str, **values: Any) -> None:
    open_ones = TaskRow.status.in_([TaskStatus.QUEUED, TaskStatus.RUNNING])
    statement = update(TaskRow).where(TaskRow.id == task_id, open_ones).values(**values)
    if connection.execute(statement).rowcount == 0:
        found = get(connection, task_id)
        raise InvalidRecord(f"task {task_id!r} has ended ({found.status})")


def _tasks() -> Select[*tuple[Any, ...]]:
    return select(
        TaskRow.id,
        TaskRow.kind,
        TaskRow.job_id,
        TaskRow.request,
        TaskRow.status,
        TaskRow.result,
        TaskRow.error,
        TaskRow.created_at,
        TaskRow.finished_at,
    )


def _task(row: Row[*tuple[Any, ...]]) -> Task:
    return Task(**{**row._mapping, "status": TaskStatus(row.status)})
