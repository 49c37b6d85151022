"""Fixtures for every package."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).parents[1] / "../shared/data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the repository; a test that needs it skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no folder {SHARED_DATA}: real data are absent")
    return SHARED_DATA.resolve()
