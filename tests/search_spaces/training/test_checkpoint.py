"""Checkpoints: what was written comes back, and anything else is refused with a reason."""

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from search_spaces.training.checkpoint import CheckpointError, load_checkpoint, read_notes, save_checkpoint

TENSORS = {"weights/a.b": torch.arange(6.0).view(2, 3), "optimiser/a/step": torch.tensor(3.0)}
SHAPES = {"weights/a.b": (2, 3), "optimiser/a/step": ()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sound checkpoint."""
    path = tmp_path / "supernet.safetensors"
    save_checkpoint(path, TENSORS, {"epoch": 3, "settings": {"widths": [8, 16]}})
    return path


def test_round_trip(path: Path) -> None:
    """Tensors and notes come back as they were."""
    found = load_checkpoint(path, SHAPES)
    assert found.notes == read_notes(path) == {"epoch": 3, "settings": {"widths": [8, 16]}}
    assert all(torch.equal(found.tensors[name], TENSORS[name]) for name in SHAPES)


def test_nothing_is_left_beside_the_file(path: Path) -> None:
    """Writing again replaces the file and leaves no temporary one."""
    save_checkpoint(path, {"x": torch.zeros(1)}, {})
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert load_checkpoint(path, {"x": (1,)}).notes == {}


def test_failed_writing_keeps_the_old_file(path: Path) -> None:
    """What cannot be written leaves the last checkpoint as it is."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_checkpoint(path, TENSORS, {"loss": float("nan")})
    assert read_notes(path)["epoch"] == 3
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_optional_tensors_may_be_absent(path: Path) -> None:
    """Optional tensors may be there or not; the file's own must be known."""
    optional = {"optimiser/a/step": (), "optimiser/b/step": ()}
    assert set(load_checkpoint(path, {"weights/a.b": (2, 3)}, optional).tensors) == set(SHAPES)


@pytest.mark.parametrize(
    "shapes, message",
    [
        ({**SHAPES, "weights/c": (1,)}, "lacks the tensor 'weights/c'"),
        ({"weights/a.b": (2, 3)}, "holds the tensor 'optimiser/a/step', which is not used here"),
        ({**SHAPES, "weights/a.b": (3, 2)}, r"holds 'weights/a.b' as F32 of \(2, 3\); it must be F32 of \(3, 2\)"),
    ],
)
def test_other_tensors_are_refused(path: Path, shapes: dict[str, tuple[int, ...]], message: str) -> None:
    """A missing, an unknown and a differently shaped tensor are named."""
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path, shapes)


def test_other_types_are_refused(path: Path) -> None:
    """Only float32 is a weight."""
    save_checkpoint(path, {"x": torch.zeros(1, dtype=torch.float64)}, {})
    with pytest.raises(CheckpointError, match="as F64"):
        load_checkpoint(path, {"x": (1,)})


def test_every_truncation_is_refused(path: Path) -> None:
    """A file that ends anywhere before its end is no checkpoint."""
    content = path.read_bytes()
    for size in (0, 7, 8, 60, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(CheckpointError, match="no checkpoint"):
            load_checkpoint(path, SHAPES)


def test_a_changed_byte_is_found(path: Path) -> None:
    """Tensors that do not match the checksum are refused."""
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged: its content does not match its checksum"):
        load_checkpoint(path, SHAPES)


def test_headers_that_lie_are_refused(path: Path) -> None:
    """Offsets beyond the file, and a header that claims to be huge, are refused without reading on."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    header["weights/a.b"]["data_offsets"] = [0, 2**40]
    header["weights/a.b"]["shape"] = [2**19, 2**19]
    lie = json.dumps(header).encode()
    for forged in (struct.pack("<Q", len(lie)) + lie + content[8 + size :], struct.pack("<Q", 2**62) + content[8:]):
        path.write_bytes(forged)
        with pytest.raises(CheckpointError, match="no checkpoint"):
            load_checkpoint(path, SHAPES)


@pytest.mark.parametrize("note", [None, "[]", "{", '{"format": 1}', "[" * 100_000])
def test_foreign_headers_are_refused(path: Path, note: str | None) -> None:
    """A safetensors file of somebody else, and notes that are no object."""
    save_file(TENSORS, path, None if note is None else {"checkpoint": note})
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        read_notes(path)


def test_other_formats_are_refused(path: Path) -> None:
    """A newer version says so."""
    save_file(TENSORS, path, {"checkpoint": json.dumps({"format": 2, "sha256": "", "notes": {}})})
    with pytest.raises(CheckpointError, match="has format 2; this version reads 1"):
        load_checkpoint(path, SHAPES)


def test_absent_files_are_named(tmp_path: Path) -> None:
    """No file, or a folder."""
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(CheckpointError, match="does not exist or is no file"):
            read_notes(path)
