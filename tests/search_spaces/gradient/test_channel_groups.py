"""The surrogate on norms of channel groups: what it is, and that widths shrink with it."""

import numpy as np
import pytest
import torch

from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.gradient.channel_groups import ChannelGroups
from search_spaces.gradient.cost_settings import CostSettings
from search_spaces.gradient.cost_term import CostTerm
from search_spaces.gradient.decision_costs import DecisionCosts
from search_spaces.gradient.logits import Logits
from search_spaces.gradient.registry import METHODS
from search_spaces.gradient.search import GradientSearch
from search_spaces.gradient.search_settings import SearchSettings
from search_spaces.gradient.single_path import Thresholds
from search_spaces.gradient.structure import Structure
from search_spaces.space import SearchSpace
from search_spaces.supernet.supernet import Supernet


@pytest.fixture(scope="module")
def space() -> MobileNetV3:
    """One stage of two layers, whose kernels and expansions are decided about."""
    return MobileNetV3(
        channels=1, classes=4, resolutions=(8,), widths=(8,), strides=(1,), activations=("relu",),
        squeeze_excite=(False,), depths=(2,), expansions=(2, 3, 5), kernels=(3, 5), stem_width=8, stem_stride=1,
        final_width=8, feature_width=8,
    )  # fmt: skip


@pytest.fixture(scope="module")
def costs(space: MobileNetV3) -> DecisionCosts:
    """MACs in thousands."""
    rows = space.enumerate()
    return DecisionCosts.fit(space, rows, space.costs(rows, ["macs"])["macs"] / 1e3, pairwise=True)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_norms_are_those_of_the_weights_that_an_option_adds(space: MobileNetV3, norm: str) -> None:
    """By hand, from the tensors that hold the channels of one expansion."""
    supernet = Supernet(space, seed=0)
    logits = Thresholds(supernet, Structure(space), seed=0)
    groups = ChannelGroups(logits.superkernels, norm)
    names = [name for name in space.names if name.startswith("expand")]
    assert [space.names[column] for column in groups.columns] == names
    column = groups.columns[0]
    parts: list[list[torch.Tensor]] = [[], [], []]
    for name, shells in logits.superkernels.found[column].shells.items():
        if supernet.roles[name] == "weight":
            for part, shell in zip(parts, shells, strict=True):
                part.append(supernet.shared[name].detach()[shell.bool()])
    flat = [torch.cat(part) for part in parts]
    assert all(len(part) > 0 for part in flat)
    sizes = [part.abs().mean() if norm == "l1" else part.square().mean().sqrt() for part in flat]
    expected = torch.stack([sizes[1] / sizes[0], sizes[2] / sizes[0]])
    torch.testing.assert_close(groups.norms(column).detach(), expected)


def test_prices_are_differences_of_costs(space: MobileNetV3, costs: DecisionCosts) -> None:
    """Where all other decisions are settled, they are those between two networks."""
    logits = Thresholds(Supernet(space, seed=0), Structure(space), seed=0)
    groups = ChannelGroups(logits.superkernels, "l2")
    row = space.largest()
    for column, value in enumerate(logits.values):
        value.data[:] = -60.0
        value.data[int(row[column])] = 60.0
        if column in logits.superkernels.found:
            value.data[:] = 60.0
    column = groups.columns[0]
    networks = np.repeat(row[None], 3, axis=0)
    networks[:, column] = logits.superkernels.found[column].order
    expected = np.diff(costs.predict(networks))
    np.testing.assert_allclose(groups.prices(column, logits, costs).numpy(), expected, rtol=1e-3)
    assert (expected > 0).all()


@pytest.mark.parametrize(
    "settings",
    [
        CostSettings(form="weighted", weight=0.3),
        CostSettings(form="ratio", target=90.0, weight=0.7),
        CostSettings(form="budget", target=90.0),
    ],
    ids=["weighted", "ratio", "budget"],
)
def test_the_pressure_is_the_slope_of_the_term(
    space: MobileNetV3, costs: DecisionCosts, settings: CostSettings
) -> None:
    """By how much the term grows with the expected cost, by finite differences."""
    logits = Logits(space, seed=0)
    term = CostTerm(space, costs, settings)
    term.multiplier = 0.8
    constant, loss = costs.constant, torch.tensor(1.7)
    found = []
    for step in (-0.5, 0.5):
        costs.constant = constant + step
        found.append(term(loss, logits).item())
    costs.constant = constant
    assert term.pressure(1.7, logits) == pytest.approx(found[1] - found[0], rel=1e-3)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_widths_shrink(space: MobileNetV3, costs: DecisionCosts, norm: str) -> None:
    """On noise, where no channel is worth anything: the groups' norms fall, and the derived network is cheaper."""
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((256, 1, 8, 8)).astype(np.float32), rng.integers(0, 4, 256)
    settings = SearchSettings(rounds=6, batch_size=32, optimiser="adamw", learning_rate=0.01, logits_learning_rate=1e-3)
    norms, expected = [], []
    for surrogate in (None, norm):
        term = CostTerm(space, costs, CostSettings(form="weighted", weight=0.05))
        search = GradientSearch(space, METHODS["single_path"](surrogate=surrogate), settings, images, labels, term=term)
        while not search.finished:
            metrics = search.round()
        assert isinstance(search.logits, Thresholds)
        groups = ChannelGroups(search.logits.superkernels, norm)
        norms.append(float(torch.cat([groups.norms(column) for column in groups.columns]).mean().detach()))
        expected.append(metrics["cost_expected"])
    assert norms[1] < 0.85 * norms[0]
    assert expected[1] < expected[0]


def test_a_surrogate_needs_widths_and_a_cost(
    directions: SearchSpace, correlated: tuple[np.ndarray, np.ndarray]
) -> None:
    """Kernels are nested, too, and are no widths."""
    settings = SearchSettings(rounds=2, batch_size=32)
    with pytest.raises(ValueError, match=r"surrogate .l1. is for decisions about widths, .*.directions. has none"):
        GradientSearch(directions, METHODS["single_path"](surrogate="l1"), settings, *correlated)


def test_a_surrogate_stands_for_a_cost(space: MobileNetV3) -> None:
    """Without one there is nothing to pay."""
    images, labels = np.zeros((64, 1, 8, 8), np.float32), np.arange(64) % 4
    with pytest.raises(ValueError, match="surrogate 'l2' stands for a cost, and this search pays for none"):
        GradientSearch(space, METHODS["single_path"](surrogate="l2"), SearchSettings(batch_size=16), images, labels)
