"""Signals that come in the middle of a transaction, and between any two steps of one."""

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from storage.database import Database
from storage.interrupts import interrupt


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database with one table, whose writers wait five seconds for each other; SIGVTALRM interrupts."""
    monkeypatch.setattr("storage.database.BUSY_SECONDS", 5.0)
    opened = Database(f"sqlite:///{tmp_path}/nas.db", create=True)
    with opened.write() as connection:
        connection.execute(text("CREATE TABLE told (value INTEGER)"))
    before = signal.signal(signal.SIGVTALRM, interrupt)
    yield opened
    signal.signal(signal.SIGVTALRM, before)
    opened.close()


def tell(database: Database, *, signals: int = 0) -> None:
    """Write a row; signals come before the transaction ends."""
    with database.write() as connection:
        connection.execute(text("INSERT INTO told VALUES (1)"))
        for _ in range(signals):
            signal.raise_signal(signal.SIGVTALRM)


def told(database: Database) -> int:
    """How many rows there are."""
    with database.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM told")).scalar_one())


def test_an_interrupt_waits_for_the_end_of_a_transaction(database: Database) -> None:
    """The transaction is kept, and then the interrupt is there."""
    with pytest.raises(KeyboardInterrupt):
        tell(database, signals=1)
    assert told(database) == 1


def test_a_second_interrupt_does_not_wait(database: Database) -> None:
    """The transaction is not kept, and others can write."""
    with pytest.raises(KeyboardInterrupt):
        tell(database, signals=2)
    assert told(database) == 0
    tell(database)
    assert told(database) == 1


def test_without_a_transaction_it_comes_at_once() -> None:
    """It is Python's own interrupt then."""
    with pytest.raises(KeyboardInterrupt):
        interrupt(signal.SIGVTALRM, None)


def test_an_interrupt_at_any_moment_leaves_a_store_that_can_be_written(database: Database) -> None:
    """A hundred at random moments of one transaction after the other; while each is handled, a row is written."""
    moments = np.random.default_rng(0).uniform(0.0003, 0.004, 100)
    for moment in moments.tolist():
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, moment)
            while True:
                tell(database)
        except KeyboardInterrupt:
            before = told(database)
            tell(database)
            assert told(database) == before + 1
