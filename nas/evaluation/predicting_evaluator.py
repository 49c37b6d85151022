"""An evaluator that measures or scores where that can change something, and predicts elsewhere."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.evaluation.evaluator import Evaluated, Evaluator, Request
from nas.evaluation.learned_metric import FIRST, Guess, LearnedMetric
from nas.features.accuracy_features import AccuracyFeatures
from nas.features.network_features import SpaceFeatures
from nas.front import front, hypervolume
from nas.jobspec.metric_names import LEARNED
from nas.objectives import Objective, deviation, losses, violations
from predictors.accuracy import Accuracy
from predictors.auto import Auto
from search_spaces.costs.static import costs
from search_spaces.genotypes import Population
from search_spaces.space import SearchSpace

Array = NDArray[np.float64]

WORTH = 0.02
"""The share of the front's hypervolume that must depend on a prediction for it to be measured during the search.

What depends on it is what the network adds at the better end of its 90 % interval beyond what it adds at the worse."""
SHARE, BESIDE = 0.04, 1.25
"""At most this share of all networks is measured during the search beside this many times the first ones: where a
device is noisy, intervals stay wide however much is measured."""
CORNER = 0.1
"""How far the reference point lies beyond the worst losses of the front, as a share of their range."""
FOR_AUTO = "auto"


class _Pending(NamedTuple):
    """A request, what was guessed for it, and the metrics that are guessed once their hints are there."""

    request: Request
    guesses: dict[str, Guess]
    later: tuple[str, ...]


class PredictingEvaluator:
    """Stands before another evaluator and spares it measurements.

    The first networks are measured, and others held until then. Each of these gets a predicted value, and whatever else
    is asked is evaluated. Where the metric is to come from `auto`, a network is measured after all when its interval is
    too wide to tell what it adds to the front: when that differs by more than `WORTH` of the front's hypervolume
    between the ends of the interval. But few of many are, so that noise does not have all of them measured. What surely
    joins the front is told as predicted, and measured at the end of the search if it is still on it, as all is that a
    job reports (`nas.finalists`). The predictors learn from every measurement, and choose among proposals
    (`nas.screening`).

    Args:
        inner: what evaluates and measures; closed with this.
        space: what is searched.
        objectives: what is wanted.
        sources: metric -> `predict` or `auto`; others are measured.
        hints: metrics that `inner` tells of every network that has them, such as zero-cost scores; predictors of
            accuracy and loss see them.
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
        hints: Sequence[str] = (),
        seed: int = 0,
        history: Sequence[tuple[NDArray[np.int16], Mapping[str, float]]] = (),
    ) -> None:
        self._inner = inner
        self._space = space
        self._objectives = tuple(objectives)
        self._sources = dict(sources)
        plain, learned = (cache(lambda kind=kind: kind(space)) for kind in (SpaceFeatures, AccuracyFeatures))
        self._learned = {
            metric: LearnedMetric(learned(), Accuracy, hints, seed=seed)
            if metric in LEARNED
            else LearnedMetric(plain(), Auto, priced=space, seed=seed)
            for metric in sources
        }
        self._seen: list[Array] = []
        self._range = np.full((2, len(self._objectives)), np.nan)  # of the losses of all that met the bounds
        self._pending: dict[str, _Pending] = {}
        self._measuring: dict[str, Request] = {}
        self._held: list[Request] = []  # until enough is measured to predict them
        self._begun: dict[str, Evaluated] = {}  # what was found before it was known that more has to be measured
        self._answered = self._measured = 0  # networks, in the search
        for genotype, metrics in history:
            self._answered += 1
            self._measured += all(metrics.get(deviation(metric), 0.0) == 0 for metric in sources)
            self._look(genotype, metrics)
        for metric, each in self._learned.items():
            each.recall([(row, known, known[metric]) for row, known in history if _measured(metric, known)])

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests; those beyond the first are held until these are measured, however many come at once."""
        self._held += requests
        self._release()

    def _release(self) -> None:
        """Pass on what is held: all of it once there are predictions, before only what these need."""
        room = len(self._held)
        if lacking := [learned for learned in self._learned.values() if not learned.ready]:
            needed = FIRST - min(learned.known for learned in lacking) - len(self._measuring)
            waits = bool(self._measuring or self._pending)  # values that are all alike teach nothing: then more
            room = needed if needed > 0 else 0 if waits else FIRST
        requests, self._held = self._held[:room], self._held[room:]
        plain = []
        guessed = self._guessed(requests)
        for request, guesses in zip(requests, guessed, strict=True):
            later = tuple(
                metric
                for metric, learned in self._learned.items()
                if learned.ready and learned.hints and metric not in request.known
            )
            if not (guesses or later):
                self._measuring[request.key] = request
                self._measured += 1
                plain.append(request)
                continue
            self._pending[request.key] = _Pending(request, guesses, later)
            expected = {metric: guess.mean for metric, guess in guesses.items()} | dict.fromkeys(later, np.nan)
            plain.append(Request(request.key, request.genotype, {**request.known, **expected}))
        self._inner.submit(plain)

    def wait(self) -> list[Evaluated]:
        """Block until at least one request is answered; empty when none is outstanding."""
        done: list[Evaluated] = []
        while not done:
            answers = self._inner.wait()
            if not answers:
                return []
            done = [answer for answer in answers if self._finished(answer)]
            if self._held:
                self._release()
        return done

    def close(self) -> None:
        """Let go of all actors."""
        self._inner.close()

    def learn(self, genotype: NDArray[np.int16], metrics: Mapping[str, float]) -> None:
        """Take in what was measured; what an earlier part of the job predicted is no measurement."""
        for metric, learned in self._learned.items():
            if _measured(metric, metrics):
                learned.learn(genotype, metrics, metrics[metric])
        self._look(genotype, metrics)

    def _look(self, genotype: NDArray[np.int16], metrics: Mapping[str, float]) -> None:
        self._see({**costs(self._space.graph(genotype)), **metrics})

    def foreseen(self, population: Population) -> dict[str, Array]:
        """For each metric that needs no hints and can be predicted, what is predicted of (n, d) genotypes now."""
        ready = {metric: each for metric, each in self._learned.items() if each.ready and not each.hints}
        if not len(population):
            return {metric: np.zeros(0) for metric in ready}
        return {metric: each.guesses(population, [{}] * len(population))[0] for metric, each in ready.items()}

    def predicted(self, population: Population, known: Sequence[Mapping[str, float]]) -> dict[str, Array]:
        """For each metric that can be predicted, what is predicted of (n, d) genotypes from all that was measured.

        Args:
            population: the genotypes.
            known: what is known of each, hints among it.
        """
        found = {}
        for metric, learned in self._learned.items():
            learned.fit()
            if learned.ready:
                found[metric] = learned.guesses(population, known)[0]
        return found

    def _guessed(self, requests: Sequence[Request]) -> list[dict[str, Guess]]:
        """For each request, what is guessed of the metrics that need no hints."""
        found: list[dict[str, Guess]] = [{} for _ in requests]
        for metric, learned in self._learned.items():
            places = [place for place, request in enumerate(requests) if metric not in request.known]
            if not learned.ready or learned.hints or not places:
                continue
            rows = np.stack([requests[place].genotype for place in places])
            columns = learned.guesses(rows, [{}] * len(places))
            for place, *values in zip(places, *(column.tolist() for column in columns), strict=True):
                found[place][metric] = Guess(*values)
        return found

    def _finished(self, answer: Evaluated) -> bool:
        """Whether an answer is final; the measurement of one that is not is on its way."""
        pending = self._pending.pop(answer.key, None)
        if pending is None:
            request = self._measuring.pop(answer.key)
            if begun := self._begun.pop(answer.key, None):
                answer.measurements = {**begun.measurements, **answer.measurements}
                answer.seconds += begun.seconds
                answer.device_seconds += begun.device_seconds
            self._answered += 1
            if answer.error is None and answer.stopped is None:
                self.learn(request.genotype, answer.metrics)
            if answer.error is None:
                answer.metrics = {**{deviation(metric): 0.0 for metric in self._sources}, **answer.metrics}
            return True
        genotype = pending.request.genotype
        if answer.error is not None:
            answer.metrics = {name: value for name, value in answer.metrics.items() if name not in pending.later}
            return True
        guesses = {**pending.guesses, **{m: self._learned[m].guess(genotype, answer.metrics) for m in pending.later}}
        answer.metrics.update({metric: guess.mean for metric, guess in guesses.items()})
        static = costs(self._space.graph(genotype))
        needed = self._needed(guesses, {**static, **answer.metrics})
        if needed:
            known = {metric: value for metric, value in answer.metrics.items() if metric not in needed}
            known |= {deviation(metric): guess.std for metric, guess in guesses.items() if metric not in needed}
            request = Request(answer.key, genotype, known)
            self._measuring[answer.key], self._begun[answer.key] = request, answer
            self._measured += 1
            self._inner.submit([request])
            return False
        self._answered += 1
        for metric in self._sources:
            answer.metrics[deviation(metric)] = guesses[metric].std if metric in guesses else 0.0
        self._see({**static, **answer.metrics})
        return True

    def _needed(self, guesses: Mapping[str, Guess], metrics: Mapping[str, float]) -> set[str]:
        """The metrics that must be measured because it is open what the network adds to the front."""
        open_to = {metric: guess for metric, guess in guesses.items() if self._sources[metric] == FOR_AUTO}
        if not open_to or self._measured >= BESIDE * FIRST + SHARE * self._answered:
            return set()
        rising = {o.metric for o in self._objectives if o.direction == "max"}
        ends = []
        for better in (True, False):
            told = {m: guess.high if (m in rising) == better else guess.low for m, guess in open_to.items()}
            lost, broken = self._losses({**metrics, **told})
            ends.append(lost if np.isfinite(lost).all() and broken <= 0 else None)
        if ends[0] is None:
            return set()
        if not self._seen:
            return set(open_to)
        known = np.array(self._seen)
        low, high = known.min(axis=0), known.max(axis=0)
        wide = self._range[1] - self._range[0]
        span = np.where(high > low, high - low, np.where(wide > 0, wide, 1.0))
        corner = high + CORNER * span
        volume = hypervolume(known / span, corner / span)
        added = [0.0 if end is None else hypervolume(np.vstack([known, end]) / span, corner / span) for end in ends]
        return set(open_to) if added[0] - max(added[1], volume) > WORTH * volume else set()

    def _see(self, metrics: Mapping[str, float]) -> None:
        """Keep the front of what is known."""
        lost, broken = self._losses(metrics)
        if np.isfinite(lost).all() and broken <= 0:
            self._range = np.stack([np.fmin(self._range[0], lost), np.fmax(self._range[1], lost)])
            everything = np.array([*self._seen, lost])
            self._seen = [everything[place] for place in front(everything)]

    def _losses(self, metrics: Mapping[str, float]) -> tuple[Array, float]:
        """The (m,) losses and the violation of one network whose metrics are known, static ones among them."""
        values = {o.metric: np.array([metrics.get(o.metric, np.nan)]) for o in self._objectives}
        return losses(self._objectives, values)[0], float(violations(self._objectives, values)[0])


def _measured(metric: str, metrics: Mapping[str, float]) -> bool:
    """Whether a value is there and was not predicted."""
    return bool(np.isfinite(metrics.get(metric, np.nan))) and metrics.get(deviation(metric), 0.0) == 0
