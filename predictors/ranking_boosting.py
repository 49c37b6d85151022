"""Boosted trees on normal scores.

T. Chen and C. Guestrin, "XGBoost", KDD 2016.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from predictors.folded import FoldedEnsemble, Mask
from predictors.predictor import State
from predictors.warping import Warp

Array = NDArray[np.float64]

FEWEST_ROUNDS, ROUNDS = 60, 400
MANY = 100
"""Samples from which a leaf needs three of them."""
SETTINGS = {"max_depth": 5, "eta": 0.05, "subsample": 0.8, "colsample_bynode": 0.5, "lambda": 1.0, "verbosity": 0}


class RankingBoosting(FoldedEnsemble):
    """A booster for each fold and repeat."""

    name = "ranking_boosting"

    def _trained(self, x: Array, scores: Array, kept: Mask) -> None:
        rounds = int(np.clip(3 * len(scores), FEWEST_ROUNDS, ROUNDS))
        self.boosters = []
        for place, rows in enumerate(kept):
            settings = {
                **SETTINGS,
                "min_child_weight": 1.0 if len(scores) < MANY else 3.0,
                "nthread": 1,
                "seed": self.seed * len(kept) + place,
            }
            data = xgboost.QuantileDMatrix(x[rows], scores[rows], nthread=1)
            self.boosters.append(xgboost.train(settings, data, num_boost_round=rounds))

    def _told(self, x: Array) -> Array:
        data = xgboost.DMatrix(x, nthread=1)
        return np.array([booster.predict(data) for booster in self.boosters], np.float64)

    def _state(self) -> State:
        arrays = {f"booster.{i}": np.frombuffer(b.save_raw("ubj"), np.uint8) for i, b in enumerate(self.boosters)}
        return State({**arrays, **self._warp.state()}, {"noise": self.noise, "members": len(self.boosters)})

    def _restore(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        self._warp, self.noise = Warp.restored(arrays), float(settings["noise"])
        self.boosters = []
        for place in range(int(settings["members"])):
            booster = xgboost.Booster({"nthread": 1})
            booster.load_model(bytearray(np.asarray(arrays[f"booster.{place}"], np.uint8).tobytes()))
            self.boosters.append(booster)
