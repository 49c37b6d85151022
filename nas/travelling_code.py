"""The code that travels to a Ray cluster: our packages as they are here, and nothing beside them."""

import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = ("nas", "search_spaces", "predictors", "profilers", "storage", "dashboards")


@contextmanager
def travelling_code() -> Iterator[Path]:
    """A folder with a copy of our packages, to be a `working_dir` of Ray; gone on leaving.

    Nodes need what these packages depend on, and the same Ray; our code they get from here, so that a driver and its
    actors never run different versions of it.
    """
    with tempfile.TemporaryDirectory(prefix="nas-code-") as folder:
        for name in PACKAGES:
            spec = importlib.util.find_spec(name)
            assert spec is not None
            assert spec.submodule_search_locations
            source = next(iter(spec.submodule_search_locations))
            shutil.copytree(source, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__"))
        yield Path(folder)
