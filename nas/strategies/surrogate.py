"""What a search believes about losses it has not seen: a warped Gaussian process for each."""

import numpy as np
from numpy.typing import NDArray

from nas.strategies.gaussian import GaussianProcess

Array = NDArray[np.float64]

SHIFTS = (0.03, 0.1, 0.3, 1.0, 10.0)
"""How concave a warping may be: the smaller, the more of the scale lies near the best loss."""


class Warping:
    """The logarithm of how far a loss lies above the best one, plus a shift: log((y - best) / range + shift).

    Errors and latencies spread over orders of magnitude; what matters are differences near the front.
    """

    def __init__(self, losses: Array, shift: float) -> None:
        self._best = float(losses.min())
        spread = float(losses.max()) - self._best
        self._spread = spread if spread > 0 else 1.0
        self._shift = shift

    def __call__(self, losses: Array) -> Array:
        """Return the warped losses."""
        warped: Array = np.log((losses - self._best) / self._spread + self._shift)
        return warped

    def inverse(self, warped: Array) -> Array:
        """Return the losses of warped ones."""
        losses: Array = self._best + self._spread * (np.exp(np.minimum(warped, 50.0)) - self._shift)
        return losses

    def slope(self, losses: Array) -> Array:
        """Return the derivatives at losses, as fractions of the range."""
        slope: Array = 1.0 / ((losses - self._best) / self._spread + self._shift)
        return slope


class Surrogate:
    """Predicts one loss from features, on a warped scale.

    Args:
        groups: sizes of the groups of features.
        shift: of the warping.
        settings: of the Gaussian process.
    """

    def __init__(self, groups: tuple[int, ...], shift: float, settings: Array) -> None:
        self._groups = groups
        self._shift = shift
        self._settings = settings

    @classmethod
    def tuned(
        cls,
        groups: tuple[int, ...],
        features: Array,
        losses: Array,
        steps: int,
        expected: tuple[float, ...] | None = None,
    ) -> "Surrogate":
        """Choose the warping and the settings by their likelihood for (n, f) features and (n,) losses."""
        plain = GaussianProcess(groups, GaussianProcess.default(groups, expected), expected)

        def score(shift: float) -> float:
            warping = Warping(losses, shift)
            warped = warping(losses)
            deviation = max(float(warped.std()), 1e-12)
            jacobian = float(np.log(warping.slope(losses)).sum()) - len(losses) * np.log(deviation)
            return float(plain.evidence(features, warped) + jacobian)

        shift = max(SHIFTS, key=score)
        process = plain.tuned(features, Warping(losses, shift)(losses), steps)
        return cls(groups, shift, process.settings)

    def fit(self, features: Array, losses: Array) -> "Surrogate":
        """Condition on (n, f) features and (n,) losses."""
        self.warping = Warping(losses, self._shift)
        self._process = GaussianProcess(self._groups, self._settings).fit(features, self.warping(losses))
        return self

    def mean(self, features: Array) -> Array:
        """Return (n,) predicted warped losses."""
        return self._process.mean(features)

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Return (n,) predicted warped losses and their standard deviations."""
        return self._process.predict(features)

    @property
    def noise(self) -> float:
        """The standard deviation of the noise on the warped scale."""
        return self._process.noise
