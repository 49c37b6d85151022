"""What each strategy promises beyond the conformance suite."""

from typing import Any

import numpy as np
import pytest

from nas.front import front, hypervolume
from nas.strategies.bandit import BanditOptions
from nas.strategies.base import Strategy, StrategyOptions
from nas.strategies.bayesian import BayesianOptions
from nas.strategies.contribution import Contribution
from nas.strategies.factorised import Factorised
from nas.strategies.local_search import LocalSearchOptions
from nas.strategies.map_elites import MapElites, MapElitesOptions
from nas.strategies.mcts import MctsOptions
from nas.strategies.neighbourhood import neighbours
from nas.strategies.nsga2 import Nsga2Options
from nas.strategies.policy_search import PolicySearch
from nas.strategies.random import RandomOptions
from nas.strategies.registry import create
from nas.strategies.regularized_evolution import RegularizedEvolutionOptions
from nas.strategies.reinforce import ReinforceOptions
from nas.strategies.scalarisation import costs, random_weights, spread_weights
from search_spaces.decision import Condition, Decision
from search_spaces.genotypes import GenotypeSpace, Population


def plain(d: int = 8, options: int = 5) -> GenotypeSpace:
    """A space of d decisions with as many options each."""
    return GenotypeSpace([Decision(f"d{column}", tuple(range(options))) for column in range(d)])


def conditional() -> GenotypeSpace:
    """Two layers, the second of which is there at depth 2 only."""
    return GenotypeSpace(
        [
            Decision("depth", (1, 2)),
            Decision("first", ("a", "b", "c")),
            Decision("second", ("a", "b", "c"), (Condition("depth", (2,)),)),
        ]
    )


def separable(rows: Population) -> np.ndarray:
    """One loss: decisions count unequally, option 3 is the best of each."""
    weights = np.geomspace(1, 0.1, rows.shape[1])
    return (np.abs(rows - 3) @ weights)[:, None]


def opposed(rows: Population) -> np.ndarray:
    """Two losses: a cost that grows with the options and an error that falls; odd options are bad at both."""
    weights = np.geomspace(1, 0.2, rows.shape[1])
    spoilt = 0.2 * (rows % 2).mean(axis=1)
    cost, gain = rows @ weights / weights.sum() / 4, np.sqrt(rows) @ weights[::-1] / weights.sum() / 2
    return np.stack([cost + spoilt, 1 - gain + spoilt], axis=1)


def searched(options: StrategyOptions, loss: Any, evaluations: int, seed: int = 0, space: Any = None) -> Strategy[Any]:
    """Run a search in batches of five."""
    space = plain() if space is None else space
    objectives = loss(space.sample(1, np.random.default_rng(0))).shape[1]
    searcher = create(options, space, objectives, seed)
    while len(searcher.history) < evaluations:
        rows = searcher.ask(5)
        searcher.tell(rows, loss(rows), np.zeros(len(rows)))
    return searcher


EVERY = {
    "regularized_evolution": RegularizedEvolutionOptions(population=30, sample=10),
    "local_search": LocalSearchOptions(),
    "map_elites": MapElitesOptions(),
    "mcts": MctsOptions(),
    "mcts learned": MctsOptions(partition="learned"),
    "bandit": BanditOptions(),
    "reinforce": ReinforceOptions(),
    "bayesian": BayesianOptions(training=40, candidates=40),
}


@pytest.mark.parametrize("name", EVERY)
def test_it_beats_random_search(name: str) -> None:
    """After 300 evaluations of two opposed losses the hypervolume is larger, for three seeds; 100 do for `bayesian`."""
    evaluations = 100 if name == "bayesian" else 300

    def volume(options: StrategyOptions, evaluations: int, seed: int) -> float:
        return hypervolume(searched(options, opposed, evaluations, seed).history.losses, [1.2, 1.2])

    found = [volume(EVERY[name], evaluations, seed) for seed in range(3)]
    assert min(found) > max(volume(RandomOptions(), 300, seed) for seed in range(3))


@pytest.mark.parametrize("name", EVERY)
def test_one_objective_is_found_sooner_than_by_chance(name: str) -> None:
    """After 300 (100) of 390,625 genotypes the median loss is less than random search has after 1,000."""
    evaluations = 100 if name == "bayesian" else 300
    found = [searched(EVERY[name], separable, evaluations, seed).history.losses.min() for seed in range(3)]
    random = [searched(RandomOptions(), separable, 1000, seed).history.losses.min() for seed in range(3)]
    assert np.median(found) < np.median(random)


