"""How good predictions are."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

WITHIN = 0.10
"""Relative error that counts as close."""


class Scores(NamedTuple):
    """Agreement of predictions with measurements.

    Attributes:
        spearman: rank correlation (C. Spearman, 1904); NaN where either side is constant.
        kendall: rank correlation tau-b (M. Kendall, 1938); NaN where either side is constant.
        within_10: share of predictions within 10 % of the measurement.
        coverage_90: share of measurements in their 90 % interval.
    """

    spearman: float
    kendall: float
    within_10: float
    coverage_90: float

    @classmethod
    def of(cls, measured: Array, predicted: Array, low: Array, high: Array) -> "Scores":
        """Compare (n,) measurements with (n,) predictions and the ends of their 90 % intervals."""
        varied = len(measured) > 1 and np.ptp(measured) > 0 and np.ptp(predicted) > 0
        return cls(
            float(stats.spearmanr(measured, predicted).statistic) if varied else float("nan"),
            float(stats.kendalltau(measured, predicted).statistic) if varied else float("nan"),
            float((np.abs(predicted - measured) <= WITHIN * np.abs(measured)).mean()),
            float(((low <= measured) & (measured <= high)).mean()),
        )
