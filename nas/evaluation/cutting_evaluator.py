"""An evaluator that says from which accuracy on a network may join the front, so that an evaluation can end early."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nas.evaluation.evaluator import Evaluated, Evaluator, Request
from nas.front import front
from nas.jobspec.metric_names import ACCURACY
from nas.objectives import Objective, losses, violations
from search_spaces.costs.static import costs
from search_spaces.space import SearchSpace

Array = NDArray[np.float64]


class CuttingEvaluator:
    """Stands before another evaluator and gives each request the least accuracy that matters.

    A network that is less accurate than one that is no worse in every other objective joins no front. The other
    objectives must be known before the network is evaluated, as static costs are; where one is not, only the bound of
    accuracy counts.

    Args:
        inner: what evaluates; closed with this.
        space: what is searched.
        objectives: what is wanted, accuracy among it.
        history: genotypes (d,) and metrics of what was evaluated before, when a job goes on.
    """

    def __init__(
        self,
        inner: Evaluator,
        space: SearchSpace,
        objectives: Sequence[Objective],
        *,
        history: Sequence[tuple[NDArray[np.int16], Mapping[str, float]]] = (),
    ) -> None:
        self._inner, self._space, self._objectives = inner, space, tuple(objectives)
        self._others = [place for place, each in enumerate(self._objectives) if each.metric != ACCURACY]
        self._best = np.zeros((0, len(self._objectives)))
        self._open: dict[str, Request] = {}
        for genotype, metrics in history:
            self._see(genotype, metrics)

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests."""
        self._open.update({request.key: request for request in requests})
        self._inner.submit([replace(request, least_accuracy=self._least(request)) for request in requests])

    def wait(self) -> list[Evaluated]:
        """Block until at least one request is answered; empty when none is outstanding."""
        answers = self._inner.wait()
        for answer in answers:
            request = self._open.pop(answer.key)
            predicted = ACCURACY in request.known
            if answer.error is None and answer.stopped is None and not predicted:
                self._see(request.genotype, answer.metrics)
        return answers

    def close(self) -> None:
        """Let go of all actors."""
        self._inner.close()

    def _least(self, request: Request) -> float | None:
        """The accuracy below which a network is of no use; None where that is not known."""
        lost, _ = self._losses(request.genotype, request.known)
        accuracy = next(each for each in self._objectives if each.metric == ACCURACY)
        least = [] if accuracy.bound is None else [accuracy.bound]
        others = lost[self._others]
        if np.isfinite(others).all():
            better = (self._best[:, self._others] <= others).all(axis=1)
            least += (-np.delete(self._best[better], self._others, axis=1)).ravel().tolist()
        return max(least, default=None)

    def _see(self, genotype: NDArray[np.int16], metrics: Mapping[str, float]) -> None:
        """Keep the front of what is known."""
        lost, broken = self._losses(genotype, metrics)
        if np.isfinite(lost).all() and broken <= 0:
            everything = np.concatenate([self._best, lost[None]])
            self._best = everything[front(everything)]

    def _losses(self, genotype: NDArray[np.int16], metrics: Mapping[str, float]) -> tuple[Array, float]:
        """The (m,) losses, NaN where they are not known, and the violation of one network."""
        known = {**costs(self._space.graph(genotype)), **metrics}
        values = {o.metric: np.array([known.get(o.metric, np.nan)]) for o in self._objectives}
        return losses(self._objectives, values)[0], float(violations(self._objectives, values)[0])
