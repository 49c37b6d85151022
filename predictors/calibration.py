"""Intervals that hold what they say: split-conformal, on residuals of what a predictor had not seen.

V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World", 2005; with few samples the residuals come
from leaving each out (R. F. Barber et al., "Predictive inference with the jackknife+", Annals of Statistics 49(1),
2021), and each is divided by a scale that grows with the deviation that was predicted for it, so that intervals are
wide where the predictor is unsure (H. Papadopoulos et al., "Normalized nonconformity measures for regression conformal
prediction", 2008).
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from predictors.errors import PredictorError

Array = NDArray[np.float64]

PRIOR_SAMPLES = 10.0
"""The weight, in samples, of what Student's t says about the quantiles of residuals."""
SAMPLES_PER_FREEDOM = 4.0
"""Samples for each degree of freedom that is left when a model was chosen on the same samples."""
BELIEF = 0.5
"""The power of the predicted deviation that intervals follow: 0 is one width for all, 1 is what the predictor says.

Deviations are estimates too, and the samples to learn from are no random ones: they were chosen where most is unknown,
so each is predicted with a large deviation when it is left out, and what is asked later with a small one."""
FEW = 200
"""Residuals up to which each is judged by the others alone."""


class Calibration:
    """From predicted deviations to intervals.

    The factor for a level is the conformal quantile of the normalised residuals of n samples or groups. With few that
    quantile is one of the two or three largest, which is unbiased and very noisy; so it is averaged, on a logarithmic
    scale, with what residuals of that size under Student's t would have, which counts as `PRIOR_SAMPLES` of them.

    Args:
        errors: (n,) held-out errors.
        deviations: (n,) deviations that were predicted for them.
        belief: the power of deviations that intervals follow.
        groups: (n,) which errors are of samples that are alike and were left out together. What is asked about is then
            taken to be of a group of its own, so that it is groups that count, each by its own quantile (R. Dunn,
            L. Wasserman, A. Ramdas, "Distribution-free prediction sets for two-layer hierarchical models", JASA, 2023).

    Raises:
        PredictorError: no error, one that is not a finite number, or a deviation that is not above 0.
    """

    def __init__(
        self, errors: Array, deviations: Array, belief: float = BELIEF, groups: NDArray[np.intp] | None = None
    ) -> None:
        if not len(errors) or not np.isfinite([errors, deviations]).all() or not (deviations > 0).all():
            raise PredictorError("a calibration needs finite held-out errors and deviations above 0")
        self.errors, self.deviations, self.belief = np.abs(errors), deviations, belief
        self._usual = math.exp(float(np.log(deviations).mean()))
        self._residuals = self.errors / self._scale(deviations)
        alone = np.arange(len(errors))
        self.groups = alone if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
        self._count = int(self.groups.max()) + 1

    def reach(self, deviations: Array, level: float) -> Array:
        """Return how far intervals of a level reach to each side of predictions with (n,) deviations.

        Raises:
            PredictorError: a level that is not inside (0, 1).
        """
        return self._factor(level) * self._scale(deviations)

    def left_out(self, level: float) -> Array:
        """Return how far each of the (n,) intervals reaches that the others give; where there are many, that all give.

        Raises:
            PredictorError: a level that is not inside (0, 1).
        """
        if not 1 < self._count <= FEW:
            return self.reach(self.deviations, level)
        found = np.empty(len(self.errors))
        for group in range(self._count):
            out = self.groups == group
            others = Calibration(self.errors[~out], self.deviations[~out], self.belief, self.groups[~out])
            found[out] = others.reach(self.deviations[out], level)
        return found

    def _scale(self, deviations: Array) -> Array:
        scale: Array = self._usual * (deviations / self._usual) ** self.belief
        return scale

    def _factor(self, level: float) -> float:
        if not 0 < level < 1:
            raise PredictorError(f"the level of an interval must be in (0, 1) (got {level})")
        n = self._count
        rank = min(level * (n + 1) / n, 1.0)
        empirical = max(float(np.quantile(self._reached(level), rank)), 1e-12)
        expected = float(stdtrit(max(n / SAMPLES_PER_FREEDOM, 2.0), 0.5 + level / 2)) * self._size
        trust = n / (n + PRIOR_SAMPLES)
        return math.exp(trust * math.log(empirical) + (1 - trust) * math.log(expected))

    def _reached(self, level: float) -> Array:
        """The quantile of the residuals of each group; of samples that are no group, their residuals."""
        if self._count == len(self._residuals):
            return self._residuals
        return np.array([np.quantile(self._residuals[self.groups == each], level) for each in range(self._count)])

    @property
    def _size(self) -> float:
        """The deviation of residuals that are normal but for outliers, shrunk to 1 where they are few."""
        n, squares = self._count, np.minimum(self._residuals, 3.0) ** 2
        root = math.sqrt(float(np.mean(np.bincount(self.groups, squares) / np.bincount(self.groups))))
        trust = n / (n + PRIOR_SAMPLES)
        return math.exp(trust * math.log(max(root, 1e-6)))
