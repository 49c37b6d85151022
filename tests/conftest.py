"""Fixtures for every package."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import postgres

# Before torch is imported: test processes run side by side, and threads of two of them on one core wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

SHARED_DATA = Path(__file__).parents[1] / "../shared/data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold slow tests, so that none of them is left alone at the end.

    Those whose tests share a Ray cluster (`tests/nas/conftest.py`) follow each other.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    on_cluster = {item.path for item in items if "cluster" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: (item.path not in on_cluster, item.path not in slow))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the repository; a test that needs it skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no folder {SHARED_DATA}: real data are absent")
    return SHARED_DATA.resolve()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL of this test process alone, on a unix socket, gone with the session."""
    with postgres() as server:
        yield server.url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL schema, dropped after the test: a hundredth of a database's cost."""
    import psycopg

    name = f"nas_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        yield f"{postgres_server}&options=-csearch_path%3D{name}"
        connection.execute("SET client_min_messages = warning")
        connection.execute(f"DROP SCHEMA {name} CASCADE")
