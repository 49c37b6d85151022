"""Tokens and tasks of a service."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from toy_records import Clock

from storage.errors import InvalidRecord, UnknownArtifact, UnknownJob, UnknownTask, UnknownToken
from storage.records import Role, TaskStatus
from storage.service_records import ServiceRecords
from storage.store import ResultStore


@pytest.fixture
def records(store: ResultStore) -> ServiceRecords:
    """Those of an empty store."""
    return ServiceRecords(store)


def test_a_token_opens_until_it_is_revoked(records: ServiceRecords, store: ResultStore) -> None:
    """Its text is known to its owner alone: the database has a hash."""
    token, secret = records.create_token("laptop", Role.SUBMIT)
    assert records.check_token(secret) == token
    assert records.tokens() == [token]
    with store.database.read() as connection:
        row = str(connection.execute(text("SELECT * FROM tokens")).one())
    assert secret.removeprefix(f"nas_{token.id}_") not in row
    records.revoke_token(token.id)
    records.revoke_token(token.id)
    assert records.check_token(secret) is None
    assert records.tokens()[0].revoked_at is not None
    with pytest.raises(UnknownToken, match=f"no token 'nope'; known: {token.id}"):
        records.revoke_token("nope")


@pytest.mark.parametrize("change", ["", "nas", "nas_", "nas__", "x{0}", "{0}x", "{0}\ud800", "nas_{1}_", "other_{2}"])
def test_another_text_does_not(records: ServiceRecords, change: str) -> None:
    """Whatever it is, it is no error either."""
    token, secret = records.create_token("laptop", Role.READ)
    assert records.check_token(change.format(secret, token.id, secret.removeprefix("nas_"))) is None


def test_a_token_ends_with_its_time(records: ServiceRecords, clock: Clock) -> None:
    """To the moment; one without a lifetime stays."""
    _, short = records.create_token("short", Role.READ, timedelta(seconds=60))
    _, long = records.create_token("long", Role.READ)
    clock.advance(59)
    assert records.check_token(short) is not None
    clock.advance(1)
    assert records.check_token(short) is None
    assert records.check_token(long) is not None
    with pytest.raises(InvalidRecord, match="lasts longer than nothing"):
        records.create_token("none", Role.READ, timedelta(0))


def test_roles_contain_each_other() -> None:
    """Reading is part of submitting, and submitting of administering."""
    assert [[a.may(b) for b in Role] for a in Role] == [[True, False, False], [True, True, False], [True, True, True]]


def test_the_life_of_a_task(records: ServiceRecords, store: ResultStore) -> None:
    """QUEUED, RUNNING, SUCCEEDED or FAILED, once."""
    job = store.create_job("job", {})
    first = records.create_task("export", job.id, {"pick": "knee"})
    second = records.create_task("profile", None, {})
    assert (first.status, first.request, first.job_id) == (TaskStatus.QUEUED, {"pick": "knee"}, job.id)
    assert records.unfinished_tasks() == [first, second]
    records.start_task(first.id)
    records.start_task(first.id)
    assert records.task(first.id).status is TaskStatus.RUNNING
    records.finish_task(first.id, result={"artifact": "x"})
    records.finish_task(second.id, error="too large\0")
    assert (records.task(first.id).status, records.task(first.id).result) == (TaskStatus.SUCCEEDED, {"artifact": "x"})
    assert (records.task(second.id).status, records.task(second.id).error) == (TaskStatus.FAILED, "too large\ufffd")
    assert records.task(second.id).finished_at is not None
    assert records.unfinished_tasks() == []
    for late in (lambda: records.start_task(first.id), lambda: records.finish_task(first.id, error="again")):
        with pytest.raises(InvalidRecord, match="has ended"):
            late()


def test_a_task_is_of_something_known(records: ServiceRecords) -> None:
    """A job that is not there, a task that is not there, a task that ends in two ways."""
    with pytest.raises(UnknownJob):
        records.create_task("export", "nope", {})
    with pytest.raises(UnknownTask):
        records.task("nope")
    task = records.create_task("profile", None, {})
    with pytest.raises(InvalidRecord, match="not with both or neither"):
        records.finish_task(task.id)


@pytest.mark.parametrize("name", ["\0", "a\0b", "\ud800", "nas_\0_x", "nas_\ud800_\udfff"])
def test_texts_that_no_database_keeps_name_nothing(store: ResultStore, name: str) -> None:
    """They are not found, on every database, and never an error of it."""
    records = ServiceRecords(store)
    with pytest.raises(UnknownJob):
        store.job(name)
    with pytest.raises(UnknownArtifact):
        store.artifact(name)
    with pytest.raises(UnknownTask):
        records.task(name)
    assert records.check_token(name) is None
    assert store.architectures([name]) == {}
    assert store.measurements([name], name, name) == {}
