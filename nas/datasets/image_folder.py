"""A folder of class folders of images, read as untrusted input."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas.datasets.errors import DatasetError
from nas.datasets.limits import Limits, readable
from nas.datasets.raw import Labels, RawData, check_class_sizes
from nas.datasets.splitting import limit_rows

if TYPE_CHECKING:
    from PIL import Image

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")
GREY_MODES = frozenset({"1", "L", "LA"})
COLOUR_MODES = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})


@dataclass(frozen=True, slots=True)
class Look:
    """What the header of an image file says."""

    height: int
    width: int
    grey: bool


def read_folder(path: Path, limits: Limits, *, image_size: int | None, limit: int | None, seed: int) -> RawData:
    """Read `path/CLASS/IMAGE`: classes in the order of their names, images in the order of theirs.

    Hidden files and files without the ending of an image are passed over. The images are grey (C = 1) when
    every one of them is, otherwise RGB (C = 3); transparency is dropped. Only as many files are opened as
    `limit` asks for.

    Args:
        path: the folder.
        limits: what is refused.
        image_size: side in pixels that every image is resized to (bilinear, aspect ratio not kept);
            None when all have the same size.
        limit: at most this many images, every class keeping its share.
        seed: of the choice under `limit`.

    Raises:
        DatasetError: no classes, no images, a file that is no readable image, sizes that differ.
    """
    classes, files, labels = _list_files(path, limits)
    check_class_sizes(str(path), labels, classes)
    if limit is not None:
        rows = limit_rows(labels, limit, seed, least=2)
        files, labels = [files[row] for row in rows], labels[rows]
    looks = [_look(file, limits) for file in files]
    if image_size is None:
        _check_same_size(files, looks)
    height, width = (image_size, image_size) if image_size else (looks[0].height, looks[0].width)
    grey = all(look.grey for look in looks)
    shape = (len(files), height, width, 1 if grey else 3)
    if (nbytes := shape[0] * shape[1] * shape[2] * shape[3]) > limits.array_bytes:
        raise DatasetError(
            f"{path}: {len(files)} images of {height} x {width} take {readable(nbytes)} in memory; "
            f"allowed: {readable(limits.array_bytes)}"
        )
    images = np.empty(shape, dtype=np.uint8)
    for row, file in enumerate(files):
        images[row] = _decode(file, limits, (height, width), grey)
    return RawData(str(path), images, labels, classes)


def _list_files(path: Path, limits: Limits) -> tuple[tuple[str, ...], list[Path], Labels]:
    """Classes, image files and labels, all in sorted order."""
    classes = _entries(path, limits.classes, folders=True)
    if len(classes) < 2:
        found = f"found {classes[0].name!r}" if classes else "found none"
        raise DatasetError(f"{path}: a folder of images holds one folder for each of at least 2 classes; {found}")
    files: list[Path] = []
    labels: list[int] = []
    for label, folder in enumerate(classes):
        inside = _entries(folder, limits.files - len(files), folders=False)
        if not inside:
            raise DatasetError(f"{folder}: no images in this class folder; allowed endings: {', '.join(ENDINGS)}")
        files += inside
        labels += [label] * len(inside)
    return tuple(folder.name for folder in classes), files, np.array(labels, dtype=np.int64)


def _entries(folder: Path, most: int, *, folders: bool) -> list[Path]:
    """Sorted sub-folders or image files of `folder`, hidden ones left out."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                wanted = entry.is_dir() if folders else entry.name.lower().endswith(ENDINGS)
                if wanted and not entry.name.startswith("."):
                    found.append(folder / entry.name)
                if len(found) > most:
                    what = "class folders" if folders else "images in all class folders"
                    raise DatasetError(f"{folder}: more than the allowed number of {what} (at most {most} here)")
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be read: {error.strerror or error}") from error
    return sorted(found)


def _check_same_size(files: Sequence[Path], looks: Sequence[Look]) -> None:
    first = looks[0]
    for file, look in zip(files, looks, strict=True):
        if (look.height, look.width) != (first.height, first.width):
            raise DatasetError(
                f"{file}: {look.height} x {look.width} pixels, but {files[0]} has "
                f"{first.height} x {first.width}; give image_size to resize all of them"
            )


def _open(file: Path, limits: Limits) -> "Image.Image":
    """The image in `file` with its header read and its pixels not yet decoded."""
    from PIL import Image  # only folders of images need it

    if not file.is_file():
        raise ValueError("not a file")
    if (size := file.stat().st_size) > limits.file_bytes:
        raise ValueError(f"{readable(size)}; allowed: {readable(limits.file_bytes)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is below
        image = Image.open(file, formats=FORMATS)
    if image.width * image.height > limits.image_pixels:
        image.close()
        raise ValueError(f"{image.height} x {image.width} pixels; allowed: {limits.image_pixels} pixels")
    if image.mode not in GREY_MODES | COLOUR_MODES:
        image.close()
        raise ValueError(f"pixels of mode {image.mode}; allowed: 8 bits a channel, grey or colour")
    return image


def _look(file: Path, limits: Limits) -> Look:
    try:
        with _open(file, limits) as image:
            return Look(image.height, image.width, image.mode in GREY_MODES)
    except Exception as error:  # bytes from outside: decoders raise nearly anything
        raise _unreadable(file, error) from error


def _decode(file: Path, limits: Limits, size: tuple[int, int], grey: bool) -> NDArray[np.uint8]:
    """Pixels (H, W, C) uint8."""
    from PIL import Image

    height, width = size
    try:
        with _open(file, limits) as image:
            pixels = image.convert("L" if grey else "RGB")
            if pixels.size != (width, height):
                pixels = pixels.resize((width, height), Image.Resampling.BILINEAR)
    except Exception as error:  # bytes from outside: decoders raise nearly anything
        raise _unreadable(file, error) from error
    return np.asarray(pixels, dtype=np.uint8).reshape(height, width, -1)


def _unreadable(file: Path, error: Exception) -> DatasetError:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return DatasetError(f"{file}: not an image of a known format; allowed: {', '.join(FORMATS)}")
    return DatasetError(f"{file}: not a readable image: {error}")
