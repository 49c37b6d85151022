"""Result stores pass the suite of `storage.conformance` on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.conformance import OpenStore, StoreConformance
from storage.store import ResultStore


def opener(url: str) -> Iterator[OpenStore]:
    """Yield a function that opens the store at this URL; close them all after that."""
    stores: list[ResultStore] = []

    def open_store(**options: object) -> ResultStore:
        stores.append(ResultStore(url, **options))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


class TestSqlite(StoreConformance):
    """A file."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[OpenStore]:
        """Opens a file of the test's own."""
        yield from opener(f"sqlite:///{tmp_path}/nas.db")


class TestPostgres(StoreConformance):
    """A server."""

    @pytest.fixture
    def open_store(self, postgres_url: str) -> Iterator[OpenStore]:
        """Opens a schema of the test's own."""
        yield from opener(postgres_url)
