"""Constrained ranks and crowding against their definitions, ranks of numbers against scipy."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from nas.strategies.ranking import average_ranks, best, crowding, ranks

RESULTS = st.tuples(st.integers(0, 12), st.integers(1, 3)).flatmap(
    lambda shape: st.tuples(
        arrays(np.float64, shape, elements=st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, np.nan, np.inf])),
        arrays(np.float64, shape[0], elements=st.sampled_from([0.0, 0.0, 0.0, 0.5, 2.0, np.inf, np.nan])),
    )
)


def better(losses: np.ndarray, violations: np.ndarray, a: int, b: int) -> bool:
    """Deb's constrained dominance, with failures below everything."""
    failed = [not np.isfinite(losses[i]).all() or np.isnan(violations[i]) for i in (a, b)]
    if any(failed):
        return failed == [False, True]
    if violations[a] > 0 or violations[b] > 0:
        return bool(max(violations[a], 0) < max(violations[b], 0))
    return bool((losses[a] <= losses[b]).all() and (losses[a] < losses[b]).any())


@given(RESULTS)
@settings(max_examples=200)
def test_ranks_peel_off_what_nothing_is_better_than(results: tuple[np.ndarray, np.ndarray]) -> None:
    """Front by front, by brute force: results of one front share a rank, later fronts have higher ones."""
    losses, violations = results
    rank = ranks(losses, violations)
    left = set(range(len(losses)))
    last = -1
    while left:
        top = {i for i in left if not any(better(losses, violations, j, i) for j in left)}
        values = {int(rank[i]) for i in top}
        assert len(values) == 1
        assert min(values) > last
        last = min(values)
        left -= top


def test_crowding_by_hand() -> None:
    """Two fronts; ends are infinite, an inner point has its box relative to its front, duplicates little."""
    losses = np.array([[0, 4], [1, 2], [4, 0], [10, 30], [20, 20], [30, 10], [20, 20]], np.float64)
    rank = np.array([0, 0, 0, 1, 1, 1, 1])
    found = crowding(losses, rank)
    np.testing.assert_allclose(found, [np.inf, 2.0, np.inf, np.inf, 1.0, np.inf, 1.0])
    assert crowding(np.zeros((0, 2)), np.zeros(0, np.intp)).shape == (0,)
    np.testing.assert_array_equal(crowding(np.zeros((3, 1)), np.zeros(3, np.intp)), [np.inf, 0, np.inf])


def test_best_prefers_the_uncrowded_of_the_last_front() -> None:
    """The cut through a front keeps its ends; failed results are never kept."""
    losses = np.array([[0, 9], [1, 7.9], [1.1, 7.8], [9, 0], [np.nan, 0], [-1, -1]])
    violations = np.array([0, 0, 0, 0, 0, 1.0])
    assert set(best(losses, violations, 2).tolist()) == {0, 3}
    assert best(losses, violations, 99).tolist()[-1] == 5
    assert len(best(losses, violations, 99)) == 5
    assert best(losses[4:5], violations[4:5], 3).size == 0


@given(
    arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.sampled_from([0.0, 1.0, np.inf]))
)
@settings(max_examples=50)
def test_average_ranks_are_those_of_scipy(values: np.ndarray) -> None:
    """Along both axes, with ties and infinities."""
    for axis in (0, 1):
        np.testing.assert_array_equal(average_ranks(values, axis), rankdata(values, axis=axis))
