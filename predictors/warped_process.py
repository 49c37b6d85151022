"""Gaussian processes on a scale on which accuracies are nearly normal.

E. Snelson, C. E. Rasmussen, Z. Ghahramani, "Warped Gaussian processes", NeurIPS 2003; the warp is not learned here but
one of two, and which is better is seen by those who weigh them.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.averaged_process import MOST, AveragedProcess, Guess, Prior
from predictors.feature_parts import parts_of
from predictors.predictor import Predictor, Source, State
from predictors.warping import Warp

Array = NDArray[np.float64]


class WarpedProcess(Predictor):
    """A Gaussian process on all groups of features, averaged over its settings, of warped values."""

    belief = 1.0  # deviations follow the scale, which is many times wider for poor networks than for good ones

    @abstractmethod
    def _warped(self, y: Array) -> Warp:
        """The scale for some values."""

    def _fit(self, x: Array, y: Array, sources: Sequence[Source]) -> None:
        self._warp = self._warped(y)
        scores, inputs = self._warp.forward(y), self.features.scaled(x)
        rng = np.random.default_rng([self.seed, 13])
        rows = rng.choice(len(y), MOST, replace=False) if len(y) > MOST else np.arange(len(y))
        # Networks that fail to learn are no outliers: moving them would make what is left out look easier than it is.
        self._process = AveragedProcess(parts_of(self.features), self.seed, prior=Prior(), robust=False)
        self._process.fit(inputs[rows], scores[rows])
        left_out = self._process.held_out()
        mean, std = np.empty(len(y)), np.empty(len(y))
        mean[rows], std[rows] = left_out
        others = np.setdiff1d(np.arange(len(y)), rows)
        mean[others], std[others] = self._process.predict(inputs[others])
        self._left_out = self._warp.guess(mean, std)

    def _guess(self, x: Array) -> Guess:
        return self._warp.guess(*self._process.predict(self.features.scaled(x)))

    def mean(self, x: Array) -> Array:
        """The (n,) means of checked features, without deviations and much faster."""
        return self._warp.inverse(self._process.mean(self.features.scaled(x)))

    def _held_out(self, x: Array, y: Array, sources: Sequence[Source]) -> Guess:
        return self._left_out

    def _state(self) -> State:
        return State({**self._process.state(), **self._warp.state()}, {})

    def _restore(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        self._process = AveragedProcess(parts_of(self.features), self.seed, prior=Prior()).restore(arrays)
        self._warp = Warp.restored(arrays)


class RankingProcess(WarpedProcess):
    """On normal scores: order counts."""

    name = "ranking_process"

    def _warped(self, y: Array) -> Warp:
        return Warp.normal_scores(y)


class ErrorProcess(WarpedProcess):
    """On the logarithm of the distance from the best value."""

    name = "error_process"

    def _warped(self, y: Array) -> Warp:
        return Warp.log_error(y)
