"""Fixtures for what runs jobs."""

from functools import cache
from pathlib import Path

import pytest
from shared_cluster import SharedCluster

_SHARED = SharedCluster()


@pytest.fixture
def cluster() -> None:
    """A Ray cluster on which the drivers of this process run, shared with the tests before and after."""
    _SHARED.start()


@cache
def _sharing(session: pytest.Session) -> set[Path]:
    """The files that hold tests on the cluster."""
    return {item.path for item in session.items if "cluster" in getattr(item, "fixturenames", ())}


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """End the cluster before a file that does not need it."""
    if nextitem is None or nextitem.path not in _sharing(nextitem.session):
        _SHARED.stop()
