"""A differentiable search before it begins."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.gradient.cost_settings import CostSettings
from search_spaces.gradient.cost_table import CostTable
from search_spaces.gradient.cost_term import CostTerm
from search_spaces.gradient.registry import METHODS
from search_spaces.gradient.search import GradientSearch
from search_spaces.gradient.search_settings import SearchSettings
from search_spaces.space import Population, SearchSpace


@dataclass(frozen=True, slots=True)
class GradientPlan:
    """A differentiable search in plain values, which cross to a worker.

    Attributes:
        method: its name in the registry.
        options: its own.
        settings: of the search.
        cost: what the search pays for, None for nothing.
        cost_settings: how it pays.
        margin: errors of the cost that are held in reserve.
    """

    method: str
    options: Mapping[str, Any]
    settings: SearchSettings
    cost: CostTable | None = None
    cost_settings: CostSettings | None = None
    margin: float = 0.0

    def term(self, space: SearchSpace) -> CostTerm | None:
        """What the logits pay.

        Raises:
            ValueError: a budget that no network meets.
        """
        if self.cost is None or self.cost_settings is None:
            return None
        margin = self.margin if self.cost_settings.form == "budget" else 0.0
        return CostTerm(space, self.cost.cost(space, margin), self.cost_settings)

    def violation(self, space: SearchSpace) -> Callable[[Population], NDArray[np.float64]] | None:
        """By how much canonical genotypes break the budget, (n,), relative to it; None where there is none."""
        term = self.term(space)
        if term is None or term.settings.form != "budget" or term.settings.target is None:
            return None
        cost, target = term.cost, term.settings.target
        return lambda rows: np.maximum(cost.predict(rows) / target - 1, 0.0)

    def search(
        self, space: SearchSpace, inputs: NDArray[Any], labels: NDArray[np.int64], device: str = "cpu"
    ) -> GradientSearch:
        """The search, not advanced yet.

        Raises:
            ValueError: as `GradientSearch` and `term` say; a `GraphError` is one.
        """
        method = METHODS[self.method](**self.options)
        return GradientSearch(space, method, self.settings, inputs, labels, term=self.term(space), device=device)
