"""Ways of mixing positions: attention over all of them, over a window of the past, or linear in their number.

Queries, keys and values are (1, H, T, D): H heads, T positions, D features a head. Scores of a masked position get
`MASKED` added, which the softmax turns into exactly 0.
"""

import math

import numpy as np
from numpy.typing import NDArray

from search_spaces.graph import Graph, Value

MASKED = np.float32(-1e9)


def split_heads(g: Graph, x: Value, name: str, heads: int) -> Value:
    """(1, T, H * D) -> (1, H, T, D)."""
    _, positions, features = x.shape
    x = _reshape(g, x, f"{name}.split", (positions, heads, features // heads))
    return g.add("Transpose", x, name=name, perm=[0, 2, 1, 3])


def join_heads(g: Graph, x: Value, name: str) -> Value:
    """(1, H, T, D) -> (1, T, H * D)."""
    _, heads, positions, features = x.shape
    x = g.add("Transpose", x, name=f"{name}.transpose", perm=[0, 2, 1, 3])
    return _reshape(g, x, name, (positions, heads * features))


def softmax_attention(g: Graph, q: Value, k: Value, v: Value, name: str, *, causal: bool = False) -> Value:
    """Scaled dot-product attention (Vaswani et al., arXiv 1706.03762).

    All 2 T^2 D multiply-adds a head are made; `causal` masks the future and saves none of them.
    """
    positions = q.shape[2]
    scores = _scores(g, q, k, name)
    if causal:
        future = np.triu(np.full((positions, positions), MASKED), 1)
        scores = g.add("Add", scores, _shared(g, f"mask.causal{positions}", future), name=f"{name}.masked")
    weights = g.add("Softmax", scores, name=f"{name}.weights", axis=-1)
    return g.add("MatMul", weights, v, name=name)


def window_attention(g: Graph, q: Value, k: Value, v: Value, name: str, window: int) -> Value:
    """Causal attention of every position to itself and the `window` - 1 before it (Beltagy et al., arXiv 2004.05150).

    Blocks of `window` queries meet the keys of their own block and the one before, so that 4 T `window` D
    multiply-adds a head are made, half of them masked.

    Raises:
        ValueError: `window` does not divide the number of positions.
    """
    positions = q.shape[2]
    blocks = _parts(positions, window, "window")
    q, k, v = (_blocks(g, x, f"{name}.{letter}", blocks) for letter, x in zip("qkv", (q, k, v), strict=True))
    k, v = _with_block_before(g, k, f"{name}.k"), _with_block_before(g, v, f"{name}.v")
    query = np.arange(positions).reshape(blocks, window, 1)
    key = query[:, :1] - window + np.arange(2 * window)  # (blocks, 1, 2 * window)
    seen = (key >= 0) & (key <= query) & (key > query - window)
    mask = _shared(g, f"mask.window{window}.{positions}", np.where(seen, np.float32(0), MASKED))
    scores = g.add("Add", _scores(g, q, k, name), mask, name=f"{name}.masked")
    weights = g.add("Softmax", scores, name=f"{name}.weights", axis=-1)
    y = g.add("MatMul", weights, v, name=f"{name}.product")  # (1, H, blocks, window, D)
    return _reshape(g, y, name, (y.shape[1], positions, y.shape[4]))


def linear_attention(g: Graph, q: Value, k: Value, v: Value, name: str, chunk: int) -> Value:
    """Causal linear attention with features elu(x) + 1 (Katharopoulos et al., arXiv 2006.16236), chunk by chunk.

    Within a chunk masked products of features, before it a running sum of k^T v: T `chunk` (2 D + 1) and
    2 T D (D + 1) multiply-adds a head, whatever the number of positions. The denominator is one more column of v.

    Raises:
        ValueError: `chunk` does not divide the number of positions.
    """
    positions, features = q.shape[2:]
    blocks = _parts(positions, chunk, "chunk")
    q, k = _positive(g, q, f"{name}.q"), _positive(g, k, f"{name}.k")
    ends = _shared(g, "linear.ends", np.array([0, 0, 0, 0, 0, 0, 0, 1], np.int64))
    v = g.add("Pad", v, ends, _shared(g, "linear.one", np.array(1, np.float32)), name=f"{name}.v.one")
    q, k, v = (_blocks(g, x, f"{name}.{letter}", blocks) for letter, x in zip("qkv", (q, k, v), strict=True))
    turned = g.add("Transpose", k, name=f"{name}.k.turned", perm=[0, 1, 2, 4, 3])
    near = g.add("MatMul", q, turned, name=f"{name}.near.scores")
    past = _shared(g, f"mask.past{chunk}", np.tril(np.ones((chunk, chunk), np.float32)))
    near = g.add("Mul", near, past, name=f"{name}.near.masked")
    total = g.add("MatMul", near, v, name=f"{name}.near")  # (1, H, blocks, chunk, D + 1)
    if blocks > 1:
        state = g.add("MatMul", turned, v, name=f"{name}.state.own")  # (1, H, blocks, D, D + 1)
        axis = _shared(g, "linear.axis", np.array(2, np.int64))
        state = g.add("CumSum", state, axis, name=f"{name}.state", exclusive=1)
        total = g.add("Add", total, g.add("MatMul", q, state, name=f"{name}.far"), name=f"{name}.total")
    sizes = _shared(g, f"linear.sizes{features}", np.array([features, 1], np.int64))
    parts = (f"{name}.numerator", f"{name}.denominator")
    above, below = g.add_split("Split", total, sizes, name=f"{name}.parts", names=parts, axis=4)
    below = g.add("Add", below, _shared(g, "linear.epsilon", np.array(1e-6, np.float32)), name=f"{name}.safe")
    return _reshape(g, g.add("Div", above, below, name=f"{name}.mean"), name, (q.shape[1], positions, features))


def rotate(g: Graph, x: Value, name: str, base: float = 10_000.0) -> Value:
    """Rotary position embedding (Su et al., arXiv 2104.09864) of (1, H, T, D), D even, halves rotated together."""
    positions, features = x.shape[2:]
    half = features // 2
    angles = np.arange(positions)[:, None] * base ** (-np.arange(half) / half)
    cosine, sine = np.cos(angles), np.sin(angles)
    key = f"rotary{features}"
    cosines = _shared(g, f"{key}.cos", np.concatenate([cosine, cosine], 1).astype(np.float32))
    sines = _shared(g, f"{key}.sin", np.concatenate([-sine, sine], 1).astype(np.float32))
    sizes = _shared(g, f"{key}.sizes", np.array([half, half], np.int64))
    parts = g.add_split("Split", x, sizes, name=f"{name}.halves", names=(f"{name}.first", f"{name}.second"), axis=3)
    swapped = g.add("Concat", parts[1], parts[0], name=f"{name}.swapped", axis=3)
    turned = g.add("Mul", swapped, sines, name=f"{name}.turned")
    return g.add("Add", g.add("Mul", x, cosines, name=f"{name}.kept"), turned, name=name)


def _scores(g: Graph, q: Value, k: Value, name: str) -> Value:
    """Q k^T / sqrt(D) over the last two axes."""
    scale = _shared(g, f"scale{q.shape[-1]}", np.array(1 / math.sqrt(q.shape[-1]), np.float32))
    rank = len(k.shape)
    k = g.add("Transpose", k, name=f"{name}.k.turned", perm=[*range(rank - 2), rank - 1, rank - 2])
    return g.add("MatMul", g.add("Mul", q, scale, name=f"{name}.q.scaled"), k, name=f"{name}.scores")


def _positive(g: Graph, x: Value, name: str) -> Value:
    one = _shared(g, "linear.one", np.array(1, np.float32))
    return g.add("Add", g.add("Elu", x, name=f"{name}.elu", alpha=1.0), one, name=f"{name}.positive")


def _blocks(g: Graph, x: Value, name: str, blocks: int) -> Value:
    """(1, H, T, D) -> (1, H, blocks, T / blocks, D)."""
    _, heads, positions, features = x.shape
    return _reshape(g, x, f"{name}.blocks", (heads, blocks, positions // blocks, features))


def _with_block_before(g: Graph, x: Value, name: str) -> Value:
    """(1, H, blocks, W, D) -> (1, H, blocks, 2 W, D): each block behind the one before it, zeros before the first."""
    shift = _shared(g, "shift", np.array([0, 0, 1, 0, 0, 0, 0, -1, 0, 0], np.int64))
    return g.add("Concat", g.add("Pad", x, shift, name=f"{name}.before"), x, name=f"{name}.both", axis=3)


def _reshape(g: Graph, x: Value, name: str, sizes: tuple[int, ...]) -> Value:
    """To (batch, *sizes)."""
    target = _shared(g, f"to.{'x'.join(map(str, sizes))}", np.array([0, *sizes], np.int64))
    return g.add("Reshape", x, target, name=name)


def _shared(g: Graph, name: str, data: NDArray[np.generic]) -> Value:
    """A constant that the whole graph has once; its name says what it holds."""
    name = f"attention.{name}"
    return g.constants[name] if name in g.constants else g.constant(name, data)


def _parts(positions: int, size: int, what: str) -> int:
    if positions % size:
        raise ValueError(f"{what} {size} does not divide the {positions} positions")
    return positions // size
