"""NAS-Bench-201 against its published tables."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from search_spaces.costs.static import costs
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.identity import graph_hash
from search_spaces.interpreter.torch_graph import TorchGraph

EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
SPACE = NasBench201()
OPERATIONS = SPACE.operations


def short() -> NasBench201:
    """A skeleton that is only as long as it takes to tell cells apart: one stage of one cell."""
    return NasBench201(widths=[8], cells=1, resolution=8)


def table(folder: Path, name: str = "nb201") -> dict[str, Any]:
    """A published table, its metrics by name among the arrays."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        found = dict(file)
    return {**found, **dict(zip(found["metrics"].tolist(), found["values"].T, strict=True))}


def written(row: np.ndarray, *, drop_zeros: bool, flatten: bool) -> str:
    """The cell as an expression.

    With both switches off these are the strings by which the benchmark's authors count 6,466 cells: an edge is zero
    when it is `none` or its source is the expression `#`, a skip writes its source's expression as one term, and terms
    are sorted as text.
    """
    nodes: list[list[str]] = [["0"]]
    for target in (1, 2, 3):
        terms: list[str] = []
        for (end, start), index in zip(EDGES, row, strict=True):
            if end != target:
                continue
            source, operation = nodes[start], OPERATIONS[index]
            if operation == "none" or source == ([] if drop_zeros else ["#"]):
                terms += [] if drop_zeros else ["#"]
            elif operation == "skip_connect":
                terms += source if flatten else ["+".join(source)]
            else:
                terms.append(f"({'+'.join(source)})@{operation}")
        nodes.append(sorted(terms))
    return "+".join(nodes[-1])


def is_finer(fine: list[str], coarse: list[str]) -> bool:
    """Whether every class of one partition lies in one class of the other."""
    within: dict[str, str] = {}
    return all(within.setdefault(a, b) == b for a, b in zip(fine, coarse, strict=True))


def test_columns_are_those_of_the_table(shared_data: Path) -> None:
    """Names and options are in the table's order, so that its rows are genotypes."""
    found = table(shared_data)
    assert list(SPACE.names) == found["decisions"].tolist()
    for decision, options in zip(SPACE.decisions, found["options"].tolist(), strict=True):
        assert list(decision.options) == json.loads(options)
    SPACE.validate(found["genotypes"])
    assert SPACE.size() == len(found["genotypes"]) == 15625


def test_published_counts_of_some(shared_data: Path) -> None:
    """The literal network costs what is published; the deployed one has no more, and the same where all is live."""
    found = table(shared_data)
    literal = NasBench201(literal=True)
    rows = np.random.default_rng(0).choice(len(found["genotypes"]), 60, replace=False)
    for place in rows:
        genotype = found["genotypes"][place]
        theirs = costs(literal.graph(genotype))
        assert theirs["macs"] == found["macs"][place]
        assert theirs["params"] == found["params"][place]
        mine = costs(SPACE.graph(genotype))
        assert mine["macs"] <= theirs["macs"]
        if (genotype > 0).all():
            assert (mine["macs"], mine["params"]) == (theirs["macs"], theirs["params"])


@pytest.mark.slow
def test_published_counts_of_all(shared_data: Path) -> None:
    """Multiply-adds and parameters of all 15,625 are the published columns, zeros and dead edges counted."""
    found = table(shared_data)
    mine = NasBench201(literal=True).costs(found["genotypes"])
    np.testing.assert_array_equal(mine["macs"], found["macs"])
    np.testing.assert_array_equal(mine["params"], found["params"])


