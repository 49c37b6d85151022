"""The vision transformer space against published networks, and settings that it refuses."""

from typing import Any

import pytest

from search_spaces.costs.static import costs
from search_spaces.families.vision_transformer import AUTOFORMER, VisionTransformer

PUBLISHED = {"DeiT-Ti": (192, 3, 5_717_416, 1.26e9), "DeiT-S": (384, 6, 22_050_664, 4.6e9)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_of_deit(name: str) -> None:
    """As published (timm), but for the position of the class token, which its value makes up for."""
    width, heads, params, macs = PUBLISHED[name]
    space = VisionTransformer(stems=["patch"], depths=[12], widths=[width], heads=[heads], mlp_ratios=[4])
    found = costs(space.graph(space.largest()))
    assert found["params"] == params - width
    assert found["macs"] == pytest.approx(macs, rel=0.006)


def test_autoformer_tiny() -> None:
    """The network that the paper found: 5.7 M parameters, 1.3 G multiply-adds, of these 0.1 M relative positions."""
    space = VisionTransformer(stems=["patch"], mlp_ratios=[3, 3.5, 4])
    ratios = [3.5, 3.5, 3, 3.5, 3, 3, 4, 4, 3.5, 4, 3.5, 4, 3.5]
    heads = [*[3] * 10, 4, 3, 3]
    choices: dict[str, Any] = {"stem": "patch", "depth": 13, "width": 192, "resolution": 224}
    choices |= {f"mlp_ratio{layer}": ratio for layer, ratio in enumerate(ratios)}
    choices |= {f"heads{layer}": count for layer, count in enumerate(heads)}
    found = costs(space.graph(space.genotype(choices)))
    relative = 13 * 7680
    assert found["params"] + relative == pytest.approx(5.8e6, abs=0.1e6)
    assert found["macs"] == pytest.approx(1.3e9, abs=0.05e9)


@pytest.mark.parametrize("name", AUTOFORMER)
def test_published_settings_are_spaces(name: str) -> None:
    """Each builds its extremes with both stems; a layer has as many decisions as published."""
    space = VisionTransformer(**AUTOFORMER[name])
    assert len(space.decisions) == 4 + 2 * max(AUTOFORMER[name]["depths"])
    for genotype in (space.largest(), space.smallest()):
        for stem in (0, 1):
            genotype[0] = stem
            assert space.graph(genotype).outputs[0].shape == (1, 1000)


def test_stems_differ_in_more_than_macs() -> None:
    """The stack of convolutions makes the same positions and moves more memory."""
    space = VisionTransformer(depths=[2], widths=[64], heads=[1])
    one, other = (costs(space.graph(space.genotype({**space.choices(space.largest()), "stem": stem})))
                  for stem in ("patch", "convolutions"))  # fmt: skip
    assert other["peak_activation_bytes"] > one["peak_activation_bytes"]
    assert other["bytes_moved"] > one["bytes_moved"]


def test_heads_share_the_width_without_a_head_size() -> None:
    """With `head_dim` null the number of heads changes no tensor."""
    space = VisionTransformer(head_dim=None, widths=[192], heads=[3, 4, 6], depths=[1], stems=["patch"])
    params = {costs(space.graph(row))["params"] for row in space.enumerate() if row[-2] == 0}
    assert len(params) == 1


BAD: list[tuple[dict[str, Any], str]] = [
    ({"head_dim": None, "heads": [5]}, "heads must divide every width where head_dim is null, got 5 heads and a width"),
    ({"resolutions": [224, 230]}, "resolutions must be multiples of the patch of 16 pixels, got .224, 230."),
    ({"patch": 14}, "patch must be a power of 2 for the stem 'convolutions', got 14"),
    ({"stems": ["hybrid"]}, "stems 'hybrid' is not known; known: patch, convolutions"),
    ({"stems": []}, "stems must be a list with at least one entry"),
    ({"pooling": "max"}, "pooling 'max' is not known; known: token, mean"),
    ({"depths": [0]}, "depths must be whole numbers of at least 1"),
    ({"head_dim": 0}, "head_dim must be a whole number of at least 1"),
    ({"mlp_ratios": [-1]}, "mlp_ratios must be numbers above 0"),
]


@pytest.mark.parametrize("settings, message", BAD)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    """The message names the setting, what was given and what is allowed."""
    settings = {"resolutions": [224], "stems": ["patch"], **settings}
    if "patch" in settings:
        settings |= {"stems": ["convolutions"], "resolutions": [14]}
    with pytest.raises(ValueError, match=message):
        VisionTransformer(**settings)
