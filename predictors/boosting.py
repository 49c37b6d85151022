"""Boosted trees, with more work never predicted to cost less.

T. Chen and C. Guestrin, "XGBoost", KDD 2016.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from predictors.averaged_process import Guess
from predictors.predictor import Predictor, Source, State

Array = NDArray[np.float64]

ROUNDS = 300
FEWEST_ROUNDS = 60
RATE = 0.06
DEPTH = 4
ENSEMBLE = 3
SMALLEST = 1e-12


class Boosting(Predictor):
    """A few boosters on the logarithm of the values, or on the values where some are not positive.

    Columns that are `rising` have monotone constraints. Their disagreement, beside the error that is left, is the
    deviation.
    """

    name = "boosting"
    least_samples = 8

    def _fit(self, x: Array, y: Array, sources: Sequence[Source]) -> None:
        self.logarithmic = bool((y > 0).all())
        z = np.log(y) if self.logarithmic else y
        self.centre, self.spread = float(z.mean()), max(float(z.std()), SMALLEST)
        rounds = int(np.clip(3 * len(y), FEWEST_ROUNDS, ROUNDS))
        data = xgboost.QuantileDMatrix(x, (z - self.centre) / self.spread, nthread=1)
        self.boosters = []
        for place in range(ENSEMBLE):
            settings = {
                "max_depth": DEPTH,
                "eta": RATE,
                "subsample": 0.8,
                "colsample_bynode": 0.6,
                "min_child_weight": 1.0 if len(y) < 100 else 3.0,
                "lambda": 1.0,
                "nthread": 1,
                "seed": self.seed * ENSEMBLE + place,
                "verbosity": 0,
                "monotone_constraints": "(" + ",".join(str(int(each)) for each in self.features.rising) + ")",
            }
            self.boosters.append(xgboost.train(settings, data, num_boost_round=rounds))
        self.noise = 0.05

    def _guess(self, x: Array) -> Guess:
        data = xgboost.DMatrix(x, nthread=1)
        told = np.array([booster.predict(data) for booster in self.boosters], np.float64)
        mean = self.centre + self.spread * told.mean(axis=0)
        std = self.spread * np.sqrt(told.var(axis=0) + self.noise)
        if not self.logarithmic:
            return Guess(mean, std)
        level = np.exp(np.clip(mean, -700, 700))
        return Guess(level, level * std)

    def _state(self) -> State:
        arrays = {f"booster.{i}": np.frombuffer(b.save_raw("ubj"), np.uint8) for i, b in enumerate(self.boosters)}
        plain = {key: getattr(self, key) for key in ("logarithmic", "centre", "spread", "noise")}
        return State(dict(arrays), plain)

    def _restore(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        self.logarithmic, self.noise = bool(settings["logarithmic"]), float(settings["noise"])
        self.centre, self.spread = float(settings["centre"]), float(settings["spread"])
        self.boosters = []
        for place in range(ENSEMBLE):
            booster = xgboost.Booster({"nthread": 1})
            booster.load_model(bytearray(np.asarray(arrays[f"booster.{place}"], np.uint8).tobytes()))
            self.boosters.append(booster)
