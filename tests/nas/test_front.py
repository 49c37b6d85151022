"""The front, its hypervolume and its knee, against calculations written down independently."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nas.front import feasible, front, hypervolume, knee, nearest, normalise

POINTS = st.integers(1, 3).flatmap(
    lambda m: arrays(
        np.float64,
        st.tuples(st.integers(0, 9), st.just(m)),
        elements=st.one_of(st.integers(0, 6).map(float), st.just(np.nan)),
    )
)


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    """The definition of Pareto dominance."""
    return bool((a <= b).all() and (a < b).any())


def union_of_boxes(points: np.ndarray, corner: np.ndarray) -> float:
    """The volume of a union of boxes [point, corner], by inclusion and exclusion."""
    total = 0.0
    for count in range(1, len(points) + 1):
        for chosen in combinations(range(len(points)), count):
            sides = np.maximum(corner - points[list(chosen)].max(axis=0), 0)
            total -= (-1) ** count * float(np.prod(sides))
    return total


@given(POINTS, st.data())
@settings(max_examples=200)
def test_front_is_what_no_feasible_result_dominates(losses: np.ndarray, data: st.DataObject) -> None:
    """Brute force over all pairs, with failures, infeasible results and duplicates."""
    violations = data.draw(arrays(np.float64, len(losses), elements=st.sampled_from([0.0, 0.0, 0.5, np.nan])))
    good = [i for i in range(len(losses)) if not np.isnan(losses[i]).any() and violations[i] <= 0]
    expected = {i for i in good if not any(dominates(losses[j], losses[i]) for j in good)}
    found = front(losses, violations)
    assert set(found.tolist()) == expected
    assert len(found) == len(expected)
    ordered = losses[found].tolist()
    assert ordered == sorted(ordered)
    np.testing.assert_array_equal(np.flatnonzero(feasible(losses, violations)), good)
    np.testing.assert_array_equal(front(losses), front(losses, np.zeros(len(losses))))


@given(POINTS)
@settings(max_examples=150)
def test_hypervolume_is_the_volume_of_the_union(losses: np.ndarray) -> None:
    """Inclusion and exclusion over the boxes of all results that did not fail."""
    corner = np.full(losses.shape[1], 5.0)
    points = losses[~np.isnan(losses).any(axis=1)]
    assert hypervolume(losses, corner) == pytest.approx(union_of_boxes(points, corner), abs=1e-9)


@pytest.mark.parametrize("m", [2, 3])
def test_hypervolume_of_many_points_agrees_with_monte_carlo(m: int) -> None:
    """A thousand points against the share of 40,000 darts that some point dominates."""
    rng = np.random.default_rng(m)
    losses = rng.random((1_000, m)) ** 0.3
    darts = rng.random((40_000, m))
    hit = np.zeros(len(darts), np.bool_)
    for point in losses[front(losses)]:
        hit |= (darts >= point).all(axis=1)
    assert hypervolume(losses, np.ones(m)) == pytest.approx(hit.mean(), abs=0.01)


def test_no_results_one_result_and_no_feasible_result() -> None:
    """Nothing has an empty front; one is the front; without a feasible one the nearest is told."""
    none, no_violations = np.zeros((0, 2)), np.zeros(0)
    assert front(none, no_violations).size == 0
    assert knee(none) is None
    assert nearest(none, no_violations) is None
    assert hypervolume(none, [1, 1]) == 0
    one = np.array([[0.5, 0.5]])
    assert front(one).tolist() == [0]
    assert knee(one) == 0
    assert hypervolume(one, [1, 1]) == pytest.approx(0.25)
    losses = np.array([[1.0, 2.0], [np.nan, 0.0], [3.0, 4.0]])
    assert front(losses, np.array([0.3, 0.0, 0.2])).size == 0
    assert knee(losses, np.array([0.3, 0.0, 0.2])) is None
    assert nearest(losses, np.array([0.3, 0.0, 0.2])) == 2
    assert nearest(losses, np.array([0.3, 0.0, np.nan])) == 0
    assert nearest(np.full((2, 2), np.nan), np.zeros(2)) is None


def test_points_outside_the_reference_add_nothing() -> None:
    """A result that is worse than the reference in one loss dominates no volume before it."""
    assert hypervolume(np.array([[0.0, 2.0], [2.0, 0.0], [1.0, 1.0]]), [1, 1]) == 0


def test_knee_balances_the_front() -> None:
    """On an L-shaped front it is the corner, whatever the units and dominated points."""
    losses = np.array([[0, 1000], [0.1, 100], [1, 0], [0.9, 900], [np.nan, 0]])
    assert knee(losses) == 1
    assert knee(np.array([[3.0], [1.0], [1.0]])) == 1
    assert knee(np.array([[1.0, 1.0], [1.0, 1.0]])) == 0


def test_normalise_scales_to_the_unit_cube() -> None:
    """Failed rows stay NaN, a constant loss becomes 0, given bounds are used."""
    losses = np.array([[2.0, 7.0], [np.nan, 1.0], [4.0, 7.0]])
    np.testing.assert_array_equal(normalise(losses), [[0, 0], [np.nan, -6], [1, 0]])
    np.testing.assert_array_equal(normalise(losses, [0, 0], [4, 14])[[0, 2]], [[0.5, 0.5], [1, 0.5]])
    assert np.isnan(normalise(np.full((2, 2), np.nan))).all()


def test_wrong_shapes_are_refused() -> None:
    """What was given and what is expected."""
    with pytest.raises(ValueError, match=r"shape \(n, m\).*got \(3,\)"):
        front(np.zeros(3))
    with pytest.raises(ValueError, match=r"shape \(2,\) .*got \(3,\)"):
        front(np.zeros((2, 2)), np.zeros(3))
    with pytest.raises(ValueError, match="must be 2 finite numbers"):
        hypervolume(np.zeros((2, 2)), [1, np.inf])
    with pytest.raises(ValueError, match="must be 2 finite numbers"):
        hypervolume(np.zeros((2, 2)), [1, 1, 1])
