"""Final values are within the interval as often as it says, whatever the metric."""

import numpy as np
import pytest
from scipy import stats

from nas.trials.learning_curves import LearningCurves

EPOCHS = 10


def curves(n: int, rng: np.random.Generator) -> list[dict[str, list[float]]]:
    """Losses that fall from a random height, and end on a line of the logarithm with normal noise."""
    found = []
    for start in rng.normal(0.0, 0.5, n):
        end = 0.8 * start - 1.0 + rng.normal(0.0, 0.2)
        values = np.exp(np.linspace(start, end, EPOCHS))
        found.append(
            {"epoch": list(range(1, EPOCHS + 1)), "loss": values.tolist(), "accuracy": (1 - values / 20).tolist()}
        )
    return found


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
@pytest.mark.parametrize("n", [6, 30])
def test_the_interval_holds_what_it_says(metric: str, n: int) -> None:
    """Of 600 trainings, 90 % end no better than the end of their interval, with few curves as with many."""
    rng, covered = np.random.default_rng(n), 0
    for _ in range(600):
        *known, new = curves(n + 1, rng)
        interval = LearningCurves(0.9, 4, samples=10**6)
        for curve in known:
            interval.add(curve)
        best = interval.best(metric, 1, EPOCHS, new[metric][0])
        assert best is not None
        covered += new[metric][-1] <= best if metric == "accuracy" else new[metric][-1] >= best
    assert 0.87 <= covered / 600 <= 0.93


def test_it_is_the_prediction_interval_of_a_line() -> None:
    """SciPy's regression, and the textbook's interval of a new observation."""
    known = curves(8, np.random.default_rng(0))
    interval = LearningCurves(0.95, 8, samples=100)
    for curve in known[:-1]:
        interval.add(curve)
        assert interval.best("loss", 3, EPOCHS, 0.5) is None
    interval.add(known[-1])
    x, y = np.log([[curve["loss"][2], curve["loss"][-1]] for curve in known]).T
    line = stats.linregress(x, y)
    residual = np.sqrt(((y - line.intercept - line.slope * x) ** 2).sum() / 6)
    at = np.log(0.5)
    width = residual * np.sqrt(1 + 1 / 8 + (at - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum())
    expected = np.exp(line.intercept + line.slope * at - stats.t.ppf(0.95, 6) * width)
    assert interval.best("loss", 3, EPOCHS, 0.5) == pytest.approx(expected, rel=1e-6)
    # Half of a training of 20 epochs is compared with half of one of 10, between two of its epochs where need be.
    assert interval.best("loss", 6, 2 * EPOCHS, 0.5) == pytest.approx(expected, rel=1e-6)


def test_curves_that_began_alike_give_an_interval_too() -> None:
    """No line can be drawn, so it is the interval of the final values themselves; accuracy stays below 1."""
    interval = LearningCurves(0.95, 4, samples=100)
    for end in (0.9, 0.92, 0.94, 1.0):
        interval.add({"epoch": [1, 2], "accuracy": [0.5, end], "loss": [1.0, 0.5]})
    best = interval.best("accuracy", 1, 2, 0.5)
    assert best is not None
    assert 0.94 < best <= 1.0
    assert interval.best("loss", 1, 2, 1.0) == pytest.approx(0.5, rel=1e-6)
