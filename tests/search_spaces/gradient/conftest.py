"""A space and data of which it is known which operators fit them."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import numpy as np
import pytest

from search_spaces.decision import Decision, Option
from search_spaces.graph import Graph, Role, Value
from search_spaces.layers import batch_norm, conv_norm, global_pool, linear
from search_spaces.space import Pick, SearchSpace

OPERATORS = ("skip", "point", "row", "column")
Data = tuple[np.ndarray, np.ndarray]


class Directions(SearchSpace):
    """Three images side by side, each with an operator of its own.

    The first two choose among the identity and convolutions of one pixel, of a row of three and of a column of three,
    the third sets the size of a convolution. Behind each are ReLU and the mean of the image. With `sparse`, the weights
    of the operators are marked as such.
    """

    name: ClassVar[str] = "directions"

    def __init__(self, *, width: int = 8, sparse: bool = False) -> None:
        self.width, self.sparse = width, sparse
        super().__init__(
            (Decision("first", OPERATORS), Decision("second", OPERATORS), Decision("kernel", (1, 3))),
            {"width": width, "sparse": sparse},
        )

    def assemble(self, pick: Pick) -> Graph:
        """From `image` (1, 3, 6, 6) to `logits` (1, 8)."""
        g = Graph(self.name)
        images = g.add_split(
            "Split", g.input("image", (1, 3, 6, 6)), name="split", names=list("abc"), axis=1, num_outputs=3
        )
        parts = []
        for name, x in zip(("first", "second", "third"), images, strict=True):
            x = conv_norm(g, x, f"{name}.stem", self.width)
            if name == "third":
                y = conv_norm(g, x, f"{name}.conv", self.width, pick("kernel"))
            else:
                candidates: dict[Option, Callable[[], Value]] = {
                    option: partial(self._operator, g, x, f"{name}.{option}", option) for option in OPERATORS
                }
                y = pick.op(name, candidates)
            parts.append(global_pool(g, g.add("Relu", y, name=f"{name}.relu"), f"{name}.pool"))
        g.output(linear(g, g.add("Concat", *parts, name="features", axis=1), "logits", 8))
        return g

    def _operator(self, g: Graph, x: Value, name: str, option: str) -> Value:
        if option == "skip":
            return x
        height, width = {"point": (1, 1), "row": (1, 3), "column": (3, 1)}[option]
        role: Role = "sparse_weight" if self.sparse else "weight"
        weight = g.parameter(f"{name}.weight", (x.shape[1], x.shape[1], height, width), role)
        pads = [height // 2, width // 2] * 2
        y = g.add("Conv", x, weight, name=name, kernel_shape=[height, width], strides=[1, 1], pads=pads)
        return batch_norm(g, y, f"{name}.bn")


@pytest.fixture(scope="session")
def directions() -> Directions:
    """The space."""
    return Directions()


@pytest.fixture(scope="session")
def sparse_directions() -> Directions:
    """The space with sparse operators."""
    return Directions(sparse=True)


@pytest.fixture(scope="session")
def correlated() -> Data:
    """Noise whose neighbours agree or disagree: in rows of the first image and the third, in columns of the second.

    All pixels have one distribution, so only an operator that sees both neighbours can tell the 8 classes.
    """
    rng = np.random.default_rng(0)
    count, size = 512, 6
    signs = rng.choice([-1.0, 1.0], (count, 3))
    images = np.empty((count, 3, size, size))
    for place in range(3):
        lines = np.empty((count, size, size))
        lines[..., 0] = rng.standard_normal((count, size))
        for column in range(1, size):
            noise = rng.standard_normal((count, size))
            lines[..., column] = 0.95 * signs[:, place, None] * lines[..., column - 1] + (1 - 0.95**2) ** 0.5 * noise
        images[:, place] = lines.swapaxes(1, 2) if place == 1 else lines
    labels = (signs > 0) @ np.array([4, 2, 1])
    return images.astype(np.float32), labels
