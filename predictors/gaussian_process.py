"""A Gaussian process on all groups of features, averaged over its settings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.averaged_process import AveragedProcess, Guess
from predictors.feature_parts import parts_of
from predictors.predictor import Predictor, Source, State

Array = NDArray[np.float64]


class GaussianProcess(Predictor):
    """A linear and a smooth function of each group of features, weighed by what makes the samples likely."""

    name = "gaussian_process"

    def _fit(self, x: Array, y: Array, sources: Sequence[Source]) -> None:
        self._process = AveragedProcess(parts_of(self.features), self.seed).fit(self.features.scaled(x), y)

    def _guess(self, x: Array) -> Guess:
        return self._process.predict(self.features.scaled(x))

    def _held_out(self, x: Array, y: Array, sources: Sequence[Source]) -> Guess:
        held = self._process.held_out()
        if len(held.mean) == len(y):
            return held
        return super()._held_out(x, y, sources)

    def _state(self) -> State:
        return State(dict(self._process.state()), {})

    def _restore(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        self._process = AveragedProcess(parts_of(self.features), self.seed).restore(arrays)
