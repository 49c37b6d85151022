"""The default for accuracies: processes, trees and neural networks, stacked by what they say of what they had not seen.

D. H. Wolpert, "Stacked generalization", Neural Networks 5(2), 1992; weights that are not negative and add up to one
after L. Breiman, "Stacked regressions", Machine Learning 24, 1996, and drawn to what they are on other tables.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from predictors.averaged_process import Guess
from predictors.folded import FoldedEnsemble
from predictors.predictor import Predictor, Source, State
from predictors.ranking_boosting import RankingBoosting
from predictors.ranking_ensemble import RankingEnsemble
from predictors.source_scores import SourceScores, under
from predictors.warped_process import ErrorProcess, RankingProcess, WarpedProcess
from predictors.warping import Warp

Array = NDArray[np.float64]
Member = WarpedProcess | FoldedEnsemble

MEMBERS: dict[str, type[WarpedProcess] | type[FoldedEnsemble]] = {
    kind.name: kind for kind in (RankingProcess, ErrorProcess, RankingBoosting, RankingEnsemble)
}
EXPECTED = {"ranking_process": 0.45, "error_process": 0.15, "ranking_boosting": 0.3, "ranking_ensemble": 0.1}
JOINS = {"ranking_ensemble": 40}
"""Labels from which a kind takes part; with fewer it costs the most time and is never near the best."""
TRUST = 10.0
"""How many samples the expected weights are worth."""
LEAST_SHARE = 0.08
"""Members below are let go."""
SMALLEST = 1e-3


class Accuracy(Predictor):
    """A weighted mean of predictors on the scale of normal scores.

    Sources are whatever else is known of networks: accuracies on another data set, or of another job, or statistics
    that cost nothing; they need not be of the same networks, nor in the same unit.

    Attributes:
        weights: of the members by name.
        held_out_errors: of each, the root mean square on that scale.
    """

    name = "accuracy"
    belief = 1.0  # deviations follow the scale, which is many times wider for poor networks than for good ones

    def _fit(self, x: Array, y: Array, sources: Sequence[Source]) -> None:
        self._told = SourceScores(self.features, self.seed).fit(sources, x)
        x = self._told(x)
        fitted: dict[str, Member] = {}
        for name, kind in MEMBERS.items():
            if len(y) >= max(kind.least_samples, JOINS.get(name, 0)):
                fitted[name] = kind(self._told.features, seed=self.seed)
                fitted[name]._fit(x, y, sources)
        self._warp = Warp.normal_scores(y)
        scores = self._warp.forward(y)
        held = {name: self._warp.forward(each._held_out(x, y, sources).mean) for name, each in fitted.items()}
        self.held_out_errors = {name: float(np.sqrt(np.mean((scores - each) ** 2))) for name, each in held.items()}
        shares = stacked(held, scores)
        kept = {name: share for name, share in shares.items() if share >= LEAST_SHARE}
        self.weights = {name: share / sum(kept.values()) for name, share in kept.items()}
        self.members = {name: fitted[name] for name in kept}
        told = np.stack([held[name] for name in kept])
        mean = self._shares @ told
        self.noise = max(float(np.sqrt(np.mean((scores - mean) ** 2))), SMALLEST)
        self._left_out = self._mixed(told)

    @property
    def _shares(self) -> Array:
        return np.array(list(self.weights.values()))

    def _guess(self, x: Array) -> Guess:
        x = self._told(x)
        return self._mixed(np.stack([self._warp.forward(each.mean(x)) for each in self.members.values()]))

    def _mixed(self, told: Array) -> Guess:
        """Values from (members, n) scores, with the members' disagreement beside the error that is left."""
        mean = self._shares @ told
        return self._warp.guess(mean, np.sqrt(self._shares @ (told - mean) ** 2 + self.noise**2))

    def _held_out(self, x: Array, y: Array, sources: Sequence[Source]) -> Guess:
        return self._left_out

    def _state(self) -> State:
        told, sources = self._told.state()
        arrays: dict[str, NDArray[Any]] = {**self._warp.state(), **{f"told.{key}": each for key, each in told.items()}}
        plain = {}
        for name, member in self.members.items():
            state = member._state()
            arrays |= {f"{name}.{key}": value for key, value in state.arrays.items()}
            plain[name] = state.settings
        own = {"weights": self.weights, "held_out_errors": self.held_out_errors, "noise": self.noise}
        return State(arrays, {"members": plain, "sources": sources, **own})

    def _restore(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        self._warp, self.noise = Warp.restored(arrays), float(settings["noise"])
        self.weights = {str(name): float(weight) for name, weight in settings["weights"].items()}
        self.held_out_errors = {str(name): float(error) for name, error in settings["held_out_errors"].items()}
        self._told = SourceScores(self.features, self.seed).restore(under(arrays, "told."), settings["sources"])
        self.members = {}
        for name in self.weights:
            self.members[name] = MEMBERS[name](self._told.features, seed=self.seed)
            self.members[name]._restore(under(arrays, f"{name}."), settings["members"][name])


def stacked(held: Mapping[str, Array], scores: Array) -> dict[str, float]:
    """The weight of each member from its (n,) held-out scores and the true ones."""
    told = np.stack(list(held.values()), axis=1)
    expected = np.array([EXPECTED[name] for name in held])
    expected /= expected.sum()
    error = max(float(np.sqrt(np.mean((told - scores[:, None]) ** 2, axis=0).min())), SMALLEST)
    one = 1e3 * np.sqrt(len(scores))
    design = np.concatenate([told / error, np.sqrt(TRUST) * np.eye(len(expected)), np.full((1, len(expected)), one)])
    shares, _ = nnls(design, np.concatenate([scores / error, np.sqrt(TRUST) * expected, [one]]))
    return dict(zip(held, (shares / shares.sum()).tolist(), strict=True))
