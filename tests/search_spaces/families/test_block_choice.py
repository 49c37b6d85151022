"""FBNet and ProxylessNAS against published figures."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import channel_shuffle

from search_spaces.costs.static import costs
from search_spaces.families.block_choice import BlockChoice
from search_spaces.families.fbnet import FBNet
from search_spaces.families.proxyless import ProxylessNAS
from search_spaces.graph import Graph
from search_spaces.interpreter.torch_graph import TorchGraph

CIFAR100 = {
    "classes": 100,
    "resolution": 32,
    "strides": [1, 1, 2, 2, 1, 2, 1],
    "stem_stride": 1,
    "final_width": 1504,
}
"""The setting of HW-NAS-Bench's tables."""

FBNET_A = (
    "skip k3_e3 k3_e1 skip skip k5_e6 k3_e3 k5_e1 k3_e3 k5_e6 k5_e3 k5_e1_g2 k5_e6 k3_e6 k5_e1_g2 k5_e1 k3_e1_g2 "
    "k5_e6 k5_e6 k5_e3 k5_e6 k5_e6"
)
FBNET_C = (
    "k3_e1 k3_e6 skip k3_e1 k3_e1 k5_e6 k5_e3 k5_e6 k3_e6 k5_e6 k5_e3 k5_e6 k5_e6 k5_e6 k5_e6 k5_e6 k5_e3 "
    "k5_e6 k5_e6 k5_e6 k5_e6 k3_e6"
)
PROXYLESS_MOBILE = (
    "k5_e3 k3_e3 skip skip k7_e3 k3_e3 k5_e3 k5_e3 k7_e6 k5_e3 k5_e3 k5_e3 k5_e6 k5_e3 k5_e3 k5_e3 "
    "k7_e6 k7_e6 k7_e3 k7_e3 k7_e6"
)
PROXYLESS_GPU = (
    "k5_e3 skip skip skip k7_e3 skip skip k3_e3 k7_e6 skip skip k5_e3 k5_e6 skip k3_e3 k5_e3 k7_e6 k7_e6 k7_e6 "
    "k5_e6 k7_e6"
)


def network(space: BlockChoice, blocks: str) -> Graph:
    """The network of blocks in the order of the layers."""
    return space.graph(space.genotype({f"layer{index}": name for index, name in enumerate(blocks.split())}))


def table(folder: Path) -> dict[str, Any]:
    """The published table, its metrics by name among the arrays."""
    with np.load(folder / "fbnet.npz", allow_pickle=False) as file:
        found = dict(file)
    return {**found, **dict(zip(found["metrics"].tolist(), found["values"].T, strict=True))}


def test_columns_are_those_of_the_table(shared_data: Path) -> None:
    """Names and options are in the table's order, so that its rows are genotypes."""
    found = table(shared_data)
    space = FBNet()
    assert list(space.names) == found["decisions"].tolist()
    for decision, options in zip(space.decisions, found["options"].tolist(), strict=True):
        assert list(decision.options) == json.loads(options)
    space.validate(found["genotypes"])


def test_published_params(shared_data: Path) -> None:
    """The parameters of all 5,000 networks of the table, exactly."""
    found = table(shared_data)
    mine = FBNet(**CIFAR100).costs(found["genotypes"])
    np.testing.assert_array_equal(mine["params"], found["zero_cost@params"])


def test_published_flops(shared_data: Path) -> None:
    """The table's operations are our MACs, 2 for every normalised value, and 1 for most rectified or pooled ones.

    Its counter has one number for each module, and a block applies one ReLU module twice: the first goes uncounted.
    """
    found = table(shared_data)
    space = FBNet(**CIFAR100)
    for genotype, flops in zip(found["genotypes"][:40], found["zero_cost@flops"], strict=False):
        graph = space.graph(genotype)
        others = 0
        for node in graph.nodes:
            made, read = (math.prod(graph.values[name].shape) for name in (node.outputs[0], node.inputs[0]))
            counted = {"BatchNormalization": 2 * made, "Relu": made, "GlobalAveragePool": read}.get(node.op, 0)
            others += 0 if node.name.endswith("expand.act") else counted
        assert costs(graph)["macs"] + others == flops


