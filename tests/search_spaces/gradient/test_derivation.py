"""What is derived: the most probable networks that compute something, within the budget."""

import numpy as np
import pytest
import torch

from search_spaces.families.darts import Darts
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.genotypes import Population
from search_spaces.gradient.budget import Budget
from search_spaces.gradient.derivation import Derivation, depends_on_input
from search_spaces.gradient.logits import Logits
from search_spaces.space import SearchSpace

NONE, SKIP = 0, 1


def random_logits(space: SearchSpace, seed: int) -> Logits:
    """With an order of options that is clear."""
    logits, generator = Logits(space, seed), torch.Generator().manual_seed(seed)
    for value in logits.values:
        value.data = torch.randn(len(value), generator=generator)
    return logits


@pytest.fixture(scope="module")
def cells() -> NasBench201:
    """Five operations on six edges, one of them zero."""
    return NasBench201(widths=[4, 8, 16], cells=1, resolution=8)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_likeliest_are_those_of_the_whole_list(directions: SearchSpace, seed: int) -> None:
    """In their order."""
    logits, population = random_logits(directions, seed), directions.enumerate()
    scores = logits.log_odds(population)
    expected = population[np.argsort(-scores, kind="stable")[:12]]
    found = Derivation(directions).likeliest(logits, 12)
    np.testing.assert_array_equal(found, expected)
    assert len(Derivation(directions).likeliest(logits, 1000)) == len(population)
    odds = np.sort(scores)[::-1] - scores.max()
    assert len(Derivation(directions).rivals(logits, 1000)) == (odds >= np.log(0.1)).sum()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_deep_choices_are_completed_with_their_best_options(seed: int) -> None:
    """No draw of the distribution is more probable than the first of many layers of which some are inactive."""
    space = MobileNetV3()
    logits = random_logits(space, seed)
    found = Derivation(space).likeliest(logits, 20)
    scores = logits.log_odds(found)
    assert len(np.unique(found, axis=0)) == 20
    assert (np.diff(scores) <= 0).all()
    draws = space.canonical(space.sample(2000, np.random.default_rng(seed)))
    assert scores[0] >= logits.log_odds(draws).max()


def test_networks_that_compute_nothing_are_not_derived(cells: NasBench201) -> None:
    """Zero is the most probable operation of each edge; then of each edge but the direct one."""
    logits = random_logits(cells, 0)
    for value in logits.values:
        value.data[NONE] += 10
    dead = cells.canonical(np.array([[value.argmax() for value in logits.values]], np.int16))[0]
    assert not depends_on_input(cells.graph(dead))
    found = Derivation(cells).likeliest(logits, 3)
    assert all(depends_on_input(cells.graph(genotype)) for genotype in found)
    everything = cells.canonical(cells.enumerate())
    order = np.argsort(-logits.log_odds(everything), kind="stable")
    first = next(each for each in everything[order] if depends_on_input(cells.graph(each)))
    assert logits.log_odds(found[:1]) == logits.log_odds(first[None])


def test_what_is_left_alive_within_a_budget(cells: NasBench201) -> None:
    """MACs of no more than a share of the networks have; without any room a clear error."""

    def predict(rows: Population) -> np.ndarray:
        return np.asarray(cells.costs(rows, ["macs"])["macs"], np.float64)

    everything = cells.canonical(cells.enumerate())
    costs = predict(everything)
    for percentile in (5, 30):
        limit = float(np.percentile(costs, percentile))
        budget = Budget(cells, predict, limit)
        for seed in range(3):
            logits = random_logits(cells, seed)
            for value in logits.values:
                value.data[NONE] += 2
            found = Derivation(cells, budget)(logits)
            assert depends_on_input(cells.graph(found))
            assert predict(found[None])[0] <= limit
    paths_cut = Budget(cells, lambda rows: -np.asarray((rows == NONE).sum(axis=1), np.float64), -6.0)
    with pytest.raises(ValueError, match="depends on the input: all paths are cut"):
        Derivation(cells, paths_cut)


def test_zeros_that_are_computed_cut_paths_too() -> None:
    """The cell space of DARTS keeps every edge; a network of zeros still has nodes from its input to its output."""
    space = Darts(layers=4, resolution=16)
    genotype = space.largest()
    for column, decision in enumerate(space.decisions):
        if "none" in decision.options:
            genotype[column] = decision.options.index("none")
    genotype = space.canonical(genotype[None])[0]
    assert not depends_on_input(space.graph(genotype))
    assert depends_on_input(space.graph(space.largest()))
