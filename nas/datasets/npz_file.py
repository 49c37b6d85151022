"""Images and labels in a NumPy archive, read as untrusted input."""

import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from nas.datasets.errors import DatasetError
from nas.datasets.limits import Limits, readable
from nas.datasets.raw import (
    RawData,
    check_image_layout,
    check_label_layout,
    checked_images,
    checked_labels,
    class_names,
)

ALLOWED = "train_images and train_labels (and test_images, test_labels, classes), or images and labels"
CORRUPT = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, OverflowError, SyntaxError)


@dataclass(frozen=True, slots=True)
class Header:
    """What a member of the archive says about itself, read without its data."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Memory that the array takes."""
        return math.prod(self.shape) * self.dtype.itemsize


class Archive:
    """The arrays of one `.npz`: headers first, data only after the headers have been judged."""

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        self.path = path
        self._file = file
        members = [info for info in file.infolist() if info.filename.endswith(".npy")]
        self._members = {info.filename.removesuffix(".npy"): info for info in members}
        if len(self._members) != len(members):
            raise DatasetError(f"{path}: the archive holds an array twice")

    def __contains__(self, array: str) -> bool:
        return array in self._members

    @property
    def names(self) -> str:
        """The arrays of the archive, for messages."""
        return ", ".join(sorted(self._members)[:20]) or "none"

    def header(self, array: str) -> Header:
        """Type and shape of `array`.

        Raises:
            DatasetError: not a NumPy array, Python objects, or a header that disagrees with the member's size.
        """
        info = self._members[array]
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise DatasetError(f"{self.path}: array {array!r} is encrypted or packed in a way NumPy never writes")
        try:
            with self._file.open(info) as stream:
                shape, _, dtype = self._read_header(stream)
                start = stream.tell()
        except Exception as error:  # bytes from outside: the parser of the header raises nearly anything
            raise DatasetError(f"{self.path}: array {array!r} is corrupt: {error}") from error
        if dtype.hasobject:
            raise DatasetError(
                f"{self.path}: array {array!r} holds Python objects, which are never unpickled; "
                f"allowed: plain numbers and strings"
            )
        header = Header(dtype, shape)
        if start + header.nbytes != info.file_size:
            raise DatasetError(
                f"{self.path}: array {array!r} is corrupt: its header {dtype} {shape} asks for "
                f"{readable(header.nbytes)}, the archive holds {readable(info.file_size - start)}"
            )
        return header

    @staticmethod
    def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        # Later versions differ in allowing longer headers, up to 4 GiB of them.
        version = npy.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"array format {version[0]}.{version[1]}; allowed: 1.0")
        return npy.read_array_header_1_0(stream)

    def read(self, array: str) -> NDArray[Any]:
        """The data of `array`, whose header has been judged.

        Raises:
            DatasetError: the data are corrupt.
        """
        try:
            with self._file.open(self._members[array]) as stream:
                values = npy.read_array(stream, allow_pickle=False)
                stream.read(1)  # reaching the end lets zipfile compare the checksum
        except CORRUPT as error:
            raise DatasetError(f"{self.path}: array {array!r} is corrupt: {error}") from error
        return values


def read_npz(path: Path, limits: Limits) -> RawData:
    """Read labelled images from `path`.

    The arrays are `train_images` and `train_labels` with optional `test_images` and `test_labels`, or
    `images` and `labels`; `classes` with the names is optional. Others are not read.

    Raises:
        DatasetError: any of the file, its arrays or their values is not as it should be.
    """
    size = path.stat().st_size
    if size == 0:
        raise DatasetError(f"{path}: the file is empty")
    if size > limits.file_bytes:
        raise DatasetError(f"{path}: {readable(size)}; allowed: {readable(limits.file_bytes)}")
    try:
        with zipfile.ZipFile(path) as file:
            return _read(Archive(path, file), limits)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise DatasetError(f"{path}: not an .npz archive, or a truncated one: {error}") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read(archive: Archive, limits: Limits) -> RawData:
    source = str(archive.path)
    images, labels = _required(archive)
    pairs = [(images, labels)]
    if _has_test(archive):
        pairs.append(("test_images", "test_labels"))
    _judge(archive, pairs, limits)

    names = archive.read("classes").tolist() if "classes" in archive else None
    loaded = [(archive.read(image_array), archive.read(label_array)) for image_array, label_array in pairs]
    classes = class_names(source, labels, loaded[0][1], names, limits)
    allowed = "" if names is None else f"'classes' names {len(names)}, so allowed: 0 to {len(names) - 1}"
    arrays: list[Any] = []
    for pair, (pixels, targets) in zip(pairs, loaded, strict=True):
        arrays.append(checked_images(source, pair[0], pixels))
        arrays.append(checked_labels(source, pair[1], targets, len(classes), allowed))
    highest = int(arrays[1].max())
    if highest + 1 < len(classes):
        raise DatasetError(
            f"{source}: array 'classes' has {len(classes)} names, but array {labels!r} ends at label {highest}; "
            f"allowed: one name for each class"
        )
    return RawData(source, arrays[0], arrays[1], classes, *arrays[2:])


def _required(archive: Archive) -> tuple[str, str]:
    """The names of the arrays to train on."""
    named = "train_images" in archive or "train_labels" in archive
    plain = "images" in archive or "labels" in archive
    if named and plain:
        raise DatasetError(f"{archive.path}: both train_images and images; allowed: {ALLOWED}")
    pair = ("images", "labels") if plain else ("train_images", "train_labels")
    for array in (*pair, *(("test_images", "test_labels") if _has_test(archive) else ())):
        if array not in archive:
            raise DatasetError(
                f"{archive.path}: no array {array!r}; the file holds: {archive.names}; needed: {ALLOWED}"
            )
    return pair


def _has_test(archive: Archive) -> bool:
    return "test_images" in archive or "test_labels" in archive


def _judge(archive: Archive, pairs: list[tuple[str, str]], limits: Limits) -> None:
    """Everything that the headers tell, before any data are read."""
    source = str(archive.path)
    total = 0
    shapes = []
    for images, labels in pairs:
        header = archive.header(images)
        check_image_layout(source, images, header.dtype, header.shape)
        label = archive.header(labels)
        check_label_layout(source, labels, label.dtype, label.shape, header.shape[0])
        shapes.append(header)
        total += header.nbytes + label.nbytes
    if "classes" in archive:
        names = archive.header("classes")
        if names.dtype.kind != "U" or len(names.shape) != 1 or names.shape[0] > limits.classes:
            raise DatasetError(
                f"{source}: array 'classes' has type {names.dtype} and shape {names.shape}; "
                f"allowed: strings, one axis, at most {limits.classes}"
            )
        total += names.nbytes
    if total > limits.array_bytes:
        raise DatasetError(
            f"{source}: its arrays take {readable(total)} in memory; allowed: {readable(limits.array_bytes)}"
        )
    if shapes[-1].shape[1:] != shapes[0].shape[1:] or shapes[-1].dtype != shapes[0].dtype:
        raise DatasetError(
            f"{source}: test_images are {shapes[-1].dtype} {shapes[-1].shape[1:]}, "
            f"{pairs[0][0]} are {shapes[0].dtype} {shapes[0].shape[1:]}; they must agree"
        )
