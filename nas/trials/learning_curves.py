"""How far a training may still come, learned from trainings that have ended."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Curve = Mapping[str, Sequence[float]]
"""`epoch`, and metric -> its value after each of them."""


class LearningCurves:
    """Intervals of final values.

    At a share of the epochs, the logarithm of the final error is a line over the logarithm of the error so far, fitted
    by least squares to all trainings that came to their end; the interval is that of a new observation, with Student's
    t (as Baker et al., Accelerating neural architecture search using performance prediction, arXiv 1705.10823, predict
    final accuracies, but with few curves and an interval in closed form). The error is 1 - accuracy, or the loss. A
    schedule of the learning rate is in the curves that it is learned from, so they may bend late.

    What was stopped is not learned from, so intervals describe trainings that were worth to be finished.

    Args:
        confidence: share of final values that are not better than the end of the interval.
        after: curves that are needed, 4 at least.
        samples: on which accuracy is measured; half of one is added to its errors, which may be 0.
    """

    def __init__(self, confidence: float, after: int, samples: int) -> None:
        self._confidence, self._after, self._half = confidence, after, 0.5 / samples
        self._curves: list[Curve] = []

    def add(self, curve: Curve) -> None:
        """Learn from a training that came to its end."""
        self._curves = [*self._curves, curve]  # whoever looks from another thread sees the old or the new list

    def best(self, metric: str, epoch: int, epochs: int, value: float) -> float | None:
        """The best final value to be expected; None while too little is known.

        Args:
            metric: `accuracy` or `loss`.
            epoch: that is done.
            epochs: of the whole training.
            value: of the metric after it.
        """
        curves = self._curves
        if len(curves) < self._after:
            return None
        share = epoch / epochs
        errors = [self._errors(metric, curve) for curve in curves]
        x = np.array([np.interp(share, at, error) for at, error in errors])
        y = np.array([error[-1] for _, error in errors])
        (here,) = self._log_error(metric, [value])
        log_error = _lower(x, y, float(here), self._confidence)
        if metric == "accuracy":
            return float(min(1.0, 1.0 - (np.exp(log_error) - self._half)))
        return float(np.exp(log_error))

    def _errors(self, metric: str, curve: Curve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Shares of the epochs, and the logarithm of the error at each."""
        epochs = np.asarray(curve["epoch"], np.float64)
        return epochs / epochs[-1], self._log_error(metric, curve[metric])

    def _log_error(self, metric: str, values: Sequence[float]) -> NDArray[np.float64]:
        given = np.asarray(values, np.float64)
        logs: NDArray[np.float64] = np.log(1.0 - given + self._half if metric == "accuracy" else given + 1e-9)
        return logs


def _lower(x: NDArray[np.float64], y: NDArray[np.float64], at: float, confidence: float) -> float:
    """The lower end of the one-sided interval of a new y at a point, by the line through (n,) x and y."""
    n, centred = len(x), x - x.mean()
    spread = float(centred @ centred)
    if spread < 1e-12:  # all began alike: nothing is learned from where they stood
        slope, free, distance = 0.0, n - 1, 0.0
    else:
        slope, free = float(centred @ y) / spread, n - 2
        distance = (at - float(x.mean())) ** 2 / spread
    residuals = y - y.mean() - slope * centred
    deviation = float(np.sqrt(residuals @ residuals / free * (1 + 1 / n + distance)))
    middle = float(y.mean()) + slope * (at - float(x.mean()))
    return middle - float(stdtrit(free, confidence)) * deviation