def test_published_networks() -> None:
    """FBNet-A and FBNet-C of the paper (4.3 M and 5.5 M); that of public weights for FBNet-C has exactly 5,572,200."""
    assert round(costs(network(FBNet(final_width=1504), FBNET_A))["params"] / 1e6, 1) == 4.3
    assert costs(network(FBNet(), FBNET_C))["params"] == 5_572_200


def test_published_proxyless_networks() -> None:
    """ProxylessNAS for a phone (320 M MACs) and for a GPU (465 M), with the parameters of their public weights."""
    mobile = costs(network(ProxylessNAS(widths=[32, 40, 80, 96, 192, 320]), PROXYLESS_MOBILE))
    assert (mobile["params"], round(mobile["macs"] / 1e6)) == (4_080_512, 320)
    wide = ProxylessNAS(widths=[32, 56, 112, 128, 256, 432], stem_width=40, first_width=24, final_width=1728)
    gpu = costs(network(wide, PROXYLESS_GPU))
    assert (gpu["params"], round(gpu["macs"] / 1e6)) == (7_119_848, 465)


def test_proxyless_skips_only_where_the_shape_is_kept() -> None:
    """The first position of a stage has six options, the others seven; together 6^6 times 7^15."""
    space = ProxylessNAS()
    assert [len(decision.options) for decision in space.decisions] == [6, 7, 7, 7] * 5 + [6]
    assert space.size() == 6**6 * 7**15


def test_shuffle_is_the_one_of_torch() -> None:
    """The channels of two groups are interleaved."""
    graph = network(FBNet(widths=[8], depths=[1], strides=[1], stem_width=8, resolution=4, final_width=4), "k3_e1_g2")
    before, after = (graph.values[f"layer0.k3_e1_g2.{name}"] for name in ("expand.act", "shuffle"))
    graph.outputs = [before, after]
    generator = torch.Generator().manual_seed(0)
    tensors = {name: torch.rand(value.shape, generator=generator) for name, value in graph.parameters.items()}
    first, second = TorchGraph(graph).run(tensors, [torch.randn(2, 3, 4, 4, generator=generator)])
    assert torch.equal(second, channel_shuffle(first, 2))


BAD: list[tuple[type[FBNet] | type[ProxylessNAS], dict[str, Any], str]] = [
    (FBNet, {"resolution": 31}, "resolution must be at least the total stride of 32, got 31"),
    (FBNet, {"depths": [1, 2]}, "depths must have 7 entries"),
    (FBNet, {"depths": [1, 4, 0, 4, 4, 4, 1]}, "depths must be whole numbers of at least 1"),
    (FBNet, {"widths": []}, "widths must be a list with at least one entry"),
    (FBNet, {"blocks": []}, "blocks must be a list with at least one entry"),
    (FBNet, {"blocks": ["k4_e1"]}, "block 'k4_e1' is not known; known: skip, and kernel"),
    (FBNet, {"blocks": ["k3_e1", "k3_e1"]}, "blocks must name each option once"),
    (
        FBNet,
        {"blocks": ["k3_e1_g3"]},
        "the groups of block 'k3_e1_g3' must divide the channels of layer0, got 16 and 16",
    ),
    (ProxylessNAS, {"blocks": ["skip"]}, "blocks must have one besides 'skip'"),
    (ProxylessNAS, {"first_width": 0}, "first_width must be a whole number of at least 1, got 0"),
]


@pytest.mark.parametrize("kind, settings, message", BAD)
def test_bad_settings(kind: type[FBNet] | type[ProxylessNAS], settings: dict[str, Any], message: str) -> None:
    """A setting that describes no network is refused by name."""
    with pytest.raises(ValueError, match=message):
        kind(**settings)
