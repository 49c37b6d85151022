"""Attention as graphs, against PyTorch's own attention and the papers' formulas, and what it costs."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn.functional import elu, scaled_dot_product_attention

from search_spaces.costs.static import costs
from search_spaces.families.attention import (
    join_heads,
    linear_attention,
    rotate,
    softmax_attention,
    split_heads,
    window_attention,
)
from search_spaces.graph import Graph, Value
from search_spaces.interpreter.torch_graph import TorchGraph

HEADS, LENGTH, FEATURES = 2, 12, 6
Build = Callable[[Graph, Value, Value, Value], Value]


def graph_of(build: Build, length: int = LENGTH) -> Graph:
    """A graph of inputs q, k and v, (1, H, T, D) each."""
    g = Graph("attention")
    g.output(build(g, *[g.input(name, (1, HEADS, length, FEATURES)) for name in "qkv"]))
    return g


def tensors(batch: int = 2) -> list[torch.Tensor]:
    """Random q, k and v."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, HEADS, LENGTH, FEATURES, generator=generator) for _ in "qkv"]


def run(build: Build) -> torch.Tensor:
    """What the graph makes of `tensors`."""
    return TorchGraph(graph_of(build)).run({}, tensors())[0]


@pytest.mark.parametrize("causal", [False, True])
def test_softmax_is_torchs(causal: bool) -> None:
    """Scaled dot products over everything or over the past."""
    found = run(lambda g, q, k, v: softmax_attention(g, q, k, v, "a", causal=causal))
    torch.testing.assert_close(found, scaled_dot_product_attention(*tensors(), is_causal=causal))


@pytest.mark.parametrize("window", [1, 3, 4, 6, 12])
def test_window_is_masked_attention(window: int) -> None:
    """Blocks see what a full score matrix with a band would see."""
    found = run(lambda g, q, k, v: window_attention(g, q, k, v, "a", window))
    distance = torch.arange(LENGTH)[:, None] - torch.arange(LENGTH)
    band = (distance >= 0) & (distance < window)
    torch.testing.assert_close(found, scaled_dot_product_attention(*tensors(), attn_mask=band))


@pytest.mark.parametrize("chunk", [1, 3, 4, 12])
def test_linear_is_the_papers_formula(chunk: int) -> None:
    """Whatever the chunk, every position gets the mean of the past weighted by products of features."""
    found = run(lambda g, q, k, v: linear_attention(g, q, k, v, "a", chunk))
    q, k, v = tensors()
    weights = ((elu(q) + 1) @ (elu(k) + 1).mT).tril()
    torch.testing.assert_close(found, weights @ v / weights.sum(-1, keepdim=True), atol=1e-5, rtol=1e-5)


def test_rotation_is_complex_multiplication() -> None:
    """Features i and i + D / 2 are a complex number that is turned by the position times its frequency."""
    found = run(lambda g, q, k, v: rotate(g, q, "r"))
    q = tensors()[0]
    half = FEATURES // 2
    frequencies = 10_000.0 ** (-torch.arange(half) / half)
    angles = torch.arange(LENGTH)[:, None] * frequencies
    turned = torch.complex(q[..., :half], q[..., half:]) * torch.polar(torch.ones_like(angles), angles)
    torch.testing.assert_close(found, torch.cat([turned.real, turned.imag], -1), atol=1e-5, rtol=1e-5)


def test_heads_are_leading_slices() -> None:
    """Joining undoes splitting, and head h is the h-th run of features, as weight sharing by slices needs it."""
    g = Graph("heads")
    x = g.input("x", (1, LENGTH, HEADS * FEATURES))
    heads = split_heads(g, x, "heads", HEADS)
    g.output(heads)
    g.output(join_heads(g, heads, "joined"))
    given = torch.randn(2, LENGTH, HEADS * FEATURES, generator=torch.Generator().manual_seed(0))
    split, joined = TorchGraph(g).run({}, [given])
    torch.testing.assert_close(joined, given)
    torch.testing.assert_close(split[:, 1], given[..., FEATURES:])


def test_costs_are_those_of_the_docstrings() -> None:
    """Softmax is quadratic in the length, the window and linear attention are not."""
    for length in (LENGTH, 2 * LENGTH):
        builds: dict[str, Build] = {
            "softmax": lambda g, q, k, v: softmax_attention(g, q, k, v, "a", causal=True),
            "window": lambda g, q, k, v: window_attention(g, q, k, v, "a", 3),
            "linear": lambda g, q, k, v: linear_attention(g, q, k, v, "a", 4),
        }
        found = {kind: costs(graph_of(build, length))["macs"] / HEADS for kind, build in builds.items()}
        assert found == {
            "softmax": 2 * length**2 * FEATURES,
            "window": 4 * length * 3 * FEATURES,
            "linear": length * 4 * (2 * FEATURES + 1) + 2 * length * FEATURES * (FEATURES + 1),
        }


def test_parts_must_divide_the_length() -> None:
    """A window or chunk that leaves a rest is refused."""
    with pytest.raises(ValueError, match="window 5 does not divide the 12 positions"):
        graph_of(lambda g, q, k, v: window_attention(g, q, k, v, "a", 5))
    with pytest.raises(ValueError, match="chunk 5 does not divide the 12 positions"):
        graph_of(lambda g, q, k, v: linear_attention(g, q, k, v, "a", 5))


def test_extreme_values_stay_finite() -> None:
    """Large scores and features near zero give numbers."""
    for build in (
        lambda g, q, k, v: softmax_attention(g, q, k, v, "a", causal=True),
        lambda g, q, k, v: window_attention(g, q, k, v, "a", 3),
        lambda g, q, k, v: linear_attention(g, q, k, v, "a", 4),
    ):
        for factor in (-200.0, 200.0):
            q, k, v = tensors()
            found = TorchGraph(graph_of(build)).run({}, [factor * q.abs(), factor * k.abs(), v])[0]
            assert np.isfinite(found.numpy()).all()
