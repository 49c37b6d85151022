"""Scaled networks against the published families, the rules against what they promise, and bad settings."""

from typing import Any

import numpy as np
import pytest

from search_spaces.costs.static import costs
from search_spaces.families.scaled import RULES, Scaled

EFFICIENTNETS = {  # depth, width, resolution -> parameters, multiply-adds in 10^9
    "B0": (1.0, 1.0, 224, 5_288_548, 0.39),
    "B1": (1.1, 1.0, 240, 7_794_184, 0.70),
    "B2": (1.2, 1.1, 260, 9_109_994, 1.0),
    "B3": (1.4, 1.2, 300, 12_233_232, 1.8),
    "B4": (1.8, 1.4, 380, 19_341_616, 4.2),
    "B7": (3.1, 2.0, 600, 66_347_960, 37.0),
}
TINYNETS = {  # depth, width, resolution -> parameters and multiply-adds in 10^6
    "A": (1.2, 1.0, 192, 6.2, 339),
    "B": (1.1, 0.75, 188, 3.7, 202),
    "C": (0.85, 0.54, 184, 2.5, 100),
    "D": (0.695, 0.54, 152, 2.3, 52),
    "E": (0.6, 0.51, 106, 2.0, 24),
}


def of(depth: float, width: float, resolution: int, **settings: Any) -> dict[str, float]:
    """Costs of one point of the grid."""
    space = Scaled(depths=[depth], widths=[width], resolutions=[resolution], **settings)
    return costs(space.graph(space.largest()))


@pytest.mark.parametrize("name", EFFICIENTNETS)
def test_efficientnets(name: str) -> None:
    """Parameters exactly as in torchvision, multiply-adds as in the paper's table."""
    depth, width, resolution, params, macs = EFFICIENTNETS[name]
    found = of(depth, width, resolution)
    assert found["params"] == params
    assert found["macs"] / 1e9 == pytest.approx(macs, rel=0.05)


@pytest.mark.parametrize("name", TINYNETS)
def test_tinynets(name: str) -> None:
    """Parameters and multiply-adds of the paper's table, rounded as there."""
    depth, width, resolution, params, macs = TINYNETS[name]
    found = of(depth, width, resolution, rounding="nearest", fixed_ends=True)
    assert found["params"] / 1e6 == pytest.approx(params, abs=0.051)
    assert found["macs"] / 1e6 == pytest.approx(macs, rel=0.02)


@pytest.mark.parametrize("rule", RULES)
def test_rules_give_the_multiple_that_is_asked_for(rule: str) -> None:
    """Within what rounding of blocks, channels and pixels leaves; 1 is the base network."""
    space = Scaled(rule=rule, scales=[1, 2, 4, 8])
    found = space.costs(space.enumerate())["macs"] / of(1.0, 1.0, 224)["macs"]
    assert found[0] == 1
    np.testing.assert_allclose(found, [1, 2, 4, 8], rtol=0.52)
    assert (np.diff(found) > 0).all()


def test_each_rule_has_its_own_way() -> None:
    """The one-dimensional rules keep the rest: a higher resolution costs no parameters, the fast rule most width."""
    params = {rule: of_rule(rule)["params"] for rule in RULES}
    assert params["resolution"] == 5_288_548
    assert params["fast"] > params["efficientnet"]


def of_rule(rule: str) -> dict[str, float]:
    """Costs of four times the base network."""
    space = Scaled(rule=rule, scales=[4])
    return costs(space.graph(space.largest()))


BAD: list[tuple[dict[str, Any], str]] = [
    ({"rule": "golden"}, "rule 'golden' is not known; known: grid, efficientnet, fast, depth, width, resolution"),
    ({"scales": [1]}, "scales has no meaning for the rule 'grid'; leave it out"),
    ({"rule": "fast", "depths": [1]}, "depths has no meaning for the rule 'fast'; leave it out"),
    ({"depths": []}, "depths must be a list with at least one entry"),
    ({"widths": [0]}, "widths must be numbers above 0"),
    ({"resolutions": [16]}, "resolutions must be whole numbers of at least 32"),
    ({"rule": "resolution", "scales": [0.001]}, "scales must keep at least 32 pixels, got 0.001"),
    ({"rounding": "down"}, "rounding 'down' is not known; known: up, nearest"),
    ({"fixed_ends": 1}, "fixed_ends must be true or false, got 1"),
]


@pytest.mark.parametrize("settings, message", BAD)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    """The message names the setting, what was given and what is allowed."""
    with pytest.raises(ValueError, match=message):
        Scaled(**settings)
