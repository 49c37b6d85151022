"""What other data sets, other jobs and statistics that cost nothing say of a network, as features beside its own.

X. Dai et al., "FBNetV3: joint architecture-recipe search using predictor pretraining", CVPR 2021, let a neural network
learn MACs and parameters of many architectures before accuracies of few. Here a predictor learns each such quantity, be
it a score of architectures without labels or the accuracy on another data set, and what it says of a network is a
feature: how much that is worth, the few labels decide. What is a feature already, as MACs may be, teaches nothing new
and is left out: a copy of a feature only draws few labels towards it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from predictors.feature_set import FeatureSet, Group
from predictors.folded import FoldedEnsemble
from predictors.predictor import Source
from predictors.ranking_boosting import RankingBoosting
from predictors.warped_process import RankingProcess, WarpedProcess
from predictors.warping import Warp

Array = NDArray[np.float64]

GROUP = "sources"
SLOPE, BEND = 0.0, -1.0
SAME = 1e-3
"""Deviation of scores below which a source says the same of all networks."""
FEWEST = 8
"""Values of a source from which trees learn it beside the process."""
COPY = 0.999
"""Rank correlation with a feature from which a source is that feature."""
TELLING = 20
"""Values of a source below which it may have the order of a feature by chance."""


class SourceScores:
    """(n, f) features -> (n, f + s) features, s sources beside those that are given.

    Args:
        features: what the columns are.
        seed: of the predictors.

    Attributes:
        names: of the sources that say something new.
    """

    def __init__(self, features: FeatureSet, seed: int) -> None:
        self._features, self._seed = features, seed
        self.names: tuple[str, ...] = ()
        self._models: list[list[WarpedProcess | FoldedEnsemble]] = []
        self._warps: list[Warp] = []
        self._centre = self._spread = np.zeros(0)

    def fit(self, sources: Sequence[Source], x: Array) -> "SourceScores":
        """Learn every source; how much each says of networks like (n, f) ones is what its feature is scaled by.

        Networks of another space may all be beyond those of the source, and still be told apart by it.
        """
        new = [source for source in sources if not _copies(source)]
        self.names = tuple(source.name for source in new)
        for source in new:
            models: list[WarpedProcess | FoldedEnsemble] = [RankingProcess(self._features, seed=self._seed)]
            if len(source.values) >= FEWEST:
                models.append(RankingBoosting(self._features, seed=self._seed))
            for model in models:
                model._fit(source.features, source.values, ())
            self._models.append(models)
            self._warps.append(Warp.normal_scores(source.values))
        told = self(x)[:, x.shape[1] :]
        self._centre, self._spread = told.mean(axis=0), told.std(axis=0)
        self._spread[self._spread < SAME] = 0.0
        return self

    @property
    def features(self) -> FeatureSet:
        """What the columns are with the sources beside."""
        known, more = self._features, len(self.names)
        if not more:
            return known
        names = tuple(f"source {place}: {name}" for place, name in enumerate(self.names))
        group, never = Group(GROUP, more, SLOPE, BEND), np.zeros(more, np.bool_)
        return known.beside(FeatureSet(known.subject, names, (group,), self._centre, self._spread, never))

    def __call__(self, x: Array) -> Array:
        """Return (n, f + s) features of (n, f) ones."""
        columns = [
            np.mean([warp.forward(model.mean(x)) for model in models], axis=0)
            for warp, models in zip(self._warps, self._models, strict=True)
        ]
        return np.concatenate([x, *(column[:, None] for column in columns)], axis=1)

    def state(self) -> tuple[dict[str, NDArray[Any]], list[Any]]:
        """Arrays and JSON values that make it again, with `restore`."""
        arrays: dict[str, NDArray[Any]] = {"centre": self._centre, "spread": self._spread}
        plain = []
        for place, (name, warp, models) in enumerate(zip(self.names, self._warps, self._models, strict=True)):
            arrays |= {f"{place}.{key}": value for key, value in warp.state().items()}
            settings = []
            for number, model in enumerate(models):
                state = model._state()
                arrays |= {f"{place}.{number}.{key}": value for key, value in state.arrays.items()}
                settings.append(state.settings)
            plain.append({"name": name, "models": settings})
        return arrays, plain

    def restore(self, arrays: Mapping[str, NDArray[Any]], plain: Sequence[Mapping[str, Any]]) -> "SourceScores":
        """Become what `state` describes."""
        self.names = tuple(str(each["name"]) for each in plain)
        self._models, self._warps = [], []
        self._centre, self._spread = arrays["centre"], arrays["spread"]
        for place, each in enumerate(plain):
            self._warps.append(Warp.restored(under(arrays, f"{place}.")))
            kinds = (RankingProcess, RankingBoosting)
            models: list[WarpedProcess | FoldedEnsemble] = []
            for number, settings in enumerate(each["models"]):
                model = kinds[number](self._features, seed=self._seed)
                model._restore(under(arrays, f"{place}.{number}."), settings)
                models.append(model)
            self._models.append(models)
        return self


def _copies(source: Source) -> bool:
    """Whether a source orders networks as one of their features does, or the other way round."""
    if len(source.values) < TELLING:
        return False
    ranks = rankdata(np.column_stack([source.values, source.features]), axis=0)
    centred = ranks - ranks.mean(axis=0)
    lengths = np.maximum(np.linalg.norm(centred, axis=0), 1.0)
    return bool((np.abs(centred[:, 0] @ centred[:, 1:]) > COPY * lengths[0] * lengths[1:]).any())


def under(arrays: Mapping[str, NDArray[Any]], start: str) -> dict[str, NDArray[Any]]:
    """The arrays whose names begin with something, without it."""
    return {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}
