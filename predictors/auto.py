"""The default: every kind of predictor that fits the data, weighed by how well it predicts what it has not seen."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.averaged_process import Guess
from predictors.boosting import Boosting
from predictors.calibration import SAMPLES_PER_FREEDOM
from predictors.counts import Counts
from predictors.gaussian_process import GaussianProcess
from predictors.mlp import Mlp
from predictors.predictor import Predictor, Source, State
from predictors.source_models import FEW
from predictors.transfer import Transfer

Array = NDArray[np.float64]

MEMBERS: dict[str, type[Predictor]] = {kind.name: kind for kind in (Counts, GaussianProcess, Boosting, Mlp, Transfer)}
TRUST = {"counts": 0.25, "gaussian_process": 1.0, "boosting": 0.25, "mlp": 0.25, "transfer": 1.0}
"""Prior weights: how much each is believed before there is any evidence."""
JOINS = {"boosting": 40, "mlp": 40}
"""Samples from which a kind takes part; with fewer, these two cost the most time and are never near the best."""
SMALLEST = 1e-12
RESAMPLINGS = 200
NORMAL_1 = 0.6827
"""The level of an interval of one deviation to each side."""
LEAST_SHARE = 0.02
"""Members below are let go."""


class Auto(Predictor):
    """A weighted mean of predictors.

    The weight of each is its prior weight times the likelihood of its held-out errors, taken as normal with unknown
    variance and averaged over resamplings of the samples: where few of them decide, members share; with many the best
    one leads (pseudo-Bayesian model averaging with the Bayesian bootstrap; Y. Yao et al., "Using stacking to average
    Bayesian predictive distributions", Bayesian Analysis 13(3), 2018). Held-out errors of predictors that share all
    samples but one are alike, so that several of them count as one.
    """

    name = "auto"
    least_samples = Counts.least_samples
    belief = 1.0  # the deviations of the members are calibrated already

    def choose(
        self, pool: Array, n: int, *, sources: Sequence[Source] = (), known: Array | None = None
    ) -> NDArray[np.intp]:
        """Return n rows of (p, f) candidates, as the member that knows most would choose them.

        Sources that measured little themselves say less about what to measure than the features do.
        """
        kind = Transfer if any(len(source.values) > FEW for source in sources) else GaussianProcess
        self._chooser = kind(self.features, seed=self.seed)
        return self._chooser.choose(pool, n, sources=sources, known=known)

    def _fit(self, x: Array, y: Array, sources: Sequence[Source]) -> None:
        fitted: dict[str, Predictor] = {}
        for name, kind in MEMBERS.items():
            if len(y) >= max(kind.least_samples, JOINS.get(name, 0)) and (sources or kind is not Transfer):
                chooser = getattr(self, "_chooser", None)
                member = chooser if type(chooser) is kind else kind(self.features, seed=self.seed)
                fitted[name] = member.fit(x, y, sources)
        scale = (np.abs(y) + np.abs(y).mean()) / 2  # errors count relatively, and those of tiny values not too much
        errors = {name: (y - member.held.mean) / scale for name, member in fitted.items()}
        self.held_out_errors = {name: float(np.sqrt(np.mean(each**2))) for name, each in errors.items()}
        shares = evidence(errors, TRUST, self.seed)
        total = sum(shares.values())
        kept = {name: share / total for name, share in shares.items() if share >= LEAST_SHARE * total}
        total = sum(kept.values())
        self.members = {name: fitted[name] for name in kept}
        self.weights = {name: share / total for name, share in kept.items()}

    def _guess(self, x: Array) -> Guess:
        return self._mixed({name: member._guess(x) for name, member in self.members.items()})

    def _held_out(self, x: Array, y: Array, sources: Sequence[Source]) -> Guess:
        return self._mixed({name: member.held for name, member in self.members.items()})

    def _mixed(self, guesses: Mapping[str, Guess]) -> Guess:
        """Mean and deviation of the mixture; deviations are those that each member's calibration gives."""
        mean = sum((self.weights[n] * g.mean for n, g in guesses.items()), np.zeros(1))
        variance = np.zeros_like(mean)
        for name, guess in guesses.items():
            std = self.members[name]._calibrated.reach(guess.std, NORMAL_1)
            variance = variance + self.weights[name] * (std**2 + (guess.mean - mean) ** 2)
        return Guess(mean, np.sqrt(variance))

    def _state(self) -> State:
        arrays: dict[str, NDArray[Any]] = {}
        plain = {}
        for name, member in self.members.items():
            state = member.state()
            arrays |= {f"{name}.{key}": value for key, value in state.arrays.items()}
            plain[name] = state.settings
        return State(arrays, {"members": plain, "weights": self.weights, "held_out_errors": self.held_out_errors})

    def _restore(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        self.weights = {str(name): float(weight) for name, weight in settings["weights"].items()}
        self.held_out_errors = {str(name): float(error) for name, error in settings["held_out_errors"].items()}
        self.members = {}
        for name, plain in settings["members"].items():
            start = f"{name}."
            own = {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}
            self.members[name] = MEMBERS[name].restored(self.features, State(own, plain))


def evidence(errors: Mapping[str, Array], trust: Mapping[str, float], seed: int) -> dict[str, float]:
    """The weight of each member from its (n,) held-out errors and its prior weight, over resamplings of the samples."""
    squares = np.stack([each**2 for each in errors.values()], axis=1)
    n = len(squares)
    samples = np.random.default_rng([seed, 12]).dirichlet(np.ones(n), RESAMPLINGS)
    logs = -0.5 * n / SAMPLES_PER_FREEDOM * np.log(samples @ squares + SMALLEST * squares.mean() + 1e-300)
    logs += np.log([trust[name] for name in errors])
    chances = np.exp(logs - logs.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    return dict(zip(errors, chances.mean(axis=0).tolist(), strict=True))
