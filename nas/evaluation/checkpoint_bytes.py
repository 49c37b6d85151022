"""Checkpoints, which are files, on their way between processes as bytes."""

import tempfile
from collections.abc import Callable
from pathlib import Path


def saved(save: Callable[[Path], None]) -> bytes:
    """What `save` writes into the file that it is given."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "checkpoint.safetensors")
        save(path)
        return path.read_bytes()


def load(content: bytes, load_file: Callable[[Path], None]) -> None:
    """Let `load_file` read a file with this content."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "checkpoint.safetensors")
        path.write_bytes(content)
        load_file(path)
