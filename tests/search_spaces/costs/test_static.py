"""Static costs against published tables, torch's own counter, and small graphs counted by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from search_spaces import layers
from search_spaces.costs.static import METRICS, combine, costs, node_costs
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.graph import Graph

TABLE = Path(__file__).parents[4] / "shared" / "data" / "ofa_accuracy.npz"


def small() -> Graph:
    """Two convolutions with a shortcut, on 4 channels of 6x6."""
    g = Graph("small")
    x = g.input("x", (1, 4, 6, 6))
    y = layers.conv_norm(g, x, "a", 8, 3, act="relu")
    y = layers.conv_norm(g, y, "b", 4)
    g.output(layers.global_pool(g, g.add("Add", x, y, name="sum"), "pool"))
    return g


def test_every_row_of_the_published_table() -> None:
    """MACs and parameters of all 1,532 Once-for-All networks of DyNAS-T equal the published ones, without exception.

    The convention is theirs and ours: MACs of convolutions and linear layers, squeeze-and-excitation included;
    parameters with the scale and bias of batch norm.
    """
    if not TABLE.exists():
        pytest.skip(f"needs {TABLE.name}, which is not part of the project")
    table = np.load(TABLE, allow_pickle=False)
    space = MobileNetV3()
    assert tuple(table["decisions"]) == space.names
    assert [json.loads(options) for options in table["options"]] == [list(each.options) for each in space.decisions]
    found = space.costs(table["genotypes"])
    for metric in ("macs", "params"):
        np.testing.assert_array_equal(found[metric], table["values"][:, list(table["metrics"]).index(metric)])


def test_by_hand() -> None:
    """A graph small enough to count on paper."""
    assert costs(small()) == {
        "macs": 36 * (8 * 4 * 9 + 4 * 8),
        "params": 8 * 4 * 9 + 2 * 8 + 4 * 8 + 2 * 4,
        # x is held for the shortcut while `b` reads 8 channels and writes 4; `a` and its activation hold more
        "peak_activation_bytes": 4 * 36 * (4 + 8 + 8),
        "bytes_moved": 4
        * (
            (4 * 36 + 8 * 4 * 9 + 8 + 8 * 36)  # a with its folded bias
            + (8 * 36 + 8 * 36)  # relu
            + (8 * 36 + 8 * 4 + 4 + 4 * 36)  # b
            + 3 * 4 * 36  # sum
            + (4 * 36 + 4)  # pool; the flattening moves nothing
        ),
    }


def test_rows_are_named_and_add_up() -> None:
    """A folded norm is counted with its convolution."""
    names, rows = node_costs(small())
    assert names == ["a.conv", "a.act", "b.conv", "sum", "pool.pool", "pool"]
    assert dict(zip(METRICS, combine(rows), strict=True)) == costs(small())


def test_dead_nodes_count_only_when_asked() -> None:
    """What no output depends on is not deployed; published tables of cell spaces count it."""
    graph = small()
    before = costs(graph)
    layers.conv_norm(graph, graph.inputs[0], "dead", 4)
    assert costs(graph) == before
    with_dead = costs(graph, dead=True)
    assert with_dead["macs"] - before["macs"] == 36 * 16
    assert with_dead["params"] - before["params"] == 16 + 8


def test_identity_is_free() -> None:
    """An identity between convolution and norm changes nothing."""

    def build(identity: bool) -> Graph:
        g = Graph("g")
        x = layers.conv(g, g.input("x", (1, 4, 6, 6)), "a", 8)
        x = g.add("Identity", x, name="same") if identity else x
        g.output(layers.batch_norm(g, x, "bn"))
        return g

    assert costs(build(True)) == costs(build(False))


def test_shared_parameters_count_once() -> None:
    """The weight of two linear layers is one tensor, read twice."""
    g = Graph("tied")
    weight = g.parameter("w", (5, 5))
    x = g.input("x", (1, 5))
    g.output(g.add("Gemm", g.add("Gemm", x, weight, name="a"), weight, name="b"))
    assert costs(g) == {"macs": 50, "params": 25, "peak_activation_bytes": 40, "bytes_moved": 2 * 4 * 35}


def test_views_share_memory() -> None:
    """A reshaped value keeps its source alive and takes no memory of its own."""
    g = Graph("views")
    x = g.add("Relu", g.input("x", (1, 4, 6)), name="r")
    flat = g.add("Flatten", x, name="flat")
    y = g.add("Relu", flat, name="s")
    g.output(g.add("Reshape", y, g.constant("shape", np.array([0, 4, 6])), name="back"))
    g.output(g.add("Tanh", x, name="t"))
    assert costs(g)["peak_activation_bytes"] == 3 * 96


def test_embedding_reads_its_rows_only() -> None:
    """A look-up moves what it returns, twice, and its indices; the table is counted as parameters."""
    g = Graph("words")
    table = g.parameter("table", (1000, 8))
    g.output(g.add("Gather", table, g.input("tokens", (1, 5), "int64"), name="embed"))
    assert costs(g) == {
        "macs": 0,
        "params": 8000,
        "peak_activation_bytes": 40 + 160,
        "bytes_moved": 40 + 160 + 160,
    }


def test_attention_against_torch() -> None:
    """Matrix products of activations are multiply-adds too; torch counts two operations for each."""
    g = Graph("attention")
    x = g.input("x", (1, 7, 16))
    q, k, v = [layers.linear(g, x, name, 16) for name in "qkv"]
    score = g.add("MatMul", q, g.add("Transpose", k, name="kt", perm=[0, 2, 1]), name="qk")
    g.output(g.add("MatMul", g.add("Softmax", score, name="p", axis=-1), v, name="out"))
    t = torch.zeros(1, 7, 16)
    w = torch.zeros(16, 16)
    with FlopCounterMode(display=False) as counter:
        torch.softmax((t @ w) @ (t @ w).transpose(1, 2), -1) @ (t @ w)
    assert counter.get_total_flops() == 2 * costs(g)["macs"]


def test_empty_graph() -> None:
    """A network without nodes costs nothing."""
    g = Graph("nothing")
    g.output(g.input("x", (1, 3)))
    assert set(costs(g).values()) == {0.0}
