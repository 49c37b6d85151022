"""An evaluator that measures or scores where that can change something, and predicts elsewhere."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.evaluation.evaluator import Evaluated, Evaluator, Request
from nas.features.accuracy_features import AccuracyFeatures
from nas.features.network_features import SpaceFeatures
from nas.front import front
from nas.jobspec.metric_names import LEARNED
from nas.objectives import Objective, deviation, losses, violations
from predictors.accuracy import Accuracy
from predictors.auto import Auto
from predictors.errors import PredictorError
from predictors.predictor import Predictor
from search_spaces.costs.static import costs
from search_spaces.space import SearchSpace

Array = NDArray[np.float64]
Features = SpaceFeatures | AccuracyFeatures

FIRST = 16
"""Networks that are measured before anything is predicted."""
HOPE = 0.0
"""Deviations that a value may be better than predicted when it is asked whether its network joins the front."""
REFIT = 1.15
"""A predictor learns anew when there are so many times the measurements it has seen."""
FOR_AUTO, FOR_PREDICT = "auto", "predict"


class _Guess(NamedTuple):
    """What is expected of one network: the value, its deviation, what may be hoped for, and the best that is possible.

    The last is the better end of the 90 % interval.
    """

    mean: float
    std: float
    hoped: float
    best: float


class _Pending(NamedTuple):
    """A request and what was guessed for it."""

    request: Request
    guesses: dict[str, _Guess]


class PredictingEvaluator:
    """Stands before another evaluator and spares it measurements.

    The first networks are measured. Then each gets a predicted value, and whatever else is asked is evaluated. A
    network that may join the front, being half a deviation better than predicted, and may meet the bounds, which its
    90 % interval tells, is measured after all where the metric is to come from `auto`. The predictors learn from every
    measurement.

    Args:
        inner: what evaluates and measures; closed with this.
        space: what is searched.
        objectives: what is wanted.
        sources: metric -> `predict` or `auto`; others are measured.
        seed: of the predictors.
        history: genotypes (n, d) and metrics of what was evaluated before, when a job goes on.
    """

    def __init__(
        self,
        inner: Evaluator,
        space: SearchSpace,
        objectives: Sequence[Objective],
        sources: Mapping[str, str],
        *,
        seed: int = 0,
        history: Sequence[tuple[NDArray[np.int16], Mapping[str, float]]] = (),
    ) -> None:
        self._inner = inner
        self._space = space
        self._objectives = tuple(objectives)
        self._sources = dict(sources)
        self._features: dict[str, Features] = {}
        self._predictors: dict[str, Predictor] = {}
        plain, learned = (cache(lambda kind=kind: kind(space)) for kind in (SpaceFeatures, AccuracyFeatures))
        for metric in sources:
            self._features[metric] = (learned if metric in LEARNED else plain)()
            kind = Accuracy if metric in LEARNED else Auto
            self._predictors[metric] = kind(self._features[metric].features, seed=seed)
        self._rows: dict[str, list[Array]] = {metric: [] for metric in sources}
        self._values: dict[str, list[float]] = {metric: [] for metric in sources}
        self._seen: list[Array] = []
        self._pending: dict[str, _Pending] = {}
        self._measuring: dict[str, Request] = {}
        self._begun: dict[str, Evaluated] = {}  # what was found before it was known that more has to be measured
        for genotype, metrics in history:
            self._learn(genotype, metrics)

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests."""
        plain = []
        for request in requests:
            guesses = self._guesses(request)
            if guesses:
                self._pending[request.key] = _Pending(request, guesses)
                known = {**request.known, **{metric: guess.mean for metric, guess in guesses.items()}}
                plain.append(Request(request.key, request.genotype, known))
            else:
                self._measuring[request.key] = request
                plain.append(request)
        self._inner.submit(plain)

    def wait(self) -> list[Evaluated]:
        """Block until at least one request is answered; empty when none is outstanding."""
        done: list[Evaluated] = []
        while not done:
            answers = self._inner.wait()
            if not answers:
                return []
            done = [answer for answer in answers if self._finished(answer)]
        return done

    def close(self) -> None:
        """Let go of all actors."""
        self._inner.close()

    def _finished(self, answer: Evaluated) -> bool:
        """Whether an answer is final; the measurement of one that is not is on its way."""
        pending = self._pending.pop(answer.key, None)
        if pending is None:
            request = self._measuring.pop(answer.key)
            if begun := self._begun.pop(answer.key, None):
                answer.measurements = {**begun.measurements, **answer.measurements}
                answer.seconds += begun.seconds
                answer.device_seconds += begun.device_seconds
            if answer.error is None and answer.stopped is None:
                self._learn(request.genotype, answer.metrics)
            if answer.error is None:
                answer.metrics.update({deviation(metric): 0.0 for metric in self._sources})
            return True
        if answer.error is not None:
            return True
        needed = self._needed(pending, answer.metrics)
        if needed:
            known = {metric: value for metric, value in answer.metrics.items() if metric not in needed}
            request = Request(answer.key, pending.request.genotype, known)
            self._measuring[answer.key], self._begun[answer.key] = request, answer
            self._inner.submit([request])
            return False
        for metric in self._sources:
            guess = pending.guesses.get(metric)
            answer.metrics[deviation(metric)] = 0.0 if guess is None else guess.std
        self._see(pending.request.genotype, answer.metrics)
        return True

    def _guesses(self, request: Request) -> dict[str, _Guess]:
        """A value for each metric that may be predicted and can be by now."""
        found = {}
        for metric, predictor in self._predictors.items():
            if metric in request.known or not predictor.samples:
                continue
            row = self._features[metric](request.genotype[None])
            mean, std = (float(part[0]) for part in predictor.predict(row))
            low, high = (float(end[0]) for end in predictor.interval(row))
            rises = any(o.metric == metric and o.direction == "max" for o in self._objectives)
            found[metric] = _Guess(mean, std, mean + (HOPE if rises else -HOPE) * std, high if rises else low)
        return found

    def _needed(self, pending: _Pending, metrics: Mapping[str, float]) -> set[str]:
        """The metrics that must be measured because the network may be wanted."""
        open_to = {metric: guess for metric, guess in pending.guesses.items() if self._sources[metric] == FOR_AUTO}
        if not open_to:
            return set()
        genotype = pending.request.genotype
        _, broken = self._losses(genotype, {**metrics, **{metric: guess.best for metric, guess in open_to.items()}})
        lost, _ = self._losses(genotype, {**metrics, **{metric: guess.hoped for metric, guess in open_to.items()}})
        if not np.isfinite(lost).all() or broken > 0:
            return set()
        known = np.array(self._seen).reshape(-1, len(self._objectives))
        dominated = ((known <= lost).all(axis=1) & (known < lost).any(axis=1)).any()
        return set() if dominated else set(open_to)

    def _learn(self, genotype: NDArray[np.int16], metrics: Mapping[str, float]) -> None:
        """Take in what was measured; what an earlier part of the job predicted is no measurement."""
        for metric, predictor in self._predictors.items():
            value = metrics.get(metric, np.nan)
            if not np.isfinite(value) or metrics.get(deviation(metric), 0.0) > 0:
                continue
            self._rows[metric].append(self._features[metric](genotype[None])[0])
            self._values[metric].append(value)
            count = len(self._values[metric])
            if count >= max(FIRST, REFIT * predictor.samples):
                try:
                    predictor.fit(np.array(self._rows[metric]), np.array(self._values[metric]))
                except PredictorError:
                    continue  # all measured alike so far: go on measuring
        self._see(genotype, metrics)

    def _see(self, genotype: NDArray[np.int16], metrics: Mapping[str, float]) -> None:
        """Keep the front of what is known."""
        lost, broken = self._losses(genotype, metrics)
        if np.isfinite(lost).all() and broken <= 0:
            everything = np.array([*self._seen, lost])
            self._seen = [everything[place] for place in front(everything)]

    def _losses(self, genotype: NDArray[np.int16], metrics: Mapping[str, float]) -> tuple[Array, float]:
        """The (m,) losses and the violation of one network."""
        known = {**costs(self._space.graph(genotype)), **metrics}
        values = {o.metric: np.array([known.get(o.metric, np.nan)]) for o in self._objectives}
        return losses(self._objectives, values)[0], float(violations(self._objectives, values)[0])
