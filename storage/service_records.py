"""What a service remembers beside the results: its users' tokens, and what it does for them in the background."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from storage import jobs, tasks, tokens
from storage.records import Role, Task, Token
from storage.store import ResultStore


class ServiceRecords:
    """The part of a store that only a service uses. Every method is one transaction, as those of the store are."""

    def __init__(self, store: ResultStore) -> None:
        self._store = store
        self._database = store.database
        self._clock = store.clock

    # Tokens

    def create_token(self, name: str, role: Role, lifetime: timedelta | None = None) -> tuple[Token, str]:
        """Make a token: its record, and its text, which is kept nowhere.

        Args:
            name: whose it is, for listings.
            role: what it allows.
            lifetime: how long it is good for; for ever if not given.

        Raises:
            InvalidRecord: the name is empty, or the lifetime is none.
        """
        with self._database.write() as connection:
            return tokens.create(connection, name, Role(role), lifetime, self._clock())

    def check_token(self, text: str) -> Token | None:
        """The token with this text, None when it is unknown, over or revoked."""
        with self._database.read() as connection:
            return tokens.check(connection, text, self._clock())

    def revoke_token(self, token_id: str) -> None:
        """End a token. Raises `UnknownToken`."""
        with self._database.write() as connection:
            tokens.revoke(connection, token_id, self._clock())

    def tokens(self) -> list[Token]:
        """All tokens, newest first, without their texts."""
        with self._database.read() as connection:
            return tokens.newest(connection)

    # Tasks

    def create_task(self, kind: str, job_id: str | None, request: Mapping[str, Any]) -> Task:
        """Queue a task; the job, if one is named, must be known. Raises `UnknownJob`, `InvalidRecord`."""
        with self._database.write() as connection:
            if job_id is not None:
                jobs.expect(connection, job_id, self._store.name)
            return tasks.create(connection, kind, job_id, request, self._clock())

    def task(self, task_id: str) -> Task:
        """The task with this id. Raises `UnknownTask`."""
        with self._database.read() as connection:
            return tasks.get(connection, task_id)

    def unfinished_tasks(self) -> list[Task]:
        """Tasks that wait or run, oldest first."""
        with self._database.read() as connection:
            return tasks.unfinished(connection)

    def start_task(self, task_id: str) -> None:
        """Say that a task is RUNNING. Raises `InvalidRecord` when it has ended."""
        with self._database.write() as connection:
            tasks.start(connection, task_id)

    def finish_task(self, task_id: str, result: Mapping[str, Any] | None = None, error: str | None = None) -> None:
        """End a task with a result or an error. Raises `InvalidRecord` when it has ended before."""
        with self._database.write() as connection:
            tasks.finish(connection, task_id, result, error, self._clock())
