"""Predictor-assisted search: what it finds, on problems small enough to know."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from nas.front import hypervolume
from nas.strategies.features import Choices
from nas.strategies.predictor_assisted import PredictorAssisted, PredictorAssistedOptions
from nas.strategies.random import RandomOptions, RandomSearch
from nas.strategies.spread import spread_out
from search_spaces.decision import Decision
from search_spaces.genotypes import GenotypeSpace, Population

SPACE = GenotypeSpace([Decision(f"layer{layer}", (0, 1, 2, 3)) for layer in range(8)])
WIDTHS = np.array([0.0, 1.0, 2.0, 4.0])


def losses(rows: Population, objectives: int = 2) -> np.ndarray:
    """Error that falls with capacity and neighbouring agreement, a latency that is additive, and two more sums."""
    width = WIDTHS[rows]
    gain = np.sqrt(width).sum(axis=1) + 0.3 * (rows[:, 1:] == rows[:, :-1]).sum(axis=1)
    weights = np.linspace(0.5, 2.0, 8)
    columns = [np.exp(-0.25 * gain), 1 + width @ weights, (rows % 2).sum(axis=1) * 1.0, (rows == 2).sum(axis=1) * -1.0]
    return np.stack(columns[:objectives], axis=1)


def search(strategy: type, options: object, budget: int, objectives: int = 2, **more: object) -> np.ndarray:
    """The losses of a whole search in batches of five."""
    searcher = strategy(SPACE, objectives, 0, options, **more)
    while len(searcher.history) < budget:
        rows = searcher.ask(5)
        searcher.tell(rows, losses(rows, objectives), np.zeros(len(rows)))
    return np.array(searcher.history.losses)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_it_finds_better_fronts_than_random_search(objectives: int) -> None:
    """With one to four objectives, in 60 of 65,536 architectures."""
    sample = losses(SPACE.sample(2000, np.random.default_rng(5)), objectives)
    low, span = sample.min(axis=0), np.ptp(sample, axis=0)
    found = search(PredictorAssisted, PredictorAssistedOptions(), 60, objectives)
    by_chance = search(RandomSearch, RandomOptions(), 60, objectives)
    if objectives == 1:
        assert found.min() < by_chance.min()
        return
    ours, theirs = (hypervolume((each - low) / span, np.ones(objectives)) for each in (found, by_chance))
    assert ours > 1.02 * theirs


def test_results_do_not_depend_on_threads() -> None:
    """Linear algebra may use as many threads as it likes elsewhere."""
    runs = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            runs.append(search(PredictorAssisted, PredictorAssistedOptions(), 40))
    np.testing.assert_array_equal(*runs)


def test_first_points_span_the_costs() -> None:
    """With features that say what a network costs, the first points reach from the least to the most."""

    class Widths(Choices):
        """The choices and the total width."""

        groups = (32, 1)
        lengths = (1.0, 1.0)
        costs = (32,)

        def __init__(self) -> None:
            self._space = SPACE

        def __call__(self, population: Population) -> np.ndarray:
            return np.concatenate([super().__call__(population), WIDTHS[population].sum(axis=1)[:, None]], axis=1)

    searcher = PredictorAssisted(
        SPACE, 2, 0, PredictorAssistedOptions(first=12), features=Widths(), seeds=np.array([[0] * 8, [3] * 8], np.int16)
    )
    rows = searcher.ask(12)
    widths = np.sort(WIDTHS[rows].sum(axis=1))
    assert widths[0] == 0
    assert widths[-1] == 32
    assert np.diff(widths).max() < 8
    np.testing.assert_array_equal(rows[:2], [[0] * 8, [3] * 8])


def test_points_are_spread() -> None:
    """Without costs each point is the farthest from those before; no row is chosen twice."""
    x = np.array([[0.0], [0.1], [0.5], [1.0]])
    assert spread_out(x, np.zeros((4, 0)), 1, 3).tolist() == [0, 3, 2]
    assert sorted(spread_out(x, x, 0, 9).tolist()) == [0, 1, 2, 3]
    assert sorted(spread_out(np.zeros((3, 1)), np.zeros((3, 1)), 1, 3).tolist()) == [0, 1, 2]


def test_failures_and_bounds_are_learned() -> None:
    """Where evaluations fail or break a bound it soon proposes little, however good the losses look there."""
    searcher = PredictorAssisted(SPACE, 2, 0, PredictorAssistedOptions())
    for _ in range(16):
        rows = searcher.ask(5)
        told = losses(rows)
        told[rows[:, 0] == 3] = np.nan
        told[rows[:, 1] == 3] -= 5
        searcher.tell(rows, told, np.where(rows[:, 1] == 3, 0.5, 0.0))
    first, last = searcher.history.genotypes[:20], searcher.history.genotypes[-40:]
    assert ((first[:, 0] == 3) | (first[:, 1] == 3)).mean() > 0.3
    assert ((last[:, 0] == 3) | (last[:, 1] == 3)).mean() < 0.15


def test_without_anything_feasible_it_looks_for_that() -> None:
    """Every first result breaks the bound; the search walks towards where it holds."""
    searcher = PredictorAssisted(SPACE, 2, 0, PredictorAssistedOptions(first=10))
    amounts: list[np.ndarray] = []
    for _ in range(10):
        rows = searcher.ask(5)
        broken = np.maximum(WIDTHS[rows].sum(axis=1) - 2.0, 0.0)
        searcher.tell(rows, losses(rows), broken)
        amounts.append(broken)
    assert np.concatenate(amounts[:2]).min() > 0 or len(searcher.history) > 0
    assert np.concatenate(amounts).min() == 0


def test_neighbours_of_the_front_come_when_results_stop_moving_it() -> None:
    """Told that nothing new is any good, it spends the set share on the front's neighbourhood."""
    options = PredictorAssistedOptions(first=10, local=1.0, patience=5)
    searcher = PredictorAssisted(SPACE, 2, 0, options)
    best = np.full((1, 8), 1, np.int16)
    searcher.tell(best, [[-9.0, -9.0]], [0.0])
    for _ in range(3):
        rows = searcher.ask(5)
        searcher.tell(rows, losses(rows), np.zeros(5))
    rows = searcher.ask(5)
    assert ((rows != best).sum(axis=1) == 1).all()
