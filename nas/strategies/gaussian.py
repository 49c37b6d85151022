"""Gaussian process regression on groups of features, as the predictors of a search need it: small and often fitted.

C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press, 2006.
"""

from typing import NamedTuple

import numpy as np
import scipy  # its parts are imported when they are asked for, since most jobs need none
from numpy.typing import NDArray

from predictors.kernels import matern

Array = NDArray[np.float64]

JITTER = 1e-8


class Prior(NamedTuple):
    """Normal priors of the logarithms of lengthscales, and of the variances of bends, slope and noise."""

    lengthscale: tuple[float, float] = (1.0, 1.0)
    bends: tuple[float, float] = (0.0, 1.5)
    slope: tuple[float, float] = (-1.0, 1.5)
    noise: tuple[float, float] = (-4.0, 2.0)


PRIOR = Prior()


class Scaler:
    """Scales features to mean 0 and deviation 1; constant ones become 0."""

    def __init__(self, features: Array) -> None:
        self._mean = features.mean(axis=0)
        deviation = features.std(axis=0)
        self._factor = np.where(deviation > 1e-9, 1.0 / np.where(deviation > 1e-9, deviation, 1.0), 0.0)

    def __call__(self, features: Array) -> Array:
        """Return the (n, f) scaled features."""
        scaled: Array = (features - self._mean) * self._factor
        return scaled


