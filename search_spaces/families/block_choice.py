"""Chains of inverted residual blocks in which every position chooses its block: what FBNet and ProxylessNAS share."""

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from search_spaces.decision import Decision
from search_spaces.graph import Graph, Value
from search_spaces.layers import activation, batch_norm, conv, conv_norm, global_pool, linear
from search_spaces.settings import check_distinct, check_whole, check_wholes
from search_spaces.space import Pick, SearchSpace

SKIP = "skip"
_NAME = re.compile(r"k([1-9]\d?)_e([1-9]\d?)(?:_g([1-9]\d?))?")


class Block(NamedTuple):
    """What the name of a block says: `k3_e6` or, with groups in its 1x1 convolutions, `k3_e1_g2`."""

    kernel: int
    expansion: int
    groups: int


class Position(NamedTuple):
    """One place of the chain: the stride and width of its block, and what may stand there."""

    stride: int
    width: int
    options: tuple[str, ...]


class BlockChoice(SearchSpace):
    """A stem, stages of positions, a final 1x1 convolution, global pooling, a classifier.

    A genotype's columns are `layer0`, `layer1`, ... through the stages. Every block of a position has weights of its
    own. A subclass gives the published settings, under the names `classes`, `channels`, `resolution`, `widths`,
    `depths`, `strides`, `blocks`, `stem_width`, `stem_stride`, `final_width`.

    Attributes:
        activation: behind every convolution but the last one of a block.
        epsilon: of the batch normalisations.
        skips_project: whether `skip` may be chosen where the shape changes; it is a 1x1 convolution there.

    Args:
        settings: the settings of the subclass, plain values.
        first_width: output channels of a fixed 3x3 block behind the stem that does not expand; None for no such block.

    Raises:
        ValueError: lists of different lengths, an empty list, sizes that are not positive, an unknown block, groups
            that do not divide channels, an input smaller than the total stride.
    """

    activation: ClassVar[str]
    epsilon: ClassVar[float]
    skips_project: ClassVar[bool]

    def __init__(self, settings: Mapping[str, Any], first_width: int | None = None) -> None:
        check_whole(settings, "classes", "channels", "resolution", "stem_width", "stem_stride", "final_width")
        check_wholes(settings, "widths")
        check_wholes(settings, "depths", "strides", length=len(settings["widths"]))
        stride = settings["stem_stride"] * math.prod(settings["strides"])
        if settings["resolution"] < stride:
            raise ValueError(f"resolution must be at least the total stride of {stride}, got {settings['resolution']}")
        self.blocks = _blocks(settings)
        self.classes, self.first_width, self.final_width = settings["classes"], first_width, settings["final_width"]
        self.shape = (1, settings["channels"], settings["resolution"], settings["resolution"])
        self.stem_width, self.stem_stride = settings["stem_width"], settings["stem_stride"]
        self.positions = self._positions(settings["widths"], settings["depths"], settings["strides"])
        decisions = [Decision(f"layer{index}", place.options) for index, place in enumerate(self.positions)]
        super().__init__(tuple(decisions), settings)

    def assemble(self, pick: Pick) -> Graph:
        """The chosen network, from `image` (1, channels, r, r) to `logits` (1, classes)."""
        g = Graph(self.name)
        x = g.input("image", self.shape)
        x = self._conv(g, x, "stem", self.stem_width, 3, stride=self.stem_stride)
        if self.first_width is not None:
            x = self._conv(g, x, "first.depthwise", x.shape[1], 3, groups=x.shape[1])
            x = conv_norm(g, x, "first.project", self.first_width, epsilon=self.epsilon)
        for index, place in enumerate(self.positions):
            build = partial(self._block, g, x, f"layer{index}", place)
            x = pick.op(f"layer{index}", {option: partial(build, option) for option in place.options})
        x = self._conv(g, x, "final", self.final_width)
        g.output(linear(g, global_pool(g, x, "pool"), "logits", self.classes))
        return g

    def _positions(self, widths: Sequence[int], depths: Sequence[int], strides: Sequence[int]) -> tuple[Position, ...]:
        positions: list[Position] = []
        before = self.first_width or self.stem_width
        for width, depth, first_stride in zip(widths, depths, strides, strict=True):
            for layer in range(depth):
                stride = first_stride if layer == 0 else 1
                keeps = stride == 1 and before == width
                options = [name for name in self.blocks if name != SKIP or keeps or self.skips_project]
                if not options:
                    raise ValueError("blocks must have one besides 'skip', which cannot stand where the shape changes")
                for name in options:
                    if name != SKIP and (before % self.blocks[name].groups or width % self.blocks[name].groups):
                        raise ValueError(
                            f"the groups of block {name!r} must divide the channels of layer{len(positions)}, "
                            f"got {before} and {width}"
                        )
                positions.append(Position(stride, width, tuple(options)))
                before = width
        return tuple(positions)

    def _block(self, g: Graph, x: Value, layer: str, place: Position, option: str) -> Value:
        """Inverted residual: 1x1 convolution, depthwise convolution, 1x1 convolution; a shortcut where shapes agree.

        With groups, channels are shuffled behind the first convolution (arXiv 1707.01083).
        """
        keeps = place.stride == 1 and place.width == x.shape[1]
        name = f"{layer}.{option}"
        if option == SKIP:
            return x if keeps else self._conv(g, x, name, place.width, stride=place.stride)
        kernel, expansion, groups = self.blocks[option]
        inner = x.shape[1] * expansion
        y = self._conv(g, x, f"{name}.expand", inner, groups=groups)
        y = y if groups == 1 else _shuffle(g, y, f"{name}.shuffle", groups)
        y = self._conv(g, y, f"{name}.depthwise", inner, kernel, stride=place.stride, groups=inner)
        y = batch_norm(
            g, conv(g, y, f"{name}.project", place.width, groups=groups), f"{name}.project.bn", epsilon=self.epsilon
        )
        return g.add("Add", y, x, name=f"{name}.add") if keeps else y

    def _conv(
        self, g: Graph, x: Value, name: str, channels: int, kernel: int = 1, *, stride: int = 1, groups: int = 1
    ) -> Value:
        x = conv_norm(g, x, name, channels, kernel, stride=stride, groups=groups, epsilon=self.epsilon)
        return activation(g, x, f"{name}.act", self.activation)


