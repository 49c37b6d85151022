"""Tensors and what they belong to in one safetensors file, written whole or not at all, read without trust.

The safetensors header holds one JSON object beside the tensors: what the caller notes, the format's version and a
SHA-256 over the tensors, so that a damaged file is told from a sound one. Nothing in a file is executed.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

FORMAT = 1
KEY = "checkpoint"

Shapes = Mapping[str, tuple[int, ...]]


class CheckpointError(ValueError):
    """A file that is no checkpoint, is damaged, or belongs to something else."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a file holds: tensors by name, and what was noted beside them."""

    tensors: dict[str, Tensor]
    notes: dict[str, Any]


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Write a checkpoint; a reader sees the old file or the new one, also after a crash.

    Args:
        path: where to; its folder must exist.
        tensors: by name; they may live on any device.
        notes: JSON-able values.
    """
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"format": FORMAT, "sha256": _digest(content), "notes": dict(notes)}
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        save_file(content, temporary, {KEY: json.dumps(header, allow_nan=False)})
        _flush(temporary)
        temporary.replace(path)
    _flush(path.parent)


def read_notes(path: Path) -> dict[str, Any]:
    """What was noted beside the tensors, without reading them.

    Raises:
        CheckpointError: no such file, or no checkpoint.
    """
    return _header(path)["notes"]  # type: ignore[no-any-return]  # checked to be an object


def load_checkpoint(path: Path, shapes: Shapes, optional: Shapes | None = None) -> Checkpoint:
    """Read a checkpoint that must hold these tensors.

    Args:
        path: the file.
        shapes: name to shape of every tensor that it must hold.
        optional: of those that it may hold besides.

    Raises:
        CheckpointError: no such file, no checkpoint, a tensor that is missing, unknown or of another shape or
            type (before any is read), or content that does not match its checksum.
    """
    header = _header(path)
    allowed = {**(optional or {}), **shapes}
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            for name in sorted(names | set(shapes)):
                if name not in names:
                    raise CheckpointError(f"checkpoint {path} lacks the tensor {name!r}")
                if name not in allowed:
                    raise CheckpointError(f"checkpoint {path} holds the tensor {name!r}, which is not used here")
                part = file.get_slice(name)
                shape, dtype = tuple(part.get_shape()), part.get_dtype()
                if shape != allowed[name] or dtype != "F32":
                    raise CheckpointError(
                        f"checkpoint {path} holds {name!r} as {dtype} of {shape}; it must be F32 of {allowed[name]}"
                    )
            tensors = {name: file.get_tensor(name).clone() for name in sorted(names)}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error}") from error
    if _digest(tensors) != header["sha256"]:
        raise CheckpointError(f"checkpoint {path} is damaged: its content does not match its checksum")
    return Checkpoint(tensors, header["notes"])


def _header(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path} does not exist or is no file")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[KEY])
    except (SafetensorError, OSError, KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is no checkpoint: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("notes"), dict):
        raise CheckpointError(f"{path} is no checkpoint: its header holds no notes")
    if header.get("format") != FORMAT:
        raise CheckpointError(f"checkpoint {path} has format {header.get('format')!r}; this version reads {FORMAT}")
    return header


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _flush(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