def test_neighbours_differ_in_one_decision_and_are_all() -> None:
    """By hand for a conditional space; what becomes active takes its first option."""
    space = conditional()
    deep = np.array([1, 2, 1], np.int16)
    expected = {(0, 2, 0), (1, 0, 1), (1, 1, 1), (1, 2, 0), (1, 2, 2)}
    rows = neighbours(space, deep)
    assert {tuple(row) for row in rows.tolist()} == expected
    assert len(rows) == len(expected)
    shallow = {tuple(row) for row in neighbours(space, np.array([0, 1, 0], np.int16)).tolist()}
    assert shallow == {(1, 1, 0), (0, 0, 0), (0, 2, 0)}


def test_local_search_sees_every_neighbour_of_an_optimum_and_goes_on() -> None:
    """The optimum's 32 neighbours are all told; then the search continues elsewhere without repeating."""
    searcher = searched(LocalSearchOptions(first=5, memory=5), separable, 400)
    space = searcher.space
    optimum = np.full(8, 3, np.int16)
    told = set(space.keys(searcher.history.genotypes).tolist())
    assert len(told) == 400
    assert set(space.keys(neighbours(space, optimum)).tolist()) <= told
    assert searcher.history.losses.min() == 0


def test_weights_steer_regularized_evolution() -> None:
    """With all weight on one objective only that one is minimised; bad weights are refused."""
    options = RegularizedEvolutionOptions(population=30, sample=10, weights=(0.0, 2.0))
    newest = searched(options, opposed, 400).history.losses[-50:]
    assert np.median(newest[:, 1]) < np.median(newest[:, 0])
    for weights in ((1.0,), (0.0, 0.0)):
        with pytest.raises(ValueError, match=r"weights must be 2 numbers.*got \["):
            create(RegularizedEvolutionOptions(weights=weights), plain(), 2, 0)


def test_only_the_living_are_parents() -> None:
    """The incumbents are the newest results, even when older ones were better."""
    searcher = create(RegularizedEvolutionOptions(population=4), plain(), 1, 0)
    rows = searcher.ask(10)
    searcher.tell(rows, np.arange(10.0)[:, None], np.zeros(10))
    np.testing.assert_array_equal(searcher.incumbents, [6, 7, 8, 9])


def test_map_elites_keeps_the_best_of_each_cell() -> None:
    """Against a plain loop over the cells, with the infeasible behind the feasible."""
    searcher = create(MapElitesOptions(bins=4), plain(), 2, 0)
    assert isinstance(searcher, MapElites)
    rng = np.random.default_rng(0)
    rows = searcher.ask(200)
    losses, violations = rng.random((200, 2)), np.where(rng.random(200) < 0.3, 1.0, 0.0)
    for part in np.split(np.arange(200), [3, 50, 51]):
        searcher.tell(rows[part], losses[part], violations[part])
    cells = np.searchsorted(searcher._archive.edges[0], losses[:, 1])
    expected = set()
    for cell in range(4):
        members = np.flatnonzero((cells == cell) & (violations == 0))
        expected.add(int(members[losses[members, 0].argmin()]))
    assert set(searcher.incumbents.tolist()) == expected


@pytest.mark.parametrize(
    "options, message",
    [
        (MapElitesOptions(quality=2), r"from 0 to 1 \(got 2\)"),
        (MapElitesOptions(descriptors=(0,)), r"among \[1\] \(got \[0\]\)"),
        (MapElitesOptions(descriptors=(1, 1)), "distinct"),
        (MapElitesOptions(quality=0, descriptors=(1, 2, 3), bins=101), "more than 1,000,000 cells"),
        (Nsga2Options(early_exit=True), "needs a static bound"),
    ],
)
def test_options_that_do_not_fit_the_search_are_refused(options: StrategyOptions, message: str) -> None:
    """With what was given and what is allowed."""
    with pytest.raises(ValueError, match=message):
        create(options, plain(), 4 if "cells" in message else 2, 0)


def test_early_exit_drops_before_evaluation() -> None:
    """The first points are uniform among those that hold the bound."""
    searcher = create(
        Nsga2Options(population=200, early_exit=True),
        plain(),
        2,
        0,
        static_violation=lambda rows: rows.sum(axis=1) - 16.0,
    )
    rows = searcher.ask(200)
    assert (rows.sum(axis=1) <= 16).all()
    assert 12 < rows.sum(axis=1).mean() < 15


