"""Gaussian process regression on groups of features, averaged over its settings instead of tuned: made for few samples.

With 20 samples many settings explain the data, and the best of them is too sure of itself. So settings are drawn from
a prior and each is weighed by how likely it makes the data (C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes
for Machine Learning", 2006, chapter 5). Everything is in closed form, so hundreds of settings take milliseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from predictors.kernels import Part, covariances, terms_of, variances

Array = NDArray[np.float64]

DRAWS = 400
KEPT = 16
KEPT_OF_MANY = 3
MANY = 64
"""Samples beyond which settings are first weighed on so many of them."""
MOST = 500
"""Samples that a process is conditioned on; of more, so many at random."""
CHUNK = 4096
SMALL_CHUNK = 256
"""Rows at a time where nothing but means is found: so few that covariances stay in the processor's cache."""
DEVIATION = 1.5
"""Of the logarithms of amplitudes in the prior."""
FREEDOM = 4.0
"""Degrees of freedom of the prior of the overall variance, which is 1."""
JITTER = 1e-8
OUTLIER = 1.7
"""Predicted deviations beyond which a value is moved to there, so that a failed timing cannot bend everything."""
FEWEST_FOR_OUTLIERS = 10


class Prior(NamedTuple):
    """What is expected of values before any is seen.

    Attributes:
        absent: how likely it is that a part explains nothing linearly, and that it explains nothing else.
        noise: mean and deviation of the logarithm of the noise's variance, the values' own being 1.
    """

    absent: float = 0.0
    noise: tuple[float, float] = (-4.5, 1.5)


DEVICES = Prior(absent=0.5, noise=(-4.0, 2.0))
"""For metrics of devices: few groups of features decide on each, others on another, and some devices are noisy."""


class Guess(NamedTuple):
    """(n,) means and standard deviations."""

    mean: Array
    std: Array


