"""Intervals that hold what they say: split-conformal, on residuals of what a predictor had not seen.

V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World", 2005; with few samples the residuals come
from leaving each out (R. F. Barber et al., "Predictive inference with the jackknife+", Annals of Statistics 49(1),
2021), and each is divided by the deviation that was predicted for it, so that intervals are wide where the predictor is
unsure.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from predictors.errors import PredictorError

Array = NDArray[np.float64]

PRIOR_SAMPLES = 10.0
"""The weight, in samples, of what Student's t says about the quantiles of residuals."""
SAMPLES_PER_FREEDOM = 4.0
"""Samples for each degree of freedom that is left when a model was chosen on the same samples."""


class Calibration:
    """From predicted deviations to intervals.

    The factor for a level is the conformal quantile of n normalised residuals. With few samples that quantile is one
    of the two or three largest, which is unbiased and very noisy; so it is averaged, on a logarithmic scale, with
    what residuals of that size under Student's t would have, which counts as `PRIOR_SAMPLES` samples.

    Args:
        residuals: (n,) absolute held-out errors divided by the deviations that were predicted.

    Raises:
        PredictorError: no residual, or one that is not a finite number.
    """

    def __init__(self, residuals: Array) -> None:
        if not len(residuals) or not np.isfinite(residuals).all():
            raise PredictorError("a calibration needs finite held-out residuals")
        self.residuals = np.sort(np.abs(residuals))

    def factor(self, level: float) -> float:
        """How many predicted deviations an interval of a level reaches to each side.

        Raises:
            PredictorError: a level that is not inside (0, 1).
        """
        if not 0 < level < 1:
            raise PredictorError(f"the level of an interval must be in (0, 1) (got {level})")
        n = len(self.residuals)
        rank = min(level * (n + 1) / n, 1.0)
        empirical = max(float(np.quantile(self.residuals, rank)), 1e-12)
        expected = float(stats.t.ppf(0.5 + level / 2, max(n / SAMPLES_PER_FREEDOM, 2.0))) * self._size
        trust = n / (n + PRIOR_SAMPLES)
        return math.exp(trust * math.log(empirical) + (1 - trust) * math.log(expected))

    @property
    def _size(self) -> float:
        """The deviation of residuals that are normal but for outliers, shrunk to 1 where they are few."""
        n = len(self.residuals)
        root = math.sqrt(float(np.mean(np.minimum(self.residuals, 3.0) ** 2)))
        trust = n / (n + PRIOR_SAMPLES)
        return math.exp(trust * math.log(max(root, 1e-6)))
