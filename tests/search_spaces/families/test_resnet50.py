"""The ResNet-50 space against published networks, and settings that it refuses."""

from typing import Any

import numpy as np
import pytest

from search_spaces.costs.static import costs
from search_spaces.families.resnet50 import ResNet50


@pytest.fixture(scope="module")
def space() -> ResNet50:
    """The published space."""
    return ResNet50()


def standard(space: ResNet50, **other: Any) -> dict[str, float]:
    """Costs of the network with the depths 3, 4, 6, 3, ratios 0.25 and widths 1.0 at 224 pixels."""
    wanted = {"stem_block": True, "depth0": 1, "depth1": 2, "depth2": 2, "depth3": 1, "resolution": 224, **other}
    row = space.smallest()
    for column, decision in enumerate(space.decisions):
        default = 0.25 if decision.name.startswith("expand") else 1.0
        row[column] = decision.options.index(wanted.get(decision.name, default))
    return costs(space.graph(space.canonical(row[None])[0]))


def test_space_is_the_published_one(space: ResNet50) -> None:
    """4 + 4 + 6 + 4 blocks of 3 ratios, depths of 3, a switch, 6 widths of 3, as the code base samples them."""
    assert [len(decision.options) for decision in space.decisions] == [2, *[3] * 4, *[3] * 18, *[3] * 6, 25]
    by_stage = [sum(3 ** (base + extra) for extra in (0, 1, 2)) for base in (2, 2, 4, 2)]
    assert space.size() == 2 * int(np.prod(by_stage)) * 3**6 * 25
    largest = space.graph(space.largest())
    blocks = {name.split(".conv")[0].rsplit(".", 1)[0] for name in largest.parameters if name.startswith("stage")}
    assert len({name for name in blocks if name.count(".") == 1}) == 4 + 4 + 6 + 4


def test_parameters_of_resnet_50(space: ResNet50) -> None:
    """ResNet-50-D has 25,576,264 (timm), plain ResNet-50 25,557,032: the stem of three layers has 19,232 more."""
    plain_stem = 7 * 7 * 3 * 64 + 2 * 64
    deep_stem = 9 * (3 * 32 + 32 * 32 + 32 * 64) + 2 * (32 + 32 + 64)
    assert standard(space)["params"] == 25_576_264 == 25_557_032 - plain_stem + deep_stem
    assert standard(space, stem_block=False)["params"] == 25_576_264 - (9 * 32 * 32 + 2 * 32)


def test_macs_of_resnet_50(space: ResNet50) -> None:
    """Plain ResNet-50 is 4,089,184,256 multiply-adds; the stem, and strides in 3x3 convolutions, are accounted for."""
    plain_stem = 112 * 112 * 7 * 7 * 3 * 64
    deep_stem = 112 * 112 * 9 * (3 * 32 + 32 * 32 + 32 * 64)
    assert standard(space)["macs"] == 4_089_184_256 - plain_stem + deep_stem


def test_odd_sizes_agree_in_both_branches(space: ResNet50) -> None:
    """Where a stride leaves a rest, pooling and convolution round alike: every published resolution works."""
    column = space.names.index("resolution")
    row = space.smallest()
    for option in range(len(space.decisions[column].options)):
        row[column] = option
        space.graph(row)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"resolutions": [16]}, "resolutions must be at least the total stride of 32 pixels, got .16."),
    ({"widths": []}, "widths must be a list with at least one entry"),
    ({"widths": [8, 16]}, "base_depths must have 2 entries"),
    ({"base_depths": [2, 2, 0, 2]}, "base_depths must be whole numbers of at least 1"),
    ({"depths": [-1, 0]}, "depths must be whole numbers of at least 0"),
    ({"depths": [1, 1]}, "depths must name each option once"),
    ({"expansions": [0.25, 0]}, "expansions must be numbers above 0 and up to 64, got 0"),
    ({"width_multipliers": ["1"]}, "width_multipliers must be numbers"),
    ({"classes": True}, "classes must be a whole number of at least 1, got True"),
]


@pytest.mark.parametrize("settings, message", BAD)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    """The message names the setting, what was given and what is allowed."""
    with pytest.raises(ValueError, match=message):
        ResNet50(**settings)
