"""Structural decisions let a mixing pick build every candidate side by side, as relaxed supernets need it."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from search_spaces.decision import Option
from search_spaces.families.resnet50 import ResNet50
from search_spaces.families.transformer_lm import KINDS, TransformerLM
from search_spaces.families.vision_transformer import STEMS, VisionTransformer
from search_spaces.graph import Value
from search_spaces.space import Chosen, SearchSpace


class Everything(Chosen):
    """Builds all candidates and keeps the last, noting their shapes."""

    def __init__(self, choices: Mapping[str, Option]) -> None:
        super().__init__(choices)
        self.built: dict[str, dict[Option, tuple[int, ...]]] = {}

    def op(self, decision: str, candidates: Mapping[Option, Callable[[], Value]]) -> Value:
        """Every candidate, in order."""
        values = {option: build() for option, build in candidates.items()}
        self.built[decision] = {option: value.shape for option, value in values.items()}
        return list(values.values())[-1]


def mixed(space: SearchSpace) -> dict[str, dict[Option, tuple[int, ...]]]:
    """What is built when the largest network is assembled with all candidates."""
    pick = Everything(space.choices(space.largest()))
    space.assemble(pick)
    return pick.built


SPACES: dict[str, tuple[SearchSpace, dict[str, set[Any]]]] = {
    "resnet50": (ResNet50(), {"stem_block": {False, True}}),
    "transformer_lm": (
        TransformerLM(depths=[2], positions="rotary"),
        {"attention0": set(KINDS), "attention1": set(KINDS)},
    ),
    "vision_transformer": (VisionTransformer(depths=[1]), {"stem": set(STEMS)}),
}


@pytest.mark.parametrize("name", SPACES)
def test_candidates_stand_side_by_side(name: str) -> None:
    """All options are offered, their names do not clash, and they have one shape."""
    space, expected = SPACES[name]
    built = mixed(space)
    assert {decision: set(shapes) for decision, shapes in built.items()} == expected
    assert all(len(set(shapes.values())) == 1 for shapes in built.values())
