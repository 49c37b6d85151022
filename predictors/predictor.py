"""A predictor: arrays of features in, means and standard deviations of one metric out, and intervals that hold."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from predictors.averaged_process import Guess
from predictors.calibration import BELIEF, Calibration
from predictors.choosing import choose
from predictors.errors import NotFitted, PredictorError, TooFewSamples
from predictors.feature_parts import parts_of
from predictors.feature_set import FeatureSet
from predictors.scores import Scores

Array = NDArray[np.float64]

LEVEL = 0.9
FOLDS = 5
NORMAL = 1.6448536269514722
"""Deviations to each end of an interval of that level."""
MOST_SAMPLES = 1_000_000


class Source(NamedTuple):
    """What another device measured.

    Attributes:
        name: of the device or metric.
        features: (m, f), of any networks of the same features.
        values: (m,).
    """

    name: str
    features: Array
    values: Array


class State(NamedTuple):
    """A fitted predictor as plain values: arrays by name, and JSON values."""

    arrays: dict[str, NDArray[Any]]
    settings: dict[str, Any]


class Predictor(ABC):
    """What a kind of predictor has in common with all others.

    A kind writes `_fit`, `_guess`, `_state` and `_restore`; where it can tell its held-out predictions without fitting
    again, `_held_out` too.

    Args:
        features: what the columns are.
        seed: of everything that is drawn.

    Attributes:
        name: of the kind, in the registry and in files.
        least_samples: measurements that it needs.
        belief: the power of the deviations it predicts that its intervals follow.
        scores: of held-out predictions on the training samples; their intervals are those of the other samples.
        samples: how many measurements it has seen.
        training: SHA-256 of the measurements and their features, 64 hex digits.
        sources: names of the sources that it was given.
    """

    name: ClassVar[str]
    least_samples: ClassVar[int] = 5
    belief: ClassVar[float] = BELIEF

    def __init__(self, features: FeatureSet, *, seed: int = 0) -> None:
        self.features = features
        self.seed = seed
        self.calibration: Calibration | None = None
        self.scores: Scores | None = None
        self.samples = 0
        self.training = ""
        self.sources: tuple[str, ...] = ()
        self._alike: NDArray[np.intp] | None = None  # groups of samples that `_held_out` leaves out together

    def fit(self, features: Array, values: Array, sources: Sequence[Source] = ()) -> Self:
        """Learn from measurements.

        Args:
            features: (n, f).
            values: (n,) measurements, in the metric's own unit.
            sources: measurements of other devices; kinds that cannot use them ignore them.

        Raises:
            FeatureMismatch: features of another shape, or not finite.
            TooFewSamples: fewer measurements than the kind needs.
            PredictorError: values that are not finite or all the same, or not one for each row.
        """
        x = self.features.check(features)
        y = checked_values(values, len(x), self._needed(), self.name)
        checked = [self._checked(source) for source in sources]
        self.training = digest(x, y)
        self.samples = len(y)
        self.sources = tuple(source.name for source in checked)
        self._fit(x, y, checked)
        self.held = self._held_out(x, y, checked)
        self._calibrate(y, self.held)
        return self

    def predict(self, features: Array) -> Guess:
        """Return (n,) means and standard deviations; the latter are calibrated, so 1.645 of them are a 90 % interval.

        Raises:
            FeatureMismatch: features of another shape, or not finite.
            NotFitted: nothing was learned yet.
        """
        guess = self._guess(self._ready(features))
        return Guess(guess.mean, self._calibrated.reach(guess.std, LEVEL) / NORMAL)

    def interval(self, features: Array, level: float = LEVEL) -> tuple[Array, Array]:
        """Return the (n,) lower and upper ends of intervals that hold with probability `level`.

        Raises:
            FeatureMismatch: features of another shape, or not finite.
            NotFitted: nothing was learned yet.
            PredictorError: a level outside (0, 1).
        """
        self._calibrated.reach(np.ones(0), level)  # a level that cannot be is refused before there is any work
        guess = self._guess(self._ready(features))
        reach = self._calibrated.reach(guess.std, level)
        return guess.mean - reach, guess.mean + reach

    def choose(
        self, pool: Array, n: int, *, sources: Sequence[Source] = (), known: Array | None = None
    ) -> NDArray[np.intp]:
        """Return n rows of (p, f) candidates: which to measure, the most informative first.

        Args:
            pool: features of the candidates.
            n: how many.
            sources: measurements of other devices, as `fit` will get them.
            known: (k, f) features of networks that are measured already.

        Raises:
            FeatureMismatch: features of another shape, or not finite.
            PredictorError: more are asked for than there are.
        """
        scaled = self.features.scaled(self.features.check(pool))
        beside = None if known is None else self.features.scaled(self.features.check(known))
        return choose(parts_of(self.features), scaled, n, seed=self.seed, known=beside)

    def state(self) -> State:
        """Everything that was learned, as arrays and JSON values."""
        calibration = self._calibrated
        arrays, settings = self._state()
        common = {
            "seed": self.seed,
            "samples": self.samples,
            "training": self.training,
            "sources": list(self.sources),
            "scores": None if self.scores is None else list(self.scores),
        }
        held = {"calibration": np.stack([calibration.errors, calibration.deviations, calibration.groups])}
        return State(held | {f"own.{key}": value for key, value in arrays.items()}, common | {"own": settings})

    @classmethod
    def restored(cls, features: FeatureSet, state: State) -> Self:
        """The predictor that `state` describes."""
        found = cls(features, seed=int(state.settings["seed"]))
        found.samples = int(state.settings["samples"])
        found.training = str(state.settings["training"])
        found.sources = tuple(str(name) for name in state.settings["sources"])
        scores = state.settings["scores"]
        found.scores = None if scores is None else Scores(*(np.nan if s is None else float(s) for s in scores))
        errors, deviations, groups = np.asarray(state.arrays["calibration"], np.float64)
        found.calibration = Calibration(errors, deviations, cls.belief, groups.astype(np.intp))
        own = {key.removeprefix("own."): value for key, value in state.arrays.items() if key.startswith("own.")}
        found._restore(own, state.settings["own"])
        return found

    @abstractmethod
    def _fit(self, x: Array, y: Array, sources: Sequence[Source]) -> None:
        """Learn from checked (n, f) features and (n,) values."""

    @abstractmethod
    def _guess(self, x: Array) -> Guess:
        """Means and deviations before calibration."""

    @abstractmethod
    def _state(self) -> State:
        """What `_restore` needs."""

    @abstractmethod
    def _restore(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        """Take in what `_state` gave."""

    def _held_out(self, x: Array, y: Array, sources: Sequence[Source]) -> Guess:
        """What is predicted for each sample by a predictor that has not seen it; by default in five folds."""
        folds = np.random.default_rng([self.seed, 3]).permutation(len(y)) % min(FOLDS, len(y))
        mean, std = np.empty(len(y)), np.empty(len(y))
        for fold in range(int(folds.max()) + 1):
            out = folds == fold
            other = self._beginner()
            other._fit(x[~out], y[~out], sources)
            mean[out], std[out] = other._guess(x[out])
        return Guess(mean, std)

    def _beginner(self) -> Self:
        """One that knows nothing of the samples yet."""
        return type(self)(self.features, seed=self.seed)

    def _needed(self) -> int:
        return self.least_samples

    def _calibrate(self, y: Array, held: Guess) -> None:
        deviations = np.maximum(held.std, 1e-12 * np.abs(y).max())
        self.calibration = Calibration(y - held.mean, deviations, self.belief, self._alike)
        reach = self.calibration.left_out(LEVEL)
        self.scores = Scores.of(y, held.mean, held.mean - reach, held.mean + reach)

    @property
    def _calibrated(self) -> Calibration:
        if self.calibration is None:
            raise NotFitted(f"this {self.name!r} predictor has not been fitted")
        return self.calibration

    def _ready(self, features: Array) -> Array:
        if self.calibration is None:
            raise NotFitted(f"this {self.name!r} predictor has not been fitted")
        return self.features.check(features)

    def _checked(self, source: Source) -> Source:
        x = self.features.check(source.features)
        y = checked_values(source.values, len(x), 2, f"source {source.name!r}")
        return Source(source.name, x, y)


def checked_values(values: object, rows: int, least: int, what: str) -> Array:
    """Return (n,) float64 values.

    Raises:
        TooFewSamples: fewer than `least`.
        PredictorError: another shape, values that are not finite, or all the same.
    """
    y = np.asarray(values, np.float64)
    if y.shape != (rows,):
        raise PredictorError(f"{what} needs one value for each of {rows} rows of features (got shape {y.shape})")
    if rows < least:
        raise TooFewSamples(f"{what} needs at least {least} measurements (got {rows})")
    if rows > MOST_SAMPLES:
        raise PredictorError(f"{what} takes at most {MOST_SAMPLES} measurements (got {rows})")
    if not np.isfinite(y).all():
        row = int(np.argwhere(~np.isfinite(y))[0, 0])
        raise PredictorError(f"value {row} for {what} is {y[row]}; leave out what failed or was not measured")
    if np.ptp(y) <= 1e-12 * np.abs(y).max():
        raise PredictorError(f"all {rows} values for {what} are {y[0]:g}; there is nothing to learn from them")
    return y


def digest(x: Array, y: Array) -> str:
    """SHA-256 of (n, f) features and (n,) values, 64 hex digits."""
    found = hashlib.sha256(repr(x.shape).encode())
    found.update(np.ascontiguousarray(x, "<f8").tobytes())
    found.update(np.ascontiguousarray(y, "<f8").tobytes())
    return found.hexdigest()
