"""Compound scaling of a fixed network, EfficientNet-B0 (Tan and Le, arXiv 1905.11946), as a baseline on every front."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, NamedTuple

from search_spaces.decision import Decision
from search_spaces.graph import Graph, Value
from search_spaces.layers import conv_norm, global_pool, linear, make_divisible, squeeze_excite
from search_spaces.settings import (
    check_distinct,
    check_flags,
    check_known,
    check_numbers,
    check_whole,
    check_wholes,
    plain,
)
from search_spaces.space import Pick, SearchSpace


class Coefficients(NamedTuple):
    """By what the depth, the widths and the resolution of the base network are multiplied."""

    depth: float
    width: float
    resolution: float


RULES: dict[str, Callable[[float], Coefficients]] = {
    "efficientnet": lambda s: Coefficients(1.2 ** math.log2(s), 1.1 ** math.log2(s), 1.15 ** math.log2(s)),
    "fast": lambda s: Coefficients(s**0.1, s**0.4, s**0.05),
    "depth": lambda s: Coefficients(s, 1, 1),
    "width": lambda s: Coefficients(1, s**0.5, 1),
    "resolution": lambda s: Coefficients(1, 1, s**0.5),
}
"""How a network of about s times the MACs is made: EfficientNet's compound rule (with its alpha 1.2, beta 1.1 and
gamma 1.15, and s = 2^phi), the fast compound rule with its alpha of 0.8 (Dollar et al., arXiv 2103.06877), or all in
one dimension."""

GRID = "grid"
DIVISOR = 8


class Stage(NamedTuple):
    """Blocks of the base network: how many, their channels, kernel, expansion ratio and first stride."""

    blocks: int
    width: int
    kernel: int
    expansion: int
    stride: int


B0 = (
    Stage(1, 16, 3, 1, 1),
    Stage(2, 24, 3, 6, 2),
    Stage(2, 40, 5, 6, 2),
    Stage(3, 80, 3, 6, 2),
    Stage(3, 112, 5, 6, 1),
    Stage(4, 192, 5, 6, 2),
    Stage(1, 320, 3, 6, 1),
)
STRIDE = 32
normalised = partial(conv_norm, epsilon=1e-3)


class Scaled(SearchSpace):
    """EfficientNet-B0 made larger or smaller; what is searched is only by how much.

    With the rule `grid` the decisions are `depth`, `width` (coefficients) and `resolution` (pixels), which holds
    every compound rule and TinyNet's (arXiv 2010.14819: `fixed_ends`, depths rounded to the `nearest`). With one of
    `RULES` the one decision is `scale`, the wanted multiple of B0's MACs, and resolutions are the multiples of 8
    nearest to the rule's. B0 itself is 5,288,548 parameters and 385.8 M MACs at 224 pixels (published: 5.3 M, 0.39 B).
    Strided convolutions are padded on both sides, not as TensorFlow does; sizes and costs are the same.

    Args:
        classes: number of classes.
        channels: channels of the input image.
        rule: `grid` or one of `RULES`.
        scales: multiples of the base network's MACs, for a rule.
        depths: coefficients of the number of blocks, for the grid.
        widths: coefficients of the channels, for the grid.
        resolutions: input sizes in pixels, for the grid.
        base_resolution: input size that a rule starts from.
        rounding: a stage's number of blocks is rounded `up` or to the `nearest`, one at least.
        fixed_ends: whether the stem keeps its width and the head never has less than B0's.

    Raises:
        ValueError: an unknown rule, options of the grid for a rule or the other way round, an empty list, sizes
            that are not positive, a resolution below the total stride of 32.
    """

    name: ClassVar[str] = "scaled"

    def __init__(
        self,
        *,
        classes: int = 1000,
        channels: int = 3,
        rule: str = GRID,
        scales: Sequence[float] | None = None,
        depths: Sequence[float] | None = None,
        widths: Sequence[float] | None = None,
        resolutions: Sequence[int] | None = None,
        base_resolution: int = 224,
        rounding: str = "up",
        fixed_ends: bool = False,
    ) -> None:
        check_known("rule", rule, (GRID, *RULES))
        grid = {"depths": depths, "widths": widths, "resolutions": resolutions}
        unused = [key for key, value in (grid if rule != GRID else {"scales": scales}).items() if value is not None]
        if unused:
            raise ValueError(f"{unused[0]} has no meaning for the rule {rule!r}; leave it out")
        if rule == GRID:
            depths = (0.6, 0.8, 1.0, 1.2, 1.4) if depths is None else depths
            widths = (0.5, 0.65, 0.8, 1.0, 1.2) if widths is None else widths
            resolutions = tuple(range(96, 289, 32)) if resolutions is None else resolutions
        elif scales is None:
            scales = (0.0625, 0.125, 0.25, 0.5, 1, 2, 4, 8)
        settings = {key: value for key, value in plain(locals()).items() if key not in ("grid", "unused")}
        check_whole(settings, "classes", "channels", "base_resolution")
        check_known("rounding", rounding, ("up", "nearest"))
        check_flags(settings, "fixed_ends")
        self.classes, self.channels, self.rule, self.base_resolution = classes, channels, rule, base_resolution
        self.rounding, self.fixed_ends = rounding, fixed_ends
        used = ("depths", "widths") if rule == GRID else ("scales",)
        check_numbers(settings, *used, most=1024)
        check_distinct(settings, *used)
        if rule == GRID:
            check_wholes(settings, "resolutions", least=STRIDE)
            check_distinct(settings, "resolutions")
            named = {"depth": depths, "width": widths, "resolution": resolutions}
        else:
            named = {"scale": scales}
            for scale in settings["scales"]:
                if self._pixels(RULES[rule](scale)) < STRIDE:
                    raise ValueError(f"scales must keep at least {STRIDE} pixels, got {scale} with the rule {rule!r}")
        super().__init__(tuple(Decision(key, tuple(options or ())) for key, options in named.items()), settings)

    def assemble(self, pick: Pick) -> Graph:
        """The chosen network, from `image` (1, channels, r, r) to `logits` (1, classes)."""
        if self.rule == GRID:
            depth, width, size = pick("depth"), pick("width"), pick("resolution")
        else:
            coefficients = RULES[self.rule](pick("scale"))
            depth, width, size = coefficients.depth, coefficients.width, self._pixels(coefficients)
        g = Graph(self.name)
        x = g.input("image", (1, self.channels, size, size))
        x = normalised(g, x, "stem", make_divisible(32 * (1 if self.fixed_ends else width)), 3, stride=2, act="swish")
        for number, stage in enumerate(B0):
            for layer in range(self._blocks(stage.blocks * depth)):
                first = stage if layer == 0 else stage._replace(stride=1)
                x = _block(g, x, f"stage{number}.block{layer}", first, make_divisible(stage.width * width))
        head = make_divisible(1280 * width)
        x = normalised(g, x, "head", max(1280, head) if self.fixed_ends else head, act="swish")
        x = global_pool(g, x, "pool")
        g.output(linear(g, x, "logits", self.classes))
        return g

    def _pixels(self, coefficients: Coefficients) -> int:
        return round(self.base_resolution * coefficients.resolution / DIVISOR) * DIVISOR

    def _blocks(self, blocks: float) -> int:
        rounded = math.ceil(blocks - 1e-9) if self.rounding == "up" else math.floor(blocks + 0.5)
        return max(1, rounded)


def _block(g: Graph, x: Value, name: str, stage: Stage, width: int) -> Value:
    """MBConv: expand, depthwise convolution, gate with a quarter of the block's input channels, project."""
    inner = x.shape[1] * stage.expansion
    y = x if stage.expansion == 1 else normalised(g, x, f"{name}.expand", inner, act="swish")
    y = normalised(g, y, f"{name}.depthwise", inner, stage.kernel, stride=stage.stride, groups=inner, act="swish")
    y = squeeze_excite(g, y, f"{name}.gate", max(1, x.shape[1] // 4), act="swish", gate="sigmoid")
    y = normalised(g, y, f"{name}.project", width)
    return g.add("Add", y, x, name=f"{name}.add") if y.shape == x.shape else y