@pytest.mark.slow
def test_distinct_networks(shared_data: Path) -> None:
    """The hash finds 5,260 networks, and every difference from the published 6,466 has a reason.

    The published strings tell networks apart that are one: where a zero is not seen as such (two edges that are both
    `none` make a sum `#+#` which is not `#`, and every `#` stays in a sum), and where a skip brings a sum into a sum.
    They also take networks for one that are two: an expression does not say whether two equal terms are one
    convolution read twice or two convolutions, so what the hash tells apart there differs in its parameters.
    """
    found = table(shared_data)
    genotypes = found["genotypes"]
    published = [written(row, drop_zeros=False, flatten=False) for row in genotypes]
    without_zeros = [written(row, drop_zeros=True, flatten=False) for row in genotypes]
    flat = [written(row, drop_zeros=True, flatten=True) for row in genotypes]
    space = short()
    graphs = [space.graph(row) for row in genotypes]
    hashes = [graph_hash(graph) for graph in graphs]

    assert [len(set(keys)) for keys in (published, without_zeros, flat, hashes)] == [6466, 5390, 4930, 5260]
    assert is_finer(published, without_zeros)
    assert is_finer(without_zeros, flat)
    assert is_finer(hashes, flat)
    measured = table(shared_data, "nb201_pi5")["row_index"]
    assert len({published[row] for row in measured}) == len(measured) == 6466

    networks: dict[str, dict[str, float]] = {}
    for expression, key, graph in zip(flat, hashes, graphs, strict=True):
        networks.setdefault(expression, {})[key] = costs(graph)["params"]
    several = [params for params in networks.values() if len(params) > 1]
    assert len(several) == 326
    assert all(len(set(params.values())) == len(params) for params in several), "equal expressions of equal size"


def test_short_skeleton_groups_like_the_published_one() -> None:
    """Two cells are one network in a stage of one exactly when they are in three stages of five."""
    rows = np.random.default_rng(1).choice(3, (60, 6), p=[0.4, 0.4, 0.2]).astype(np.int16)
    space = short()
    here, there = ([graph_hash(each.graph(row)) for row in rows] for each in (space, SPACE))
    assert is_finer(here, there)
    assert is_finer(there, here)
    assert 1 < len(set(here)) < 60


def test_published_example_of_one_network() -> None:
    """Skips and zeros in other places, one network."""
    hashes = {
        graph_hash(SPACE.graph(np.array(row, np.int16)))
        for row in ([3, 0, 0, 0, 1, 0], [0, 0, 0, 3, 0, 0], [1, 0, 1, 0, 0, 3], [3, 2, 1, 0, 1, 0], [0, 0, 3, 3, 3, 3])
    }
    assert len(hashes) == 1


def test_zero_cell_keeps_the_batch() -> None:
    """A network that ignores its input runs, and gives every sample the same answer."""
    genotype = np.array([3, 0, 0, 0, 0, 0], np.int16)
    graph = short().graph(genotype)
    generator = torch.Generator().manual_seed(0)
    tensors = {name: torch.rand(value.shape, generator=generator) + 0.5 for name, value in graph.parameters.items()}
    (logits,) = TorchGraph(graph).run(tensors, [torch.randn(5, 3, 8, 8, generator=generator)])
    assert logits.shape == (5, 10)
    assert torch.equal(logits, logits[:1].expand(5, -1))
    assert graph_hash(graph) == graph_hash(short().graph(np.zeros(6, np.int16)))


def test_nothing_dead_is_built() -> None:
    """Every node, parameter and constant of the deployed network is read."""
    for row in SPACE.sample(50, np.random.default_rng(2)):
        graph = SPACE.graph(row)
        read = {name for node in graph.nodes for name in node.inputs} | {value.name for value in graph.outputs}
        assert read >= {*graph.parameters, *graph.constants, *[name for node in graph.nodes for name in node.outputs]}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"resolution": 30}, "resolution must be divisible by 4, which 3 stages halve it to, got 30"),
    ({"widths": []}, "widths must be a list with at least one entry"),
    ({"cells": 0}, "cells must be a whole number of at least 1, got 0"),
    ({"nodes": 1}, "nodes must be a whole number of at least 2, got 1"),
    ({"operations": ["none", "conv"]}, "operations 'conv' is not known; known: none, skip_connect"),
    ({"operations": ["none", "none"]}, "operations must name each option once"),
    ({"literal": 1}, "literal must be true or false, got 1"),
]


@pytest.mark.parametrize("settings, message", BAD)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    """A setting that describes no network is refused by name."""
    with pytest.raises(ValueError, match=message):
        NasBench201(**settings)
