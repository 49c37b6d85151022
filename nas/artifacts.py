"""Files that a job makes: where they lie, and how they are written so that none is ever half there."""

import hashlib
import os
import tempfile
from pathlib import Path

from sqlalchemy.engine import make_url

TRAINED_NETWORK = "trained"
"""The kind of an artifact that holds the weights of a network that was trained alone."""


def artifact_folder(store_url: str) -> Path:
    """Where the files of a store's jobs lie: `NAS_ARTIFACTS`, or `nas_artifacts` beside a SQLite file or here."""
    given = os.environ.get("NAS_ARTIFACTS")
    if given:
        return Path(given)
    url = make_url(store_url)
    beside = Path(url.database).parent if url.get_backend_name() == "sqlite" and url.database else Path()
    return beside.absolute() / "nas_artifacts"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either wholly there or not at all, whatever is killed when.

    Raises:
        OSError: the folder cannot be written; nothing is left behind.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def sha256(content: bytes) -> str:
    """The SHA-256 of a file's content, as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()
