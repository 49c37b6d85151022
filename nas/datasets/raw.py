"""Images and labels as they came from their source, checked but not yet split."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.datasets.errors import DatasetError
from nas.datasets.limits import Limits

Images = NDArray[np.uint8] | NDArray[np.float32]
Labels = NDArray[np.int64]

MAX_CHANNELS = 4


@dataclass(frozen=True, eq=False, slots=True)
class RawData:
    """Arrays of one source.

    Attributes:
        source: the name or the path, as it appears in messages.
        images: (N, H, W, C), uint8 or float32.
        labels: (N,) int64 in [0, len(classes)).
        classes: names in the order of the labels.
        test_images: (M, H, W, C) of the same type, kept apart from training; None where there are none.
        test_labels: (M,) int64, or None.
    """

    source: str
    images: Images
    labels: Labels
    classes: tuple[str, ...]
    test_images: Images | None = None
    test_labels: Labels | None = None


def check_image_layout(source: str, array: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Refuse an array that cannot hold images; needs only its header.

    Raises:
        DatasetError: not uint8 or float, not (N, H, W, C), empty, or more than four channels.
    """
    if not (dtype == np.uint8 or dtype.kind == "f"):
        raise DatasetError(f"{source}: array {array!r} has type {dtype}; allowed: uint8, float16/32/64")
    if len(shape) != 4:
        hint = "; a grey image has a last axis of length 1" if len(shape) == 3 else ""
        raise DatasetError(f"{source}: array {array!r} has shape {shape}; images are (N, H, W, C){hint}")
    if 0 in shape:
        raise DatasetError(f"{source}: array {array!r} is empty: shape {shape}")
    if shape[3] > MAX_CHANNELS:
        hint = "; the channels come last" if shape[1] <= MAX_CHANNELS else ""
        raise DatasetError(
            f"{source}: array {array!r} has shape {shape}, so {shape[3]} channels; "
            f"images are (N, H, W, C) with 1 to {MAX_CHANNELS}{hint}"
        )


def check_label_layout(source: str, array: str, dtype: np.dtype[Any], shape: tuple[int, ...], count: int) -> None:
    """Refuse an array that cannot hold the labels of `count` images; needs only its header.

    Raises:
        DatasetError: not integers, not of shape (count,).
    """
    if dtype.kind not in "iu":
        raise DatasetError(f"{source}: array {array!r} has type {dtype}; labels are integers from 0")
    if shape != (count,):
        raise DatasetError(
            f"{source}: array {array!r} has shape {shape}; one label for each of {count} images is ({count},)"
        )


def checked_images(source: str, array: str, images: NDArray[Any]) -> Images:
    """Images (N, H, W, C), uint8 or float as `check_image_layout` allows, as uint8 or finite float32.

    Raises:
        DatasetError: a value that is not finite, also after the conversion to float32.
    """
    if images.dtype == np.uint8:
        return images
    with np.errstate(over="ignore"):
        floats = images.astype(np.float32)
    finite = np.array([bool(np.isfinite(image).all()) for image in floats])
    if not finite.all():
        row = int(np.argmin(finite))
        raise DatasetError(
            f"{source}: array {array!r} holds NaN or infinite values in {int((~finite).sum())} "
            f"of {len(floats)} images, first in image {row}; pixels are finite (float32)"
        )
    return floats


def checked_labels(source: str, array: str, labels: NDArray[Any], classes: int, allowed: str = "") -> Labels:
    """Labels (N,) of an integer type as int64 in [0, classes); `allowed` says so in other words.

    Raises:
        DatasetError: a label outside the classes; the message has the first one and its position.
    """
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        row = int(np.argmax(wrong))
        allowed = allowed or f"allowed: 0 to {classes - 1}"
        raise DatasetError(f"{source}: array {array!r} holds label {labels[row]} at position {row}; {allowed}")
    return labels.astype(np.int64)


def class_names(
    source: str, array: str, labels: NDArray[Any], names: Sequence[str] | None, limits: Limits
) -> tuple[str, ...]:
    """The names of the classes of `labels`: as given, otherwise the numbers from 0 to the largest label.

    Raises:
        DatasetError: fewer than two classes, a name twice, or more names or labels than `limits.classes`.
    """
    if names is None:
        highest = int(labels.max())
        if highest < 0:
            raise DatasetError(f"{source}: array {array!r} holds label {highest}; allowed: 0 and above")
        if highest >= limits.classes:
            raise DatasetError(
                f"{source}: array {array!r} holds label {highest}; at most {limits.classes} classes are allowed"
            )
        names = [str(label) for label in range(highest + 1)]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if list(names).count(name) > 1})
        raise DatasetError(f"{source}: class names must differ; given more than once: {', '.join(twice[:5])}")
    if len(names) < 2:
        raise DatasetError(f"{source}: {len(names)} class ({', '.join(names)}); at least 2 are needed")
    return tuple(names)


def check_class_sizes(source: str, labels: Labels, classes: Sequence[str]) -> None:
    """Refuse a class that cannot be both trained and validated.

    Raises:
        DatasetError: a class with fewer than two samples; the message counts them by name.
    """
    counts = np.bincount(labels, minlength=len(classes))
    small = np.flatnonzero(counts < 2)
    if small.size:
        listed = ", ".join(f"{classes[index]!r} has {counts[index]}" for index in small[:5])
        more = f" and {small.size - 5} more" if small.size > 5 else ""
        raise DatasetError(
            f"{source}: every class needs at least 2 samples, one to train and one to validate; class {listed}{more}"
        )
