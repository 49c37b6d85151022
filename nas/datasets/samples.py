"""What training and evaluation need of a data set, whatever it holds."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Samples(Protocol):
    """Samples of one purpose: inputs as networks take them, and what they should answer."""

    def __len__(self) -> int:
        """How many there are."""

    def inputs(self, rows: NDArray[np.integer] | slice = ...) -> NDArray[Any]:
        """Inputs of some samples: images (n, C, H, W) float32, or tokens (n, T) int64. The caller's own."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """All right answers: (N,) classes of images, or for tokens (N, T), the token that follows each."""


class Data(Protocol):
    """A data set that is split; `validation` is never trained on."""

    @property
    def source(self) -> str:
        """The name or the path that it was loaded from."""

    @property
    def train(self) -> Samples:
        """What is trained on."""

    @property
    def validation(self) -> Samples:
        """What is evaluated while searching."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input without the batch: (C, H, W) or (T,)."""

    @property
    def input_type(self) -> str:
        """Element type of the inputs, `float32` or `int64`."""

    @property
    def space_settings(self) -> Mapping[str, int]:
        """What a space with settings of these names has to be made for."""

    def describe(self) -> dict[str, Any]:
        """What a store or a model file should say about the data, as plain JSON-able values."""
