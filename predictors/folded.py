"""Ensembles whose members each leave out a fold, so that what is predicted of unseen samples comes for nothing.

Every member is trained on four fifths of the samples. All of them together predict what is asked; of a training sample
those tell that have not seen it (R. F. Barber et al., "Predictive inference with the jackknife+", Annals of Statistics
49(1), 2021, call it CV+).
"""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from predictors.averaged_process import Guess
from predictors.predictor import FOLDS, Predictor, Source
from predictors.warping import Warp

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

REPEATS = 2
"""Times that the samples are cut into folds, where they are few."""
MANY = 200


class FoldedEnsemble(Predictor):
    """Members on normal scores. A kind writes `_trained`, `_told`, and what its file holds beside the warp."""

    least_samples = 8
    belief = 1.0  # deviations follow the scale, which is many times wider for poor networks than for good ones

    @abstractmethod
    def _trained(self, x: Array, scores: Array, kept: Mask) -> None:
        """Train the members; member j on the samples of row j of `kept` (members, n)."""

    @abstractmethod
    def _told(self, x: Array) -> Array:
        """What every member says, (members, n) scores."""

    def _fit(self, x: Array, y: Array, sources: Sequence[Source]) -> None:
        self._warp = Warp.normal_scores(y)
        scores = self._warp.forward(y)
        rng = np.random.default_rng([self.seed, 14])
        folds = min(FOLDS, len(y))
        cuts = [rng.permutation(len(y)) % folds for _ in range(REPEATS if len(y) < MANY else 1)]
        kept = np.array([cut != fold for cut in cuts for fold in range(folds)])
        self._trained(x, scores, kept)
        told, unseen = self._told(x), ~kept
        mean = np.where(unseen, told, 0.0).sum(axis=0) / unseen.sum(axis=0)
        self.noise = max(float(np.sqrt(np.mean((scores - mean) ** 2))), 1e-3)
        self._left_out = self._guessed(mean, told)

    def _guess(self, x: Array) -> Guess:
        told = self._told(x)
        return self._guessed(told.mean(axis=0), told)

    def _guessed(self, mean: Array, told: Array) -> Guess:
        """Values, with the members' disagreement beside the error that is left."""
        return self._warp.guess(mean, np.sqrt(told.var(axis=0) + self.noise**2))

    def mean(self, x: Array) -> Array:
        """The (n,) means of checked features."""
        return self._warp.inverse(self._told(x).mean(axis=0))

    def _held_out(self, x: Array, y: Array, sources: Sequence[Source]) -> Guess:
        return self._left_out
