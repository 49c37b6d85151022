"""The elastic MobileNetV3 space of Once-for-All (Cai et al., arXiv 1908.09791; Howard et al., arXiv 1905.02244)."""

from collections.abc import Sequence
from typing import Any, ClassVar

from search_spaces.decision import Condition, Decision
from search_spaces.families.depth import reached
from search_spaces.graph import Graph, Value
from search_spaces.layers import (
    ACTIVATIONS,
    activation,
    conv_norm,
    global_pool,
    linear,
    make_divisible,
    squeeze_excite,
)
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


class MobileNetV3(SearchSpace):
    """Stages of inverted residual blocks, elastic in depth, expansion, kernel and resolution.

    The defaults are the published space for ImageNet at width 1.0; a small space for 8x8 or 32x32 images is
    another setting of the same class. A genotype's columns are `kernel0..`, `expand0..`, `depth0..`,
    `resolution`; block i of stage s, counted through the stages at their largest depth, is column
    `s * max(depths) + i` of its kind, and is active when the stage is deep enough.

    Args:
        classes: number of classes.
        channels: channels of the input image.
        resolutions: input sizes in pixels.
        widths: output channels of each stage.
        strides: stride of the first block of each stage.
        activations: of each stage, `relu` or `h_swish` or another of `search_spaces.layers.ACTIVATIONS`.
        squeeze_excite: for each stage, whether its blocks have the channel gate.
        depths: blocks a stage may have.
        expansions: ratio of a block's inner channels to its input channels.
        kernels: sizes of the depthwise convolution, odd.
        stem_width: channels of the first convolution and of the fixed block behind it.
        stem_stride: stride of the first convolution.
        final_width: channels of the 1x1 convolution before pooling.
        feature_width: features before the classifier.
        width_multiplier: scales every width.

    Raises:
        ValueError: lists of different lengths, an empty list, sizes that are not positive, even kernels, an
            unknown activation.
    """

    name: ClassVar[str] = "mobilenet_v3"

    def __init__(
        self,
        *,
        classes: int = 1000,
        channels: int = 3,
        resolutions: Sequence[int] = tuple(range(128, 225, 4)),
        widths: Sequence[int] = (24, 40, 80, 112, 160),
        strides: Sequence[int] = (2, 2, 2, 1, 2),
        activations: Sequence[str] = ("relu", "relu", "h_swish", "h_swish", "h_swish"),
        squeeze_excite: Sequence[bool] = (False, True, False, True, True),
        depths: Sequence[int] = (2, 3, 4),
        expansions: Sequence[float] = (3, 4, 6),
        kernels: Sequence[int] = (3, 5, 7),
        stem_width: int = 16,
        stem_stride: int = 2,
        final_width: int = 960,
        feature_width: int = 1280,
        width_multiplier: float = 1.0,
    ) -> None:
        settings = plain(locals())
        _check(settings)
        self.classes, self.channels = classes, channels
        self.strides, self.activations, self.squeeze_excite = (
            tuple(strides),
            tuple(activations),
            tuple(squeeze_excite),
        )
        self.widths = tuple(make_divisible(width * width_multiplier) for width in widths)
        self.stem_width, self.stem_stride = make_divisible(stem_width * width_multiplier), stem_stride
        self.final_width = make_divisible(final_width * width_multiplier)
        self.feature_width = make_divisible(feature_width * width_multiplier)
        self.deepest = max(depths)
        super().__init__(_decisions(len(widths), depths, expansions, kernels, resolutions), settings)

    def assemble(self, pick: Pick) -> Graph:
        """The chosen network, from `image` (1, channels, r, r) to `logits` (1, classes)."""
        g = Graph(self.name)
        size = pick("resolution")
        x = g.input("image", (1, self.channels, size, size))
        x = conv_norm(g, x, "stem", self.stem_width, 3, stride=self.stem_stride, act="h_swish")
        x = self._block(g, x, "first", self.stem_width, stride=1, act="relu", gate=False, kernel=3, expansion=1)
        for stage, width in enumerate(self.widths):
            for layer in range(pick(f"depth{stage}")):
                column = stage * self.deepest + layer
                x = self._block(
                    g,
                    x,
                    f"stage{stage}.block{layer}",
                    width,
                    stride=self.strides[stage] if layer == 0 else 1,
                    act=self.activations[stage],
                    gate=self.squeeze_excite[stage],
                    kernel=pick(f"kernel{column}"),
                    expansion=pick(f"expand{column}"),
                )
        x = conv_norm(g, x, "final", self.final_width, act="h_swish")
        x = global_pool(g, x, "pool")
        x = linear(g, x, "feature", self.feature_width, bias=False)
        x = activation(g, x, "feature.act", "h_swish")
        g.output(linear(g, x, "logits", self.classes))
        return g

    @staticmethod
    def _block(
        g: Graph,
        x: Value,
        name: str,
        width: int,
        *,
        stride: int,
        act: str,
        gate: bool,
        kernel: int,
        expansion: float,
    ) -> Value:
        """Inverted residual: expand, depthwise convolution, optional gate, project; a shortcut where shapes agree."""
        inner = make_divisible(round(x.shape[1] * expansion))
        y = x if expansion == 1 else conv_norm(g, x, f"{name}.expand", inner, act=act)
        y = conv_norm(g, y, f"{name}.depthwise", inner, kernel, stride=stride, groups=inner, act=act)
        if gate:
            y = squeeze_excite(g, y, f"{name}.gate", make_divisible(inner // 4))
        y = conv_norm(g, y, f"{name}.project", width)
        if y.shape == x.shape:
            y = g.add("Add", y, x, name=f"{name}.add")
        return y


def _decisions(
    stages: int,
    depths: Sequence[int],
    expansions: Sequence[float],
    kernels: Sequence[int],
    sizes: Sequence[int],
) -> tuple[Decision, ...]:
    deepest = max(depths)

    def when(column: int) -> tuple[Condition, ...]:
        stage, layer = divmod(column, deepest)
        return reached(f"depth{stage}", depths, layer)

    blocks = range(stages * deepest)
    return (
        *[Decision(f"kernel{i}", tuple(kernels), when(i)) for i in blocks],
        *[Decision(f"expand{i}", tuple(expansions), when(i)) for i in blocks],
        *[Decision(f"depth{stage}", tuple(depths)) for stage in range(stages)],
        Decision("resolution", tuple(sizes)),
    )


def _check(settings: dict[str, Any]) -> None:
    """Refuse settings that describe no network, naming the setting, what was given and what is allowed."""
    check_wholes(settings, "widths", "resolutions", "depths", "kernels")
    stages = len(settings["widths"])
    check_wholes(settings, "strides", length=stages)
    check_whole(settings, "classes", "channels", "stem_width", "stem_stride", "final_width", "feature_width")
    check_numbers(settings, "expansions", most=64)
    check_numbers({"width_multiplier": [settings["width_multiplier"]]}, "width_multiplier", most=64)
    check_known("activations", settings["activations"], ACTIVATIONS)
    check_distinct(settings, "resolutions", "depths", "expansions", "kernels")
    for key in ("activations", "squeeze_excite"):
        if not isinstance(settings[key], list) or len(settings[key]) != stages:
            raise ValueError(f"{key} must have one entry for each of the {stages} widths, got {settings[key]}")
    for flag in settings["squeeze_excite"]:
        check_flags({"squeeze_excite": flag}, "squeeze_excite")
    if any(kernel % 2 == 0 for kernel in settings["kernels"]):
        raise ValueError(f"kernels must be odd, so that padding is symmetric, got {settings['kernels']}")