@pytest.mark.parametrize("options", [BanditOptions(), ReinforceOptions()], ids=lambda options: options.name)
def test_probabilities_sum_to_one_and_concentrate(options: StrategyOptions) -> None:
    """Of decisions that matter the best option gets most of the draws; exploration leaves some for others."""
    searcher = searched(options, separable, 1500)
    assert isinstance(searcher, PolicySearch)
    by_decision = searcher.probabilities.reshape(1, 8, 5)
    np.testing.assert_allclose(by_decision.sum(axis=2), 1)
    assert (by_decision[0, :3].argmax(axis=1) == 3).all()
    assert (by_decision[0, 0] > 0).all()
    assert by_decision[0, 0, 3] > 0.5


def test_factorised_draws_follow_their_probabilities() -> None:
    """Frequencies of 20,000 draws, two distributions at once; shares of the mixture against the definition."""
    space = GenotypeSpace([Decision("a", (0, 1, 2)), Decision("b", (0, 1))])
    layout = Factorised(space)
    table = layout.normalised(np.log([[0.2, 0.3, 0.5, 0.9, 0.1], [0.6, 0.3, 0.1, 0.5, 0.5]]))
    rows = layout.draw(table, np.arange(20_000) % 2, np.random.default_rng(0))
    for k in range(2):
        np.testing.assert_allclose(space.encode(rows[k::2]).mean(axis=0), table[k], atol=0.02)
    shares = layout.shares(table, np.array([[2, 0]], np.int16))
    np.testing.assert_allclose(shares[:, 0], np.array([0.45, 0.05]) / 0.25)


def test_contributions_are_those_of_the_hypervolume() -> None:
    """On the front by the difference of hypervolumes, behind it by the epsilon indicator, then by violation."""
    losses = np.array([[1.0, 4.0], [2.0, 2.0], [4.0, 1.0], [3.0, 3.0], [0.0, 0.0], [np.nan, 1.0]])
    violations = np.array([0.0, 0.0, 0.0, 0.0, 0.5, 0.0])
    judge = Contribution(losses, violations)
    worth = judge.worth(losses, violations)
    scaled = np.array([[0.25, 1.0], [0.5, 0.5], [1.0, 0.25]])
    for index in range(3):
        without = hypervolume(np.delete(scaled, index, axis=0), [1.1, 1.1])
        assert worth[index] == pytest.approx(hypervolume(scaled, [1.1, 1.1]) - without)
    assert worth[3] == pytest.approx(-0.25)
    assert worth[4] == -2.5
    assert worth[5] == -np.inf
    rewards = judge.rewards(losses, violations)
    assert rewards[5] == 0
    assert rewards[4] < rewards[3] < rewards[:3].min()
    new = judge.worth(np.array([[1.5, 1.5]]), np.zeros(1))
    assert new[0] > 0


def test_scalar_costs_put_the_feasible_first() -> None:
    """For any weights, then by violation, failed last; the least cost of some weight is on the front."""
    rng = np.random.default_rng(0)
    losses, violations = rng.random((50, 3)), np.where(rng.random(50) < 0.5, rng.random(50), 0.0)
    losses[7] = np.nan
    violations[3], violations[4] = 2.0, 3.0
    for cost in costs(losses, violations, random_weights(20, 3, rng)):
        assert cost[7] == np.inf
        assert cost[4] > cost[3] > cost[violations == 0][np.isfinite(cost[violations == 0])].max()
        assert int(cost.argmin()) in front(losses, violations)
    np.testing.assert_allclose(spread_weights(4, 2)[:, 0], [0.125, 0.375, 0.625, 0.875])
    np.testing.assert_allclose(spread_weights(9, 4).sum(axis=1), 1)


def test_bayesian_search_avoids_what_breaks_bounds() -> None:
    """Where bounds hold is learned: proposals hold them more and more often; it works from no feasible point."""
    space = plain()
    searcher = create(BayesianOptions(training=60, candidates=60), space, 2, 0)
    broken = []
    while len(searcher.history) < 120:
        rows = searcher.ask(5)
        violations = np.maximum(rows.sum(axis=1) - 9.0, 0)  # 9 % of the space
        broken.append((violations > 0).mean())
        searcher.tell(rows, opposed(rows), violations)
    assert np.mean(broken[:4]) > 0.8
    assert np.mean(broken[-10:]) < 0.75  # the front lies along the bound


def test_many_objectives_are_scalarised_by_bayesian_search() -> None:
    """Four objectives work, and the front grows."""

    def four(rows: Population) -> np.ndarray:
        return np.concatenate([opposed(rows), rows[:, :2].astype(float)], axis=1)

    searcher = searched(BayesianOptions(training=60, candidates=60), four, 80)
    assert len(front(searcher.history.losses)) > 5
