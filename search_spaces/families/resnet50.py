"""The elastic ResNet-50 space of Once-for-All (Cai et al., arXiv 1908.09791, code base)."""

from collections.abc import Sequence
from typing import ClassVar

from search_spaces.decision import Decision
from search_spaces.families.depth import reached
from search_spaces.graph import Graph, Value
from search_spaces.layers import conv_norm, global_pool, linear, make_divisible
from search_spaces.settings import check_distinct, check_numbers, check_whole, check_wholes, plain
from search_spaces.space import Pick, SearchSpace

STEM_STRIDE = 4


class ResNet50(SearchSpace):
    """Stages of bottleneck blocks with the stem and shortcuts of ResNet-50-D, elastic in depth, widths and resolution.

    The defaults are the published space: 18 expansion ratios, 4 depths, the switch of the stem's middle block, 6
    width multipliers. Resolutions are those of the MobileNetV3 space, for the code base leaves them open. A
    genotype's columns are `stem_block`, `depth0..`, `expand0..` (counted through the stages at their largest depth,
    active when the stage is deep enough), `width0..` and `resolution`; `width0` is the multiplier of the first two
    stem convolutions, `width1` of the third, `width2..` of the stages.

    With `stem_block`, depths 1, 2, 2, 1, ratios 0.25 and widths 1.0 this is ResNet-50-D: 25.58 M parameters, 0.02 M
    more than plain ResNet-50 because of the stem, and 4.33 G MACs at 224 pixels without the average pooling.

    Args:
        classes: number of classes.
        channels: channels of the input image.
        resolutions: input sizes in pixels, at least the total stride (32 for four stages).
        widths: output channels of each stage at multiplier 1; all but the first stage halve the resolution.
        base_depths: the fewest blocks of each stage.
        depths: blocks that a stage may have in addition.
        expansions: ratio of a block's inner channels to its output channels.
        width_multipliers: of the stem's and the stages' channels.
        stem_width: channels behind the stem at multiplier 1; its first convolutions have half as many.

    Raises:
        ValueError: lists of different lengths, an empty list, sizes that are not positive, a resolution below the
            total stride.
    """

    name: ClassVar[str] = "resnet50"

    def __init__(
        self,
        *,
        classes: int = 1000,
        channels: int = 3,
        resolutions: Sequence[int] = tuple(range(128, 225, 4)),
        widths: Sequence[int] = (256, 512, 1024, 2048),
        base_depths: Sequence[int] = (2, 2, 4, 2),
        depths: Sequence[int] = (0, 1, 2),
        expansions: Sequence[float] = (0.2, 0.25, 0.35),
        width_multipliers: Sequence[float] = (0.65, 0.8, 1.0),
        stem_width: int = 64,
    ) -> None:
        settings = plain(locals())
        check_whole(settings, "classes", "channels", "stem_width")
        check_wholes(settings, "resolutions", "widths")
        check_wholes(settings, "base_depths", length=len(widths))
        check_wholes(settings, "depths", least=0)
        check_numbers(settings, "expansions", "width_multipliers", most=64)
        check_distinct(settings, "resolutions", "depths", "expansions", "width_multipliers")
        stride = STEM_STRIDE * 2 ** (len(widths) - 1)
        if min(resolutions) < stride:
            raise ValueError(f"resolutions must be at least the total stride of {stride} pixels, got {resolutions}")
        self.classes, self.channels = classes, channels
        self.widths, self.stem_width = tuple(widths), stem_width
        self.base_depths, self.deepest = tuple(base_depths), max(depths)
        super().__init__(
            _decisions(self.base_depths, depths, expansions, width_multipliers, resolutions),
            settings,
        )

    def assemble(self, pick: Pick) -> Graph:
        """The chosen network, from `image` (1, channels, r, r) to `logits` (1, classes)."""
        g = Graph(self.name)
        size = pick("resolution")
        x = g.input("image", (1, self.channels, size, size))
        x = self._stem(g, x, pick)
        column = 0
        for stage, (width, base) in enumerate(zip(self.widths, self.base_depths, strict=True)):
            channels = make_divisible(width * pick(f"width{stage + 2}"))
            for layer in range(base + pick(f"depth{stage}")):
                x = self._block(
                    g,
                    x,
                    f"stage{stage}.block{layer}",
                    channels,
                    expansion=pick(f"expand{column + layer}"),
                    stride=2 if layer == 0 and stage > 0 else 1,
                    project=layer == 0,
                )
            column += base + self.deepest
        x = global_pool(g, x, "pool")
        g.output(linear(g, x, "logits", self.classes))
        return g

    def _stem(self, g: Graph, x: Value, pick: Pick) -> Value:
        """Three 3x3 convolutions, the middle one residual and left out by choice, then pooling."""
        inner = make_divisible(make_divisible(self.stem_width * pick("width0")) // 2)
        first = conv_norm(g, x, "stem.first", inner, 3, stride=2, act="relu")
        x = pick.op("stem_block", {False: lambda: first, True: lambda: _residual(g, first)})
        x = conv_norm(g, x, "stem.last", make_divisible(self.stem_width * pick("width1")), 3, act="relu")
        return g.add("MaxPool", x, name="stem.pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)

    @staticmethod
    def _block(g: Graph, x: Value, name: str, channels: int, *, expansion: float, stride: int, project: bool) -> Value:
        """Bottleneck: 1x1, 3x3 with the stride, 1x1; the first shortcut of a stage is pooled and projected."""
        inner = make_divisible(round(channels * expansion))
        y = conv_norm(g, x, f"{name}.reduce", inner, act="relu")
        y = conv_norm(g, y, f"{name}.spatial", inner, 3, stride=stride, act="relu")
        y = conv_norm(g, y, f"{name}.expand", channels)
        if stride > 1:
            x = g.add(
                "AveragePool",
                x,
                name=f"{name}.shortcut.pool",
                kernel_shape=[stride, stride],
                strides=[stride, stride],
                ceil_mode=1,
            )
        if project:
            x = conv_norm(g, x, f"{name}.shortcut", channels)
        return g.add("Relu", g.add("Add", y, x, name=f"{name}.add"), name=f"{name}.act")


def _residual(g: Graph, x: Value) -> Value:
    return g.add("Add", conv_norm(g, x, "stem.middle", x.shape[1], 3, act="relu"), x, name="stem.add")


def _decisions(
    base_depths: Sequence[int],
    depths: Sequence[int],
    expansions: Sequence[float],
    multipliers: Sequence[float],
    sizes: Sequence[int],
) -> tuple[Decision, ...]:
    blocks = [
        reached(f"depth{stage}", depths, layer - base)
        for stage, base in enumerate(base_depths)
        for layer in range(base + max(depths))
    ]
    stages = range(len(base_depths))
    return (
        Decision("stem_block", (False, True)),
        *[Decision(f"depth{stage}", tuple(depths)) for stage in stages],
        *[Decision(f"expand{column}", tuple(expansions), conditions) for column, conditions in enumerate(blocks)],
        *[Decision(f"width{group}", tuple(multipliers)) for group in range(len(base_depths) + 2)],
        Decision("resolution", tuple(sizes)),
    )