class GaussianProcess:
    """A linear function plus a Matern-5/2 process plus noise; a lengthscale and a slope for each group of features.

    Args:
        groups: number of features in each group; they lie side by side.
        settings: (2 groups + 2,) logarithms of the lengthscales, of the variances of the linear parts, of the process
            and of the noise, for targets and features scaled to deviation 1.
        expected: logarithms of the lengthscales that are expected of each group; by default all the same.
    """

    def __init__(self, groups: tuple[int, ...], settings: Array, expected: tuple[float, ...] | None = None) -> None:
        self.groups = groups
        self.settings = settings
        self.expected = expected

    @staticmethod
    def default(groups: tuple[int, ...], expected: tuple[float, ...] | None = None) -> Array:
        """The settings that the prior expects."""
        return _prior(len(groups), expected)[0]

    def tuned(self, features: Array, targets: Array, steps: int) -> "GaussianProcess":
        """Return a process whose settings fit the data better, starting from these (maximum a posteriori).

        Args:
            features: (n, f).
            targets: (n,).
            steps: of L-BFGS.
        """
        problem = self._likelihood(features, targets)
        found = scipy.optimize.minimize(problem, self.settings, jac=True, method="L-BFGS-B", options={"maxiter": steps})
        return GaussianProcess(self.groups, np.asarray(found.x, np.float64), self.expected)

    def evidence(self, features: Array, targets: Array) -> float:
        """Return the logarithm of the posterior density of the settings for targets scaled to deviation 1."""
        return -self._likelihood(features, targets)(self.settings)[0]

    def fit(self, features: Array, targets: Array) -> "GaussianProcess":
        """Condition on (n, f) features and (n,) targets."""
        self._scaler = Scaler(features)
        self._x = self._scaler(features)
        standard, self._mean, self._deviation = _standard(targets)
        lengths, slopes, bends, noise = _unpacked(self.settings)
        self._parts = _divided(self._x, self.groups, lengths)
        self._lines = _divided(self._x, self.groups, slopes**-0.5)
        kernel = bends * matern(_squared(self._parts, self._parts), 1.0) + self._lines @ self._lines.T
        kernel[np.diag_indices_from(kernel)] += noise + JITTER
        self._factor = scipy.linalg.cholesky(kernel, lower=True)
        self._weights = scipy.linalg.cho_solve((self._factor, True), standard)
        return self

    def mean(self, features: Array) -> Array:
        """Return (n,) predicted targets for (n, f) features."""
        mean: Array = self._cross(self._scaler(features)) @ self._weights * self._deviation + self._mean
        return mean

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Return (n,) predicted targets and their (n,) standard deviations, without noise."""
        x = self._scaler(features)
        cross = self._cross(x)
        _, slopes, bends, _ = _unpacked(self.settings)
        explained = scipy.linalg.solve_triangular(self._factor, cross.T, lower=True)
        lines = _divided(x, self.groups, slopes**-0.5)
        prior = bends + (lines * lines).sum(axis=1)
        variance = np.maximum(prior - (explained * explained).sum(axis=0), 1e-10)
        return cross @ self._weights * self._deviation + self._mean, np.sqrt(variance) * self._deviation

    @property
    def noise(self) -> float:
        """The standard deviation of the noise, in the unit of the targets; known after `fit`."""
        return float(np.exp(0.5 * self.settings[-1]) * self._deviation)

    def _likelihood(self, features: Array, targets: Array) -> "_Likelihood":
        prior = _prior(len(self.groups), self.expected)
        return _Likelihood(self.groups, Scaler(features)(features), _standard(targets)[0], prior)

    def _cross(self, x: Array) -> Array:
        lengths, slopes, bends, _ = _unpacked(self.settings)
        squared = _squared(_divided(x, self.groups, lengths), self._parts)
        cross: Array = bends * matern(squared, 1.0) + _divided(x, self.groups, slopes**-0.5) @ self._lines.T
        return cross


class _Likelihood:
    """The negative logarithm of the posterior density of settings, and its gradient."""

    def __init__(self, groups: tuple[int, ...], x: Array, standard: Array, prior: tuple[Array, Array]) -> None:
        parts = _parts(x, groups, np.ones(len(groups)))
        self._distances = [_squared(part, part) for part in parts]
        self._lines = [part @ part.T for part in parts]
        self._y = standard
        self._centre, self._spread = prior

    def __call__(self, settings: Array) -> tuple[float, Array]:
        lengths, slopes, bends, noise = _unpacked(settings)
        squared = np.asarray(sum(d / length**2 for d, length in zip(self._distances, lengths, strict=True)))
        bent = matern(squared, 1.0)
        kernel = bends * bent + sum(slope * line for slope, line in zip(slopes, self._lines, strict=True))
        kernel[np.diag_indices_from(kernel)] += noise + JITTER
        try:
            factor = scipy.linalg.cholesky(kernel, lower=True)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros_like(settings)
        alpha = scipy.linalg.cho_solve((factor, True), self._y)
        inverse = scipy.linalg.cho_solve((factor, True), np.eye(len(self._y)))
        away = (settings - self._centre) / self._spread
        value = 0.5 * self._y @ alpha + np.log(np.diag(factor)).sum() + 0.5 * away @ away
        q = 0.5 * (inverse - np.outer(alpha, alpha))
        bent_q = q * _matern_slope(squared)
        gradient = [
            -2 * bends * (bent_q * d).sum() / length**2 for d, length in zip(self._distances, lengths, strict=True)
        ]
        gradient += [slope * (q * line).sum() for slope, line in zip(slopes, self._lines, strict=True)]
        gradient += [bends * (q * bent).sum(), noise * np.trace(q)]
        return float(value), np.array(gradient) + away / self._spread


def _prior(groups: int, expected: tuple[float, ...] | None) -> tuple[Array, Array]:
    """Centres and spreads of the prior of all settings."""
    pairs = [PRIOR.lengthscale] * groups + [PRIOR.slope] * groups + [PRIOR.bends, PRIOR.noise]
    centre, spread = np.array(pairs).T
    if expected is not None:
        centre[:groups] = expected
    return centre, spread


def _unpacked(settings: Array) -> tuple[Array, Array, float, float]:
    """Lengthscales, variances of the linear parts, of the process and of the noise."""
    values = np.exp(np.clip(settings, -20, 20))
    groups = len(settings) // 2 - 1
    return values[:groups], values[groups:-2], float(values[-2]), float(values[-1])


def _standard(targets: Array) -> tuple[Array, float, float]:
    mean = float(targets.mean())
    deviation = float(targets.std())
    deviation = deviation if deviation > 1e-12 * max(1.0, abs(mean)) else 1.0
    return (targets - mean) / deviation, mean, deviation


def _parts(x: Array, groups: tuple[int, ...], lengths: Array) -> list[Array]:
    """Each group divided by its length and by the root of its size."""
    parts = np.split(x, np.cumsum(groups)[:-1], axis=1)
    return [part / (length * np.sqrt(part.shape[1])) for part, length in zip(parts, lengths, strict=True)]


def _divided(x: Array, groups: tuple[int, ...], lengths: Array) -> Array:
    return np.concatenate(_parts(x, groups, lengths), axis=1)


def _squared(a: Array, b: Array) -> Array:
    """Squared distances between rows, (n, k)."""
    squared: Array = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * a @ b.T
    return np.maximum(squared, 0.0, out=squared)


def _matern_slope(squared: Array) -> Array:
    """Its derivative by the squared distances."""
    r = np.sqrt(5.0 * squared)
    slope: Array = (1.0 + r) * np.exp(-r)
    slope *= -5.0 / 6.0
    return slope
