"""Elastic vision transformers (AutoFormer, arXiv 2107.00651; DeiT, arXiv 2012.12877), with a choice of stem."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from search_spaces.decision import Decision
from search_spaces.families.attention import join_heads, softmax_attention, split_heads
from search_spaces.families.depth import reached
from search_spaces.graph import Graph, Value
from search_spaces.layers import activation, conv, conv_norm, layer_norm, linear, make_divisible
from search_spaces.settings import (
    check_distinct,
    check_head_dim,
    check_known,
    check_numbers,
    check_whole,
    check_wholes,
    plain,
)
from search_spaces.space import Pick, SearchSpace

STEMS = ("patch", "convolutions")
POOLINGS = ("token", "mean")

AUTOFORMER: dict[str, dict[str, Any]] = {
    "tiny": {"depths": (12, 13, 14), "widths": (192, 216, 240), "heads": (3, 4), "mlp_ratios": (3.5, 4)},
    "small": {"depths": (12, 13, 14), "widths": (320, 384, 448), "heads": (5, 6, 7), "mlp_ratios": (3, 3.5, 4)},
    "base": {"depths": (14, 15, 16), "widths": (528, 576, 624), "heads": (8, 9, 10), "mlp_ratios": (3, 3.5, 4)},
}
"""The settings of the published spaces."""


class VisionTransformer(SearchSpace):
    """Pre-norm transformer layers over patches, elastic in depth, width, heads, MLP ratio, stem and resolution.

    The defaults are AutoFormer's tiny space with a choice of stem; `AUTOFORMER` has the settings of the others. A
    genotype's columns are `stem`, `depth`, `width` and, for each layer up to the largest depth, `heads0..` and
    `mlp_ratio0..`, active when the network is deep enough, then `resolution`.

    Other than published: no relative position bias on keys and values (7,680 parameters a layer of AutoFormer), and
    the class token has no position of its own, which its learned value makes up for (DeiT counts `width` more).

    Args:
        classes: number of classes.
        channels: channels of the input image.
        resolutions: input sizes in pixels, multiples of `patch`. The table of positions is that of the largest;
            smaller inputs use its centre.
        patch: pixels by which the image is divided on its way to positions.
        stems: ways to make positions, of `STEMS`: `patch` is one convolution as large as its stride,
            `convolutions` a stack of 3x3 ones that halve the size and double the channels and a 1x1 one (arXiv
            2106.14881, as EfficientFormer, EfficientViT and LowFormer begin); it needs `patch` to be a power of 2.
        depths: numbers of layers.
        widths: features of a position.
        heads: attention heads of a layer.
        mlp_ratios: ratio of a layer's inner features to its width.
        head_dim: features of a head, so that attention is `heads` * `head_dim` wide whatever the width
            (AutoFormer's way); None divides the width among the heads.
        pooling: what is classified, a class `token` or the `mean` of all positions (there is no token then).

    Raises:
        ValueError: an empty list, sizes that are not positive, an unknown word, a resolution that the patch does
            not divide, heads that do not divide a width.
    """

    name: ClassVar[str] = "vision_transformer"

    def __init__(
        self,
        *,
        classes: int = 1000,
        channels: int = 3,
        resolutions: Sequence[int] = (224,),
        patch: int = 16,
        stems: Sequence[str] = STEMS,
        depths: Sequence[int] = (12, 13, 14),
        widths: Sequence[int] = (192, 216, 240),
        heads: Sequence[int] = (3, 4),
        mlp_ratios: Sequence[float] = (3.5, 4),
        head_dim: int | None = 64,
        pooling: str = "token",
    ) -> None:
        settings = plain(locals())
        check_whole(settings, "classes", "channels", "patch")
        check_wholes(settings, "resolutions", "depths", "widths", "heads")
        check_numbers(settings, "mlp_ratios", most=64)
        check_known("stems", settings["stems"], STEMS)
        check_known("pooling", pooling, POOLINGS)
        check_distinct(settings, "resolutions", "stems", "depths", "widths", "heads", "mlp_ratios")
        check_head_dim(settings)
        if any(size % patch for size in resolutions):
            raise ValueError(f"resolutions must be multiples of the patch of {patch} pixels, got {list(resolutions)}")
        if "convolutions" in stems and patch.bit_count() != 1:
            raise ValueError(f"patch must be a power of 2 for the stem 'convolutions', got {patch}")
        self.classes, self.channels, self.patch, self.stems = classes, channels, patch, tuple(stems)
        self.head_dim, self.pooling = head_dim, pooling
        super().__init__(_decisions(stems, depths, widths, heads, mlp_ratios, resolutions), settings)

    def assemble(self, pick: Pick) -> Graph:
        """The chosen network, from `image` (1, channels, r, r) to `logits` (1, classes)."""
        g = Graph(self.name)
        size, width = pick("resolution"), pick("width")
        image = g.input("image", (1, self.channels, size, size))
        stems = {"patch": lambda: self._patches(g, image, width), "convolutions": lambda: self._stack(g, image, width)}
        x = pick.op("stem", {stem: stems[stem] for stem in self.stems})
        x = self._positions(g, x)
        for layer in range(pick("depth")):
            x = self._attention(g, x, f"layer{layer}.attention", pick(f"heads{layer}"))
            y = layer_norm(g, x, f"layer{layer}.mlp.norm")
            y = linear(g, y, f"layer{layer}.mlp.inner", int(width * pick(f"mlp_ratio{layer}")))
            y = linear(g, activation(g, y, f"layer{layer}.mlp.act", "gelu"), f"layer{layer}.mlp.outer", width)
            x = g.add("Add", x, y, name=f"layer{layer}.mlp")
        if self.pooling == "token":
            x = g.add("Gather", x, g.constant("token.place", np.array(0, np.int64)), name="token", axis=1)
        x = layer_norm(g, x, "norm")
        if self.pooling == "mean":
            x = g.add("ReduceMean", x, g.constant("mean.axes", np.array([1], np.int64)), name="mean", keepdims=0)
        g.output(linear(g, x, "logits", self.classes))
        return g

    def _patches(self, g: Graph, image: Value, width: int) -> Value:
        weight = g.parameter("stem.patch.weight", (width, self.channels, self.patch, self.patch))
        bias = g.parameter("stem.patch.bias", (width,), "bias")
        sides = [self.patch, self.patch]
        return g.add("Conv", image, weight, bias, name="stem.patch", kernel_shape=sides, strides=sides)

    def _stack(self, g: Graph, image: Value, width: int) -> Value:
        steps = self.patch.bit_length() - 1
        x = image
        for step in range(steps):
            channels = make_divisible(width / 2 ** (steps - 1 - step))
            x = conv_norm(g, x, f"stem.convolution{step}", channels, 3, stride=2, act="relu")
        return conv(g, x, "stem.project", width, bias=True)

    def _positions(self, g: Graph, x: Value) -> Value:
        """(1, width, h, w) -> (1, T, width): positions added, the class token put in front."""
        width, *grid = x.shape[1:]
        x = g.add("Add", x, g.parameter("position.weight", (1, width, *grid)), name="position")
        flat = g.constant("positions.shape", np.array([0, width, -1], np.int64))
        x = g.add("Reshape", x, flat, name="positions.flat")
        x = g.add("Transpose", x, name="positions", perm=[0, 2, 1])
        if self.pooling == "mean":
            return x
        token = g.parameter("token.weight", (1, 1, width))
        front = g.constant("token.front", np.array([0, 1, 0, 0, 0, 0], np.int64))
        behind = g.constant("token.behind", np.array([0, 0, 0, 0, x.shape[1], 0], np.int64))
        padded = g.add("Pad", x, front, name="positions.padded")
        return g.add("Add", padded, g.add("Pad", token, behind, name="token.padded"), name="positions.with_token")

    def _attention(self, g: Graph, x: Value, name: str, heads: int) -> Value:
        """X + attention(norm(x))."""
        inner = x.shape[-1] if self.head_dim is None else heads * self.head_dim
        y = layer_norm(g, x, f"{name}.norm")
        q, k, v = (split_heads(g, linear(g, y, f"{name}.{key}", inner), f"{name}.{key}.heads", heads) for key in "qkv")
        y = join_heads(g, softmax_attention(g, q, k, v, f"{name}.softmax"), f"{name}.joined")
        return g.add("Add", x, linear(g, y, f"{name}.output", x.shape[-1]), name=name)


def _decisions(
    stems: Sequence[str],
    depths: Sequence[int],
    widths: Sequence[int],
    heads: Sequence[int],
    mlp_ratios: Sequence[float],
    sizes: Sequence[int],
) -> tuple[Decision, ...]:
    layers = [(layer, reached("depth", depths, layer)) for layer in range(max(depths))]
    return (
        Decision("stem", tuple(stems)),
        Decision("depth", tuple(depths)),
        Decision("width", tuple(widths)),
        *[Decision(f"heads{layer}", tuple(heads), when) for layer, when in layers],
        *[Decision(f"mlp_ratio{layer}", tuple(mlp_ratios), when) for layer, when in layers],
        Decision("resolution", tuple(sizes)),
    )
