"""Losses and violations of objectives, and what bad input gets."""

import numpy as np
import pytest
from pydantic import ValidationError

from nas.objectives import Objective, losses, violations

ACCURACY = Objective(metric="accuracy", direction="max", bound=0.8)
LATENCY = Objective(metric="latency_ms@cpu", direction="min", bound=20)


def test_losses_are_minimised_in_both_directions() -> None:
    """A maximised metric changes sign, NaN stays NaN, and values are given back."""
    values = np.array([0.7, np.nan, 0.9])
    np.testing.assert_array_equal(ACCURACY.losses(values), [-0.7, np.nan, -0.9])
    np.testing.assert_array_equal(LATENCY.losses(values), values)
    np.testing.assert_array_equal(ACCURACY.values(ACCURACY.losses(values)), values)


def test_violations_are_relative_to_the_bound() -> None:
    """0 at and within the bound, (value - bound) / |bound| beyond it, NaN for a failure."""
    np.testing.assert_allclose(LATENCY.violations([10, 20, 25, np.nan, np.inf]), [0, 0, 0.25, np.nan, np.inf])
    np.testing.assert_allclose(ACCURACY.violations([0.9, 0.8, 0.6]), [0, 0, 0.25])
    negative = Objective(metric="score", direction="min", bound=-2)
    np.testing.assert_allclose(negative.violations([-3, -2, -1]), [0, 0, 0.5])
    zero = Objective(metric="score", direction="max", bound=0)
    np.testing.assert_allclose(zero.violations([1, 0, -3]), [0, 0, 3])
    np.testing.assert_array_equal(Objective(metric="m", direction="min").violations([5, np.nan]), [0, np.nan])


def test_several_objectives_make_a_matrix_and_one_violation() -> None:
    """Columns in the order of the objectives; violations add up; one failed metric fails the row."""
    metrics = {
        "latency_ms@cpu": np.array([30.0, 10.0, 10.0]),
        "accuracy": np.array([0.4, 0.9, np.nan]),
        "macs": np.array([1.0, 2.0, 3.0]),
    }
    both = [ACCURACY, LATENCY]
    np.testing.assert_allclose(losses(both, metrics), [[-0.4, 30], [-0.9, 10], [np.nan, 10]])
    np.testing.assert_allclose(violations(both, metrics), [1.0, 0, np.nan])
    empty = {"accuracy": np.zeros(0), "latency_ms@cpu": np.zeros(0)}
    assert losses(both, empty).shape == (0, 2)
    assert violations(both, empty).shape == (0,)


def test_a_metric_that_was_not_evaluated_is_named() -> None:
    """The message lists what is there."""
    with pytest.raises(ValueError, match=r"objective 'accuracy' is not a metric .*; known: macs, params"):
        losses([ACCURACY], {"macs": np.zeros(1), "params": np.zeros(1)})
    with pytest.raises(ValueError, match="at least one objective"):
        violations([], {})


@pytest.mark.parametrize(
    "given, message",
    [
        ({"metric": "macs", "direction": "down"}, "'min' or 'max'"),
        ({"metric": "macs", "direction": "min", "bound": float("nan")}, "finite"),
        ({"metric": "macs", "direction": "min", "weight": 1}, "(?s)weight.*not permitted"),
        ({"metric": "", "direction": "min"}, "at least 1 character"),
        ({"direction": "min"}, "(?s)metric.*required"),
    ],
)
def test_bad_objectives_are_refused(given: dict[str, object], message: str) -> None:
    """Direction, bound, unknown keys and a missing metric."""
    with pytest.raises(ValidationError, match=message):
        Objective.model_validate(given)
