"""Every test of this folder runs on every database that a result store may keep its rows in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from toy_records import Clock, OpenStore

from storage.store import ResultStore


@pytest.fixture(params=["sqlite", "postgres"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """A function that opens one store, empty at first, again and again; what it opened is closed after the test."""
    url = f"sqlite:///{tmp_path}/nas.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    stores: list[ResultStore] = []

    def open_one(**options: object) -> ResultStore:
        stores.append(ResultStore(url, **options))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def clock() -> Clock:
    """The time of the test."""
    return Clock()


@pytest.fixture
def store(open_store: OpenStore, clock: Clock) -> ResultStore:
    """An empty store."""
    return open_store(clock=clock)
