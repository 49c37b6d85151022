"""What a search believes about all losses and bounds at once, and what it expects to gain."""

import numpy as np
import scipy
from numpy.typing import NDArray

from nas.front import usable
from nas.strategies.acquisition import Boxes, at_nodes
from nas.strategies.gaussian import GaussianProcess
from nas.strategies.surrogate import Surrogate

Array = NDArray[np.float64]

TIGHTENED = 0.06
"""The reference point lies this share of the range before the worst losses. Candidates that gain by a hair of the worst
loss, times a wide range of another, are mirages."""
CERTAIN = 1e-6
LIKELY = 0.7
"""Chance of success above which a gain counts."""


class Belief:
    """Surrogates of m losses, and of whether an evaluation succeeds within the bounds, conditioned on results.

    Args:
        surrogates: one for each loss, with their settings.
        bounds: a process with settings for whether bounds hold, see `bound_targets`.
        features: (n, f) of all results, failed ones included.
        losses: (n, m), NaN where the evaluation failed.
        violations: (n,).
    """

    def __init__(
        self,
        surrogates: list[Surrogate],
        bounds: GaussianProcess,
        features: Array,
        losses: Array,
        violations: Array,
    ) -> None:
        worked = usable(losses)
        self._surrogates = [
            surrogate.fit(features[worked], column)
            for surrogate, column in zip(surrogates, losses[worked].T, strict=True)
        ]
        self.good = worked & (violations <= 0)
        self.reached = losses[self.good]
        worst, span = losses[worked].max(axis=0), np.ptp(losses[worked], axis=0)
        self.reference = worst - TIGHTENED * span + CERTAIN * np.where(span > 0, 0.0, np.abs(worst) + 1.0)
        self._bounds = None if self.good.all() else bounds.fit(features, bound_targets(losses, violations))

    def scores(self, features: Array) -> Array:
        """Return (n, m) predicted losses on their warped scales, plus what a probable failure costs."""
        scores = np.stack([surrogate.mean(features) for surrogate in self._surrogates], axis=1)
        if self._bounds is not None:
            scores += np.maximum(self._bounds.mean(features), 0.0)[:, None] * np.maximum(np.ptp(scores, axis=0), 1.0)
        return scores

    def means(self, features: Array) -> Array:
        """Return (n, m) predicted losses."""
        columns = [surrogate.warping.inverse(surrogate.mean(features)) for surrogate in self._surrogates]
        return np.stack(columns, axis=1)

    def samples(self, features: Array, share: float) -> Array:
        """Return (m, n, nodes) losses at quadrature nodes, with a share of the predictive deviation."""
        found = []
        for surrogate in self._surrogates:
            mean, deviation = surrogate.predict(features)
            found.append(surrogate.warping.inverse(at_nodes(mean, share * deviation)))
        return np.stack(found)

    def rough_samples(self, features: Array, share: float) -> Array:
        """The same with one deviation for all, that of the noise: much cheaper."""
        found = []
        for surrogate in self._surrogates:
            mean = surrogate.mean(features)
            found.append(surrogate.warping.inverse(at_nodes(mean, np.full(len(mean), share * surrogate.noise))))
        return np.stack(found)

    def chances(self, features: Array) -> Array:
        """Return (n,) probabilities that an evaluation succeeds within all bounds."""
        if self._bounds is None:
            return np.ones(len(features))
        mean, deviation = self._bounds.predict(features)
        chances: Array = scipy.special.ndtr(-mean / np.hypot(deviation, self._bounds.noise))
        return chances

    def gains(self, samples: Array, chances: Array, more: Array) -> Array:
        """Return what (n,) candidates are worth.

        It is the expected hypervolume improvement over what was reached and (k, m) more losses, times the chance of
        success. Those that will probably not succeed come after all others, by their chance less 1: beyond a bound
        losses can promise any gain, which no small chance makes up for.
        """
        improvement = Boxes(np.concatenate([self.reached, more]), self.reference).improvement(samples)
        return np.where(chances > LIKELY, improvement * chances, chances - 1.0)


def bound_targets(losses: Array, violations: Array) -> Array:
    """Return (n,) numbers: -1 where evaluations succeed within the bounds, above 0 elsewhere, 1 where they fail."""
    worked = usable(losses)
    amounts = np.where(worked, violations, np.nan)
    broken = amounts > 0
    typical = float(np.median(amounts[broken])) if broken.any() else 1.0
    target = np.where(broken, 0.5 + np.minimum(amounts / typical, 2.0) / 2, -1.0)
    target[~worked] = 1.0
    return target
