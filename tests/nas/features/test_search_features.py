"""What predictors inside a search see of a network and of the settings beside it."""

import numpy as np

from nas.features.search_features import search_features
from nas.strategies.features import Choices
from nas.strategies.predictor_assisted import PredictorAssistedOptions
from nas.strategies.registry import create
from search_spaces.decision import Decision
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.graph_features import GraphFeatures
from search_spaces.joint_space import JointSpace

RECIPE = [Decision("recipe.optimiser", ("sgd", "lion")), Decision("recipe.ema", (0.0, 0.5, 0.9))]


def test_settings_are_a_group_of_their_own() -> None:
    """Beside the networks' features, which are those of the space without settings."""
    networks = MobileNetV3(
        resolutions=(8,), widths=(8, 16), strides=(1, 2), activations=("relu", "h_swish"), squeeze_excite=(False, True),
        depths=(1, 2), expansions=(2, 3),
    )  # fmt: skip
    space = JointSpace(networks, [], RECIPE)
    made, rows = search_features(space), space.sample(20, np.random.default_rng(0))
    alone = search_features(networks)
    assert isinstance(alone, Choices)
    assert (made.groups, len(made.lengths)) == ((*alone.groups, 5), len(made.groups))
    found, plain = made(rows), alone(rows[:, :-2])
    assert (found[:, :-5] == plain).all()
    assert (found[:, -5:].argmax(axis=1) == rows[:, -2]).all()
    assert (found[:, -3:].argmax(axis=1) == rows[:, -1]).all()


def test_where_paths_are_cut_operators_are_seen() -> None:
    """In a space of cells, with settings and without, and a strategy proposes by them."""
    cells = NasBench201()
    space = JointSpace(cells, [], RECIPE)
    alone, made = search_features(cells), search_features(space)
    assert isinstance(alone, GraphFeatures)
    assert made.groups == (*alone.groups, 5)
    assert (made.lengths[:-1], tuple(made.costs)) == (alone.lengths, alone.costs)
    strategy = create(PredictorAssistedOptions(first=4), space, 1, 0, features=made)
    for _ in range(3):
        rows = strategy.ask(4)
        strategy.tell(rows, made(rows)[:, [-1]], np.zeros(4))
    assert len(strategy.history) == 12