def _shuffle(g: Graph, x: Value, name: str, groups: int) -> Value:
    """Interleave the channels of the groups."""
    _, channels, height, width = x.shape
    split = g.constant(f"{name}.split", np.array([-1, groups, channels // groups, height, width]))
    joined = g.constant(f"{name}.joined", np.array([-1, channels, height, width]))
    y = g.add("Reshape", x, split, name=f"{name}.groups")
    y = g.add("Transpose", y, name=f"{name}.transpose", perm=[0, 2, 1, 3, 4])
    return g.add("Reshape", y, joined, name=name)


def _blocks(settings: Mapping[str, Any]) -> dict[str, Block]:
    """Each of `blocks` by name, `skip` among them as a block of nothing."""
    names = settings["blocks"]
    if not isinstance(names, list) or not names:
        raise ValueError(f"blocks must be a list with at least one entry, got {names!r}")
    blocks = {}
    for name in names:
        found = _NAME.fullmatch(name) if isinstance(name, str) else None
        if name != SKIP and (found is None or int(found[1]) % 2 == 0):
            raise ValueError(
                f"block {name!r} is not known; known: {SKIP}, and kernel (odd), expansion and groups as in "
                "k3_e6 and k5_e1_g2"
            )
        blocks[name] = Block(int(found[1]), int(found[2]), int(found[3] or 1)) if found else Block(0, 0, 1)
    check_distinct(settings, "blocks")
    return blocks
