"""What is known of a cost, as plain arrays: for a file, for a worker, and for the search."""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from search_spaces.gradient.decision_costs import DecisionCosts
from search_spaces.space import Population, SearchSpace

PAIRED = 4_096
"""Pairs of options that are fitted at most; spaces with more get a summand for each option alone."""
FITTED = 2_048
"""Costs that a fit takes into account at most."""


@dataclass(frozen=True, slots=True)
class CostTable:
    """Costs of some networks, and the summands that are fitted on them.

    Attributes:
        metric: what the cost is, such as `latency_ms@cpu`.
        exact: whether the metric follows from the graph, so that it is known of every network.
        genotypes: (k, d) canonical, whose costs are known.
        costs: (k,) theirs.
        constant: as for `DecisionCosts`, and so are `options`, `pairs`, `places` and `error`.
        options: see there.
        pairs: see there.
        places: see there.
        error: see there.
    """

    metric: str
    exact: bool
    genotypes: Population
    costs: NDArray[np.float64]
    constant: float
    options: NDArray[np.float64]
    pairs: NDArray[np.float64]
    places: NDArray[np.intp]
    error: float

    @classmethod
    def fit(
        cls, space: SearchSpace, metric: str, genotypes: Population, costs: NDArray[np.float64], *, exact: bool = False
    ) -> Self:
        """Fit summands of options, and of pairs of options where measurements left out are predicted better with them.

        Args:
            space: whose genotypes.
            metric: what the cost is.
            genotypes: (k, d), at least 3.
            costs: (k,), finite.
            exact: whether the space knows the metric of every network.

        Raises:
            ValueError: as `DecisionCosts.fit` says.
        """
        rows = space.canonical(genotypes)
        chosen = np.random.default_rng(0).permutation(len(rows))[:FITTED]
        fitted = DecisionCosts.fit(space, rows[chosen], costs[chosen])
        features = int(space.cardinalities.sum())
        if features * (features - 1) // 2 <= PAIRED:
            paired = DecisionCosts.fit(space, rows[chosen], costs[chosen], pairwise=True)
            fitted = min(fitted, paired, key=lambda each: each.error)
        parts = (fitted.constant, fitted.options, fitted.pairs, fitted.places, fitted.error)
        return cls(metric, exact, rows, costs, *parts)

    def cost(self, space: SearchSpace, margin: float = 0.0) -> "TableCost":
        """The cost for a search of the space.

        Args:
            space: that of the genotypes.
            margin: errors of the fit that are added where a cost is not known.
        """
        fitted = DecisionCosts(space, self.constant, self.options, self.pairs, self.places, self.error)
        known = dict(zip(space.keys(self.genotypes).tolist(), self.costs.tolist(), strict=True))

        def look_up(population: Population) -> NDArray[np.float64]:
            if self.exact:
                return space.costs(population, [self.metric])[self.metric]
            return np.array([known.get(key, np.nan) for key in space.keys(population).tolist()], np.float64)

        return TableCost(fitted, look_up, margin * self.error)

    def text(self) -> str:
        """The table as JSON; `read` gives it back to the bit."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}
        return json.dumps(plain, allow_nan=False)

    @classmethod
    def read(cls, text: str, space: SearchSpace) -> Self:
        """A table that `text` made for this space.

        Raises:
            ValueError: no such table, or one of another space.
        """
        try:
            found = json.loads(text)
            table = cls(
                metric=str(found["metric"]),
                exact=found["exact"] is True,
                genotypes=np.array(found["genotypes"], np.int16),
                costs=np.array(found["costs"], np.float64),
                constant=float(found["constant"]),
                options=np.array(found["options"], np.float64),
                pairs=np.array(found["pairs"], np.float64),
                places=np.array(found["places"], np.intp).reshape(2, -1),
                error=float(found["error"]),
            )
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"not a table of costs: {type(error).__name__}: {error}") from error
        space.validate(table.genotypes)
        features = int(space.cardinalities.sum())
        shapes = (table.options.shape, table.costs.shape, table.pairs.shape)
        if shapes != ((features,), table.genotypes.shape[:1], table.places.shape[1:]):
            raise ValueError(f"a table of costs of another space: arrays of {shapes} for {features} options")
        return table


class TableCost:
    """Known costs where there are any, and otherwise fitted ones with something in reserve.

    Args:
        fitted: the summands; the expectation is theirs.
        look_up: (n, d) canonical genotypes -> (n,) costs, NaN where not known.
        reserve: added to costs that are not known.
    """

    def __init__(
        self, fitted: DecisionCosts, look_up: Callable[[Population], NDArray[np.float64]], reserve: float
    ) -> None:
        self.fitted, self.look_up, self.reserve = fitted, look_up, reserve

    def expected(self, encoding: Tensor) -> Tensor:
        """As `Cost` says."""
        return self.fitted.expected(encoding)

    def predict(self, population: Population) -> NDArray[np.float64]:
        """As `Cost` says."""
        known = self.look_up(population)
        missing = np.isnan(known)
        if missing.any():
            known[missing] = self.fitted.predict(population[missing]) + self.reserve
        return known
