"""Ridge regression and xgboost as anybody would use them: what predictors must beat with the same measurements."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
import xgboost
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV

from predictors.averaged_process import Guess
from predictors.errors import TooFewSamples
from predictors.feature_set import FeatureSet
from predictors.predictor import Source

Array = NDArray[np.float64]

PENALTIES = np.logspace(-3, 4, 15)
FEWEST = 3


class PlainRegression(ABC):
    """A regression on scaled features of random networks, without intervals; sources are ignored.

    Args:
        features: what the columns are.
        seed: of what is drawn.
    """

    name = ""

    def __init__(self, features: FeatureSet, *, seed: int = 0) -> None:
        self.features = features
        self.seed = seed

    def fit(self, x: Array, y: Array, sources: Sequence[Source] = ()) -> Self:
        """Learn from (n, f) features and (n,) values.

        Raises:
            TooFewSamples: fewer than `FEWEST` measurements.
        """
        if len(y) < FEWEST:
            raise TooFewSamples(f"{self.name!r} needs at least {FEWEST} measurements (got {len(y)})")
        self._fit(self.features.scaled(x), y)
        return self

    def predict(self, x: Array) -> Guess:
        """Return (n,) means; deviations are not known."""
        return Guess(self._told(self.features.scaled(x)), np.full(len(x), np.nan))

    @abstractmethod
    def _fit(self, x: Array, y: Array) -> None:
        """Learn from scaled features."""

    @abstractmethod
    def _told(self, x: Array) -> Array:
        """The (n,) means for scaled features."""


class Ridge(PlainRegression):
    """scikit-learn's ridge regression, the penalty by leave-one-out error."""

    name = "ridge"

    def _fit(self, x: Array, y: Array) -> None:
        self._model = RidgeCV(PENALTIES).fit(x, y)

    def _told(self, x: Array) -> Array:
        found: Array = self._model.predict(x)
        return found


class XgBoost(PlainRegression):
    """xgboost with its default settings, on one thread."""

    name = "xgboost"

    def _fit(self, x: Array, y: Array) -> None:
        self._model = xgboost.XGBRegressor(n_jobs=1, random_state=self.seed).fit(x, y)

    def _told(self, x: Array) -> Array:
        found: Array = self._model.predict(x).astype(np.float64)
        return found


PLAIN: dict[str, type[PlainRegression]] = {kind.name: kind for kind in (Ridge, XgBoost)}
