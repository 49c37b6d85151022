"""Screening: more networks are proposed than are evaluated, and predictors choose among them.

Where every objective of a proposal is known or can be predicted before anything runs, an evaluation is spent on those
that look best (pre-selection; Y. Jin, "Surrogate-assisted evolutionary computation: Recent advances and future
challenges", Swarm and Evolutionary Computation 1(2), 2011).
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nas.front import front
from nas.objectives import Objective, losses, violations
from nas.strategies.base import Strategy
from nas.strategies.ranking import best
from search_spaces.costs.static import METRICS
from search_spaces.genotypes import Population
from search_spaces.space import SearchSpace

CANDIDATES = 5
"""Networks that are proposed for each one that is kept."""


@runtime_checkable
class Foresees(Protocol):
    """What predicts metrics of networks that nobody evaluated, such as `nas.evaluation.predicting_evaluator`'s."""

    def foreseen(self, population: Population) -> dict[str, NDArray[np.float64]]:
        """For each metric that is predicted at this moment, the (n,) values of (n, d) genotypes."""


def ask(
    strategy: Strategy[Any], n: int, space: SearchSpace, objectives: Sequence[Objective], predictor: object
) -> Population:
    """Have a strategy propose n networks at most, the best of more where they can be told apart.

    The best are those by rank and crowding beside the front of all that the strategy was told. The others are
    withdrawn, so that the strategy stands where it would if it had never proposed them.

    Args:
        strategy: what proposes.
        n: networks that are evaluated.
        space: what is searched.
        objectives: what is wanted.
        predictor: what may know more; one that does not foresee all objectives but the static ones changes nothing.
    """
    names = {objective.metric for objective in objectives}
    static = sorted(names.intersection(METRICS))
    if not (strategy.screened and isinstance(predictor, Foresees)) or strategy.proposed < len(strategy.seeds):
        return strategy.ask(n)
    if names.difference(static) - predictor.foreseen(np.zeros((0, len(space.decisions)), np.int16)).keys():
        return strategy.ask(n)
    candidates = strategy.ask(CANDIDATES * n)
    if len(candidates) <= n:
        return candidates
    values = predictor.foreseen(candidates) | (space.costs(candidates, static) if static else {})
    known = strategy.history.losses, strategy.history.violations
    told = front(*known)
    lost = np.concatenate([known[0][told], losses(objectives, values)])
    broken = np.concatenate([known[1][told], violations(objectives, values)])
    order = best(lost, broken, len(lost)) - len(told)
    kept = np.zeros(len(candidates), np.bool_)
    kept[order[order >= 0][:n]] = True
    strategy.withdraw(candidates[~kept])
    return candidates[kept]
