"""Split and normalised images, as training and evaluation read them."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.datasets.raw import Images, Labels

CHUNK = 1024  # images at a time, so that statistics need little memory beside the data


@dataclass(frozen=True, eq=False, slots=True)
class Split:
    """Samples of one purpose.

    Attributes:
        images: (N, H, W, C), uint8 or float32, as stored.
        labels: (N,) int64.
        mean: (C,) float32, of the training split, in the units of `images`.
        std: (C,) float32, of the training split; 1 for a channel that does not vary.
    """

    images: Images
    labels: Labels
    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self, rows: NDArray[np.integer] | slice = slice(None)) -> NDArray[np.float32]:
        """Normalised images, (pixel - mean) / std per channel.

        Args:
            rows: positions or a slice; everything by default.

        Returns:
            (n, C, H, W) float32, contiguous and the caller's own.
        """
        pixels = self.images[rows].transpose(0, 3, 1, 2).astype(np.float32, order="C")
        pixels -= self.mean[:, None, None]
        pixels /= self.std[:, None, None]
        return pixels


@dataclass(frozen=True, eq=False, slots=True)
class Dataset:
    """Labelled images in disjoint splits; `validation` and `test` are never trained on.

    Attributes:
        source: the name or the path that it was loaded from.
        classes: names in the order of the labels.
        train: what is trained on; the normalisation is computed from it alone.
        validation: what accuracy is measured on while searching.
        test: kept apart for the end; None where the source has none.
        content_hash: 64 hex digits over pixels, labels, classes and splits.
    """

    source: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split | None
    content_hash: str

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height, width of one image."""
        _, height, width, channels = self.train.images.shape
        return channels, height, width

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def input_type(self) -> str:
        """Element type of the inputs."""
        return "float32"

    @property
    def space_settings(self) -> dict[str, int]:
        """What a space with settings of these names has to be made for."""
        return {"classes": self.num_classes, "channels": self.input_shape[0]}

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of each channel over the training split, in the units of the stored pixels."""
        return tuple(float(value) for value in self.train.mean)

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each channel over the training split, in the units of the stored pixels."""
        return tuple(float(value) for value in self.train.std)

    def describe(self) -> dict[str, Any]:
        """What a store or a model file should say about the data, as plain JSON-able values."""
        return {
            "source": self.source,
            "content_hash": self.content_hash,
            "input_shape": list(self.input_shape),
            "classes": list(self.classes),
            "mean": list(self.mean),
            "std": list(self.std),
            "samples": {
                "train": len(self.train),
                "validation": len(self.validation),
                "test": 0 if self.test is None else len(self.test),
            },
        }


def normalisation(images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of each channel of images (N, H, W, C), both (C,) float32.

    Accumulated in float64 around the mean, so that bright and even images lose no digits. A channel that
    does not vary gets a standard deviation of 1.
    """
    channels = images.shape[3]
    pixels = images.size // channels
    chunks = [images[start : start + CHUNK] for start in range(0, len(images), CHUNK)]
    mean = np.zeros(channels)
    for chunk in chunks:
        mean += chunk.sum(axis=(0, 1, 2), dtype=np.float64) / pixels
    variance = np.zeros(channels)
    for chunk in chunks:
        variance += np.square(chunk - mean).sum(axis=(0, 1, 2)) / pixels
    std = np.sqrt(variance).astype(np.float32)
    return mean.astype(np.float32), np.where(std > 0, std, np.float32(1))


def content_hash(classes: tuple[str, ...], splits: dict[str, tuple[Images, Labels]]) -> str:
    """SHA-256 over the names of the classes and the arrays of the splits, in their order."""
    digest = hashlib.sha256(repr(classes).encode())
    for name, arrays in splits.items():
        for array in arrays:
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            digest.update(f"{name} {little.dtype.str} {little.shape}".encode())
            digest.update(little.data)
    return digest.hexdigest()