class AveragedProcess:
    """(n, f) features, scaled to deviation 1, -> values.

    Each setting is an amplitude for each term, a noise, and a scale of the values: linear or, where all are positive,
    logarithmic. The constant level and the overall variance are integrated out.

    Args:
        parts: what the features are made of.
        seed: of the settings.
        draws: how many settings are tried.
        kept: how many of them at most are averaged.
        prior: what they are drawn from.
        robust: whether outliers, such as failed timings, are moved to where they are likely.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        seed: int = 0,
        draws: int = DRAWS,
        kept: int = KEPT,
        prior: Prior = DEVICES,
        *,
        robust: bool = True,
    ) -> None:
        self.parts = tuple(parts)
        self.terms = terms_of(self.parts)
        self._seed = seed
        self._draws = draws
        self._kept = kept
        self._prior = prior
        self._robust = robust

    def fit(self, x: Array, y: Array) -> "AveragedProcess":
        """Learn from (n, f) features and (n,) values."""
        rng = np.random.default_rng([self._seed, 2])
        if len(y) > MOST:
            chosen = rng.choice(len(y), MOST, replace=False)
            x, y = x[chosen], y[chosen]
        amplitudes, noises = self._drawn(rng)
        self._learn(x, y, amplitudes, noises, rng)
        if self._robust and len(y) >= FEWEST_FOR_OUTLIERS:
            held = self.held_out()
            clipped = held.mean + np.clip(y - held.mean, -OUTLIER * held.std, OUTLIER * held.std)
            if (clipped != y).any() and (not (y > 0).all() or (clipped > 0).all()):
                self._learn(x, clipped, amplitudes, noises, rng)
        return self

    def _learn(self, x: Array, y: Array, amplitudes: Array, noises: Array, rng: np.random.Generator) -> None:
        """Weigh the settings by values, and condition the best of them on these."""
        scales = [False, True] if (y > 0).all() else [False]
        many = len(y) > MANY
        rows = rng.choice(len(y), MANY, replace=False) if many else np.arange(len(y))
        evidence = self._evidence(x[rows], y[rows], amplitudes, noises, scales).reshape(-1)
        best = np.argsort(-evidence, kind="stable")[: self._kept]
        scale, draw = np.divmod(best, self._draws)
        self.x, self.y = x, y
        self._settings = self._conditioned(amplitudes[draw], noises[draw], scale > 0)
        evidence = np.array([one.evidence for one in self._settings])
        if many:
            best = np.argsort(-evidence, kind="stable")[:KEPT_OF_MANY]
            self._settings, evidence = [self._settings[i] for i in best], evidence[best]
        self.weights = _shares(evidence)

    def predict(self, x: Array) -> Guess:
        """Return means and standard deviations for (n, f) features, noise included."""
        mean, std = np.empty(len(x)), np.empty(len(x))
        for start in range(0, len(x), CHUNK):
            rows = slice(start, start + CHUNK)
            mean[rows], std[rows] = self._predict(x[rows])
        return Guess(mean, std)

    def mean(self, x: Array) -> Array:
        """Return (n,) means alone, much faster: of all settings of one scale as one sum, and then of the scales."""
        found = np.zeros(len(x))
        for logarithmic in (False, True):
            chosen = [(w, s) for w, s in zip(self.weights, self._settings, strict=True) if s.logarithmic == logarithmic]
            share = sum(w for w, _ in chosen)
            if not share > 0:
                continue
            pull = sum(w * s.deviation * np.outer(s.amplitudes, s.alpha) for w, s in chosen) / share
            level = sum(w * (s.centre + s.deviation * s.constant) for w, s in chosen) / share
            used = [place for place, term in enumerate(self.terms) if not term.length or pull[place].any()]
            terms, pull = [self.terms[place] for place in used], pull[used]
            for start in range(0, len(x), SMALL_CHUNK):
                rows = slice(start, start + SMALL_CHUNK)
                parts = zip(covariances(terms, x[rows], self.x), pull, strict=True)
                mean = sum((covariance @ each for covariance, each in parts), np.full(1, level))
                found[rows] += share * (_exp(mean) if logarithmic else mean)
        return found

    def held_out(self) -> Guess:
        """Return what is predicted for each sample of `y` from all others, in closed form."""
        chances, means, spreads = [], [], []
        for one in self._settings:
            alone = 1.0 / np.diag(one.precision)
            mean, variance = one.z - one.alpha * alone, alone * one.variance
            chances.append(-0.5 * np.log(variance) - 0.5 * (one.z - mean) ** 2 / variance - one.change)
            both = one.original(mean, variance)
            means.append(both.mean)
            spreads.append(both.std)
        weights = np.apply_along_axis(_shares, 0, np.log(np.maximum(self.weights, 1e-300))[:, None] - np.array(chances))
        return _mixed(weights, np.array(means), np.array(spreads))

    def prior(self, a: Array, b: Array) -> Array:
        """The (n, k) covariance of rows of features that the prior expects, for choosing what to measure."""
        expected = np.array(
            [
                np.exp(self.parts[t.part].slope)
                if not t.length
                else np.exp(self.parts[t.part].bend or 0.0) / len(self.parts[t.part].lengths)
                for t in self.terms
            ]
        )
        total: Array = np.tensordot(expected, covariances(self.terms, a, b), 1)
        return total

    def state(self) -> dict[str, Array]:
        """Arrays that make it again, with `restore`."""
        return {
            "x": self.x,
            "y": self.y,
            "weights": self.weights,
            "amplitudes": np.array([one.amplitudes for one in self._settings]),
            "noises": np.array([one.noise for one in self._settings]),
            "logarithmic": np.array([float(one.logarithmic) for one in self._settings]),
        }

    def restore(self, state: Mapping[str, Array]) -> "AveragedProcess":
        """Become what `state` describes."""
        self.x, self.y, self.weights = state["x"], state["y"], state["weights"]
        self._settings = self._conditioned(state["amplitudes"], state["noises"], state["logarithmic"] > 0)
        return self

    def _drawn(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """(draws, terms) amplitudes, one lengthscale for each part in each draw, and (draws,) noises."""
        amplitudes = np.zeros((self._draws, len(self.terms)))
        everyone = np.arange(self._draws)
        for place, part in enumerate(self.parts):
            own = np.array([i for i, term in enumerate(self.terms) if term.part == place])
            present = rng.random((2, self._draws)) >= self._prior.absent if self._prior.absent else np.ones((2, 1))
            amplitudes[:, own[0]] = np.exp(rng.normal(part.slope, DEVIATION, self._draws)) * present[0]
            if part.bend is not None:
                chosen = own[1:][rng.integers(len(part.lengths), size=self._draws)]
                amplitudes[everyone, chosen] = np.exp(rng.normal(part.bend, DEVIATION, self._draws)) * present[1]
        return amplitudes, np.exp(rng.normal(*self._prior.noise, self._draws))

    def _evidence(self, x: Array, y: Array, amplitudes: Array, noises: Array, scales: list[bool]) -> Array:
        """(scales, draws) logarithms of the likelihood."""
        n = len(y)
        covariance = np.tensordot(amplitudes, covariances(self.terms, x, x), 1)
        covariance[:, range(n), range(n)] += noises[:, None] + JITTER
        determinant = 2 * np.log(np.einsum("sii->si", np.linalg.cholesky(covariance))).sum(axis=1)
        inverse = np.linalg.inv(covariance)
        sums = inverse.sum(axis=2)
        total = sums.sum(axis=1)
        rows = []
        for logarithmic in scales:
            scaled = _Scaled.of(y, logarithmic)
            fit = ((inverse @ scaled.z) * scaled.z).sum(axis=1) - (sums @ scaled.z) ** 2 / total
            rows.append(_likelihood(determinant, total, fit, n) + scaled.change.sum())
        return np.array(rows)

    def _conditioned(self, amplitudes: Array, noises: Array, logarithmic: NDArray[np.bool_]) -> "list[_Setting]":
        """Every setting with what predictions need, given `x` and `y`."""
        bases = covariances(self.terms, self.x, self.x)
        return [
            _Setting(own, float(noise), bool(log), bases, self.y)
            for own, noise, log in zip(amplitudes, noises, logarithmic, strict=True)
        ]

    def _predict(self, x: Array) -> Guess:
        bases, own = covariances(self.terms, x, self.x), variances(self.terms, x)
        found = [one.predict(bases, own) for one in self._settings]
        return _mixed(self.weights[:, None], np.array([m for m, _ in found]), np.array([s for _, s in found]))


@dataclass(frozen=True, slots=True)
class _Scaled:
    """Values on the scale of a setting, with mean 0 and deviation 1; `change` is the logarithm of the slope."""

    z: Array
    centre: float
    deviation: float
    change: Array

    @classmethod
    def of(cls, y: Array, logarithmic: bool) -> "_Scaled":
        raw = np.log(y) if logarithmic else y
        centre, deviation = float(raw.mean()), float(raw.std())
        deviation = deviation if deviation > 1e-12 * max(1.0, abs(centre)) else 1.0
        slope = (-np.log(y) if logarithmic else np.zeros(len(y))) - np.log(deviation)
        return cls((raw - centre) / deviation, centre, deviation, slope)


class _Setting:
    """One setting, conditioned on the samples."""

    def __init__(self, amplitudes: Array, noise: float, logarithmic: bool, bases: Array, y: Array) -> None:
        n = len(y)
        self.amplitudes, self.noise, self.logarithmic = amplitudes, noise, logarithmic
        scaled = _Scaled.of(y, logarithmic)
        self.z, self.centre, self.deviation, self.change = scaled.z, scaled.centre, scaled.deviation, scaled.change
        covariance = np.tensordot(amplitudes, bases, 1)
        covariance[range(n), range(n)] += noise + JITTER
        factor = cho_factor(covariance, lower=True, overwrite_a=True, check_finite=False)
        self.inverse: Array = cho_solve(factor, np.eye(n), check_finite=False)
        self.sums: Array = self.inverse.sum(axis=1)
        self.total = float(self.sums.sum())
        self.precision = self.inverse - np.outer(self.sums, self.sums) / self.total
        self.alpha: Array = self.precision @ self.z
        self.constant = float(self.sums @ self.z) / self.total
        fit = float(self.z @ self.alpha)
        self.variance = (fit + FREEDOM) / (n - 1 + FREEDOM)
        determinant = 2 * float(np.log(np.diag(factor[0])).sum())
        self.evidence = float(_likelihood(determinant, self.total, fit, n)) + float(self.change.sum())

    def predict(self, bases: Array, own: Array) -> Guess:
        """From (terms, n, k) covariances with the samples and (terms, n) variances."""
        kernel = np.tensordot(self.amplitudes, bases, 1)
        rest = 1.0 - kernel @ self.sums
        variance = self.amplitudes @ own + self.noise - ((kernel @ self.inverse) * kernel).sum(axis=1)
        variance += rest**2 / self.total
        return self.original(self.constant + kernel @ self.alpha, np.maximum(variance, 1e-9) * self.variance)

    def original(self, mean: Array, variance: Array) -> Guess:
        """Mean and deviation on the scale of the values."""
        mean, std = self.centre + self.deviation * mean, self.deviation * np.sqrt(variance)
        if not self.logarithmic:
            return Guess(mean, std)
        level = _exp(mean)
        return Guess(level, level * std)


def _likelihood(determinant: Array | float, total: Array | float, fit: Array | float, n: int) -> Array:
    """The logarithm of the density of n values, but for a constant."""
    density: Array = -0.5 * (determinant + np.log(total) + (n - 1 + FREEDOM) * np.log(fit + FREEDOM))
    return density


def _mixed(weights: Array, means: Array, spreads: Array) -> Guess:
    """Mean and deviation of a mixture over the first axis."""
    mean = (weights * means).sum(axis=0)
    variance = (weights * (spreads**2 + (means - mean) ** 2)).sum(axis=0)
    return Guess(mean, np.sqrt(variance))


def _shares(evidence: Array) -> Array:
    shares: Array = np.exp(evidence - evidence.max())
    shares /= shares.sum()
    return shares


def _exp(x: Array) -> Array:
    found: Array = np.exp(np.clip(x, -700.0, 700.0))
    return found
