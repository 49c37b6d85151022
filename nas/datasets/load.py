"""Data sets by name or by path."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nas.datasets.dataset import Dataset, Split, content_hash, normalisation
from nas.datasets.digits import read_digits
from nas.datasets.errors import DatasetError
from nas.datasets.image_folder import read_folder
from nas.datasets.limits import Limits
from nas.datasets.npz_file import read_npz
from nas.datasets.raw import Images, Labels, RawData, check_class_sizes
from nas.datasets.splitting import limit_rows, split_rows
from nas.datasets.text import ENDINGS, TextDataset, load_text

DATASETS: dict[str, Callable[[], RawData]] = {"digits": read_digits}


def load_dataset(
    name: str | None = None,
    path: Path | str | None = None,
    *,
    validation: float = 0.2,
    split_seed: int = 0,
    image_size: int | None = None,
    limit: int | None = None,
    length: int | None = None,
    stride: int | None = None,
    limits: Limits | None = None,
) -> Dataset | TextDataset:
    """Load a data set and hold out a validation split; images are normalised by the rest.

    Args:
        name: one of `DATASETS`; or
        path: an `.npz` file (see `read_npz`), a folder of class folders of images (see `read_folder`), or a text,
            `.txt` or `.txt.gz` (see `load_text`).
        validation: share in (0, 1) of each class that is held out and never trained on; of a text, its end.
        split_seed: of the split and of the choice under `limit`; the same seed makes the same data set.
        image_size: side in pixels that the images of a folder are resized to; for arrays it must be theirs.
        limit: at most this many samples for training and validation together, and at most this many for
            testing, every class keeping its share. For images alone.
        length: characters of a window of text, which is needed for a text and for nothing else.
        stride: characters from one training window of text to the next; by default `length`.
        limits: what untrusted files may ask for.

    Raises:
        DatasetError: an unknown name, a bad option, or data that are missing, corrupt or of a wrong form.
    """
    if (name is None) == (path is None):
        raise DatasetError("a data set is given by one of name and path")
    source = str(name if path is None else path)
    _check_options(source, validation, split_seed, image_size, limit)
    limits = Limits() if limits is None else limits
    if path is not None and source.endswith(ENDINGS) and not Path(path).is_dir():
        return _text(source, validation, limits, image_size, limit, length, stride)
    for option, value in (("length", length), ("stride", stride)):
        if value is not None:
            raise DatasetError(
                f"{source}: {option} {value}, but only a text ({', '.join(ENDINGS)}) is cut into windows"
            )
    if path is None:
        raw = _named(source)
    else:
        raw = _read_path(Path(path), limits, image_size=image_size, limit=limit, seed=split_seed)
    check_class_sizes(source, raw.labels, raw.classes)
    height, width = raw.images.shape[1:3]
    if image_size not in (None, height) or image_size not in (None, width):
        raise DatasetError(
            f"{source}: image_size {image_size}, but its images are {height} x {width}; "
            f"only a folder of images is resized, so allowed here: leave image_size out"
        )
    return _split(raw, validation, split_seed, limit)


def _check_options(source: str, validation: float, split_seed: int, image_size: int | None, limit: int | None) -> None:
    if not 0 < validation < 1:
        raise DatasetError(f"{source}: validation {validation}; allowed: a share between 0 and 1, both excluded")
    if split_seed < 0:
        raise DatasetError(f"{source}: split_seed {split_seed}; allowed: 0 and above")
    if image_size is not None and not 1 <= image_size <= 4096:
        raise DatasetError(f"{source}: image_size {image_size}; allowed: 1 to 4096 pixels")
    if limit is not None and limit < 1:
        raise DatasetError(f"{source}: limit {limit}; allowed: at least 2 samples for each class")


def _text(
    source: str,
    validation: float,
    limits: Limits,
    image_size: int | None,
    limit: int | None,
    length: int | None,
    stride: int | None,
) -> TextDataset:
    for option, value in (("image_size", image_size), ("limit", limit)):
        if value is not None:
            raise DatasetError(f"{source}: {option} {value}, but that is for images; a text has length and stride")
    if length is None:
        raise DatasetError(f"{source}: length is missing; a text needs the characters of a window, such as length: 64")
    return load_text(source, length=length, stride=stride, validation=validation, limits=limits)


def _named(name: str) -> RawData:
    if name not in DATASETS:
        raise DatasetError(
            f"{name!r} is not a known data set; known: {', '.join(DATASETS)}; others are given by their path"
        )
    return DATASETS[name]()


def _read_path(path: Path, limits: Limits, *, image_size: int | None, limit: int | None, seed: int) -> RawData:
    try:
        path.stat()
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: no such file or folder") from error
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if path.is_dir():
        return read_folder(path, limits, image_size=image_size, limit=limit, seed=seed)
    if path.suffix == ".npz" and path.is_file():
        return read_npz(path, limits)
    raise DatasetError(
        f"{path}: not a data set; allowed: an .npz file, a folder of class folders of images, a text (.txt, .txt.gz)"
    )


def _split(raw: RawData, validation: float, seed: int, limit: int | None) -> Dataset:
    """Choose under `limit`, split, normalise."""
    images, labels = raw.images, raw.labels
    test_images, test_labels = raw.test_images, raw.test_labels
    if limit is not None:
        if limit < 2 * len(raw.classes):
            raise DatasetError(
                f"{raw.source}: limit {limit} with {len(raw.classes)} classes; "
                f"allowed: at least {2 * len(raw.classes)}, 2 for each class"
            )
        images, labels = _rows(images, labels, limit_rows(labels, limit, seed, least=2))
        if test_images is not None and test_labels is not None:
            test_images, test_labels = _rows(test_images, test_labels, limit_rows(test_labels, limit, seed))
    train_rows, validation_rows = split_rows(labels, validation, seed)
    parts = {
        "train": _rows(images, labels, train_rows),
        "validation": _rows(images, labels, validation_rows),
    }
    if test_images is not None and test_labels is not None:
        parts["test"] = (test_images, test_labels)
    mean, std = normalisation(parts["train"][0])
    splits = {}
    for name, arrays in parts.items():
        for array in (*arrays, mean, std):
            array.flags.writeable = False
        splits[name] = Split(*arrays, mean, std)
    return Dataset(
        source=raw.source,
        classes=raw.classes,
        train=splits["train"],
        validation=splits["validation"],
        test=splits.get("test"),
        content_hash=content_hash(raw.classes, parts),
    )


def _rows(images: Images, labels: Labels, rows: np.ndarray) -> tuple[Images, Labels]:
    return images[rows], labels[rows]
