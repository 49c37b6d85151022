"""Decoder-only language models with a choice of attention in every layer (after HAT, arXiv 2005.14187)."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from search_spaces.decision import Decision
from search_spaces.families.attention import (
    join_heads,
    linear_attention,
    rotate,
    softmax_attention,
    split_heads,
    window_attention,
)
from search_spaces.families.depth import reached
from search_spaces.graph import Graph, Value
from search_spaces.layers import activation, layer_norm, linear
from search_spaces.settings import (
    check_distinct,
    check_flags,
    check_head_dim,
    check_known,
    check_numbers,
    check_whole,
    check_wholes,
    plain,
)
from search_spaces.space import Pick, SearchSpace

KINDS = ("softmax", "linear", "window")
POSITIONS = ("learned", "rotary")


class TransformerLM(SearchSpace):
    """Pre-norm transformer layers over tokens, elastic in depth, width, heads, feed-forward width and attention.

    A genotype's columns are `depth`, `width` and, for each layer up to the largest depth, `attention0..`,
    `heads0..`, `feed_forward0..`, active when the network is deep enough. The kinds of attention share their
    projections: `softmax` over the whole past, `window` over the last `window` positions, `linear` in the length
    (`attention` tells what each computes and costs). The metric is the validation loss, the mean
    cross entropy of the next token in nats.

    Args:
        vocabulary: number of different tokens.
        length: positions of the input, T.
        depths: numbers of layers.
        widths: features of a position.
        heads: attention heads of a layer.
        feed_forwards: ratio of a layer's inner features to its width.
        attentions: kinds that a layer may have, of `KINDS`.
        head_dim: features of a head, so that attention is `heads` * `head_dim` wide whatever the width
            (AutoFormer's way); None divides the width among the heads.
        window: positions that `window` attention sees; must divide `length`.
        chunk: positions that `linear` attention handles at once, which changes cost and not result; must divide
            `length`.
        positions: `learned` adds a table to the input, `rotary` turns queries and keys (before the features of
            `linear`).
        tied: whether the output layer's weights are the embedding's.

    Raises:
        ValueError: an empty list, sizes that are not positive, an unknown word, heads that do not divide a width,
            a window or chunk that does not divide the length, an odd head for `rotary`.
    """

    name: ClassVar[str] = "transformer_lm"

    def __init__(
        self,
        *,
        vocabulary: int = 65,
        length: int = 128,
        depths: Sequence[int] = (2, 4, 6),
        widths: Sequence[int] = (96, 128, 192),
        heads: Sequence[int] = (2, 4, 6),
        feed_forwards: Sequence[float] = (2, 3, 4),
        attentions: Sequence[str] = KINDS,
        head_dim: int | None = 32,
        window: int = 32,
        chunk: int = 32,
        positions: str = "learned",
        tied: bool = True,
    ) -> None:
        settings = plain(locals())
        check_whole(settings, "vocabulary", "length", "window", "chunk")
        check_wholes(settings, "depths", "widths", "heads")
        check_numbers(settings, "feed_forwards", most=64)
        check_known("attentions", settings["attentions"], KINDS)
        check_known("positions", positions, POSITIONS)
        check_flags(settings, "tied")
        check_distinct(settings, "depths", "widths", "heads", "feed_forwards", "attentions")
        features = check_head_dim(settings)
        if positions == "rotary" and any(each % 2 for each in features):
            raise ValueError(f"positions 'rotary' needs an even number of features a head, got {sorted(features)}")
        for kind, key in (("window", "window"), ("linear", "chunk")):
            if kind in attentions and length % settings[key]:
                raise ValueError(f"{key} {settings[key]} must divide the length of {length} positions")
        self.vocabulary, self.length, self.positions, self.tied = vocabulary, length, positions, tied
        self.attentions, self.head_dim, self.window, self.chunk = tuple(attentions), head_dim, window, chunk
        super().__init__(_decisions(depths, widths, attentions, heads, feed_forwards), settings)

    def assemble(self, pick: Pick) -> Graph:
        """The chosen network, from `tokens` (1, T) int64 to `logits` (1, T, vocabulary)."""
        g = Graph(self.name)
        tokens = g.input("tokens", (1, self.length), "int64")
        width = pick("width")
        table = g.parameter("embedding.weight", (self.vocabulary, width))
        x = g.add("Gather", table, tokens, name="embedding", axis=0)
        if self.positions == "learned":
            x = g.add("Add", x, g.parameter("position.weight", (1, self.length, width)), name="position")
        for layer in range(pick("depth")):
            x = self._attention(g, x, f"layer{layer}.attention", pick, layer)
            y = layer_norm(g, x, f"layer{layer}.feed_forward.norm")
            y = linear(g, y, f"layer{layer}.feed_forward.inner", round(width * pick(f"feed_forward{layer}")))
            y = activation(g, y, f"layer{layer}.feed_forward.act", "gelu")
            y = linear(g, y, f"layer{layer}.feed_forward.outer", width)
            x = g.add("Add", x, y, name=f"layer{layer}.feed_forward")
        x = layer_norm(g, x, "norm")
        g.output(self._logits(g, x, table))
        return g

    def _attention(self, g: Graph, x: Value, name: str, pick: Pick, layer: int) -> Value:
        """X + attention(norm(x)); the projections are the same for every kind."""
        width, heads = x.shape[-1], pick(f"heads{layer}")
        inner = width if self.head_dim is None else heads * self.head_dim
        y = layer_norm(g, x, f"{name}.norm")
        q, k, v = (split_heads(g, linear(g, y, f"{name}.{key}", inner), f"{name}.{key}.heads", heads) for key in "qkv")
        if self.positions == "rotary":
            q, k = rotate(g, q, f"{name}.q.rotary"), rotate(g, k, f"{name}.k.rotary")
        candidates = {
            "softmax": lambda: softmax_attention(g, q, k, v, f"{name}.softmax", causal=True),
            "linear": lambda: linear_attention(g, q, k, v, f"{name}.linear", self.chunk),
            "window": lambda: window_attention(g, q, k, v, f"{name}.window", self.window),
        }
        y = pick.op(f"attention{layer}", {kind: candidates[kind] for kind in self.attentions})
        y = linear(g, join_heads(g, y, f"{name}.joined"), f"{name}.output", width)
        return g.add("Add", x, y, name=name)

    def _logits(self, g: Graph, x: Value, table: Value) -> Value:
        """(1, T, width) -> (1, T, vocabulary)."""
        if not self.tied:
            return linear(g, x, "logits", self.vocabulary, bias=False)
        rows = g.add("Reshape", x, g.constant("logits.rows", np.array([-1, x.shape[2]], np.int64)), name="logits.flat")
        y = g.add("Gemm", rows, table, name="logits.product", transB=1)
        shape = g.constant("logits.shape", np.array([-1, self.length, self.vocabulary], np.int64))
        return g.add("Reshape", y, shape, name="logits")


def _decisions(
    depths: Sequence[int],
    widths: Sequence[int],
    attentions: Sequence[str],
    heads: Sequence[int],
    feed_forwards: Sequence[float],
) -> tuple[Decision, ...]:
    layers = [(layer, reached("depth", depths, layer)) for layer in range(max(depths))]
    return (
        Decision("depth", tuple(depths)),
        Decision("width", tuple(widths)),
        *[Decision(f"attention{layer}", tuple(attentions), when) for layer, when in layers],
        *[Decision(f"heads{layer}", tuple(heads), when) for layer, when in layers],
        *[Decision(f"feed_forward{layer}", tuple(feed_forwards), when) for layer, when in layers],
    )
