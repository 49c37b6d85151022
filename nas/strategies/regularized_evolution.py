"""Regularized evolution: every network dies of age.

E. Real, A. Aggarwal, Y. Huang, Q. V. Le, "Regularized evolution for image classifier architecture search",
AAAI 2019, arXiv 1802.01548.
"""

from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nas.strategies.base import Strategy, StrategyOptions
from nas.strategies.first_points import first_points
from nas.strategies.ranking import failed_rank, ranks
from nas.strategies.scalarisation import costs, random_weights
from search_spaces.genotypes import Population


class RegularizedEvolutionOptions(StrategyOptions):
    """The options of regularized evolution."""

    name: Literal["regularized_evolution"] = "regularized_evolution"
    population: int = Field(default=50, ge=2, le=10_000, description="the newest results, which alone may be parents")
    sample: int = Field(default=20, ge=1, le=10_000, description="results drawn, of which the best is the parent")
    weights: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] | None = Field(
        default=None,
        description="how much each objective counts, in their order; by default every child has its own, drawn",
    )


class RegularizedEvolution(Strategy[RegularizedEvolutionOptions]):
    """Mutates one decision of the best of a random sample of the newest results.

    With several objectives a tournament is decided by the augmented Chebyshev sum of ranks within the living,
    by the weights of the options or by weights drawn for each child.

    Raises:
        ValueError: as `Strategy` says, or the weights are not one for each objective, or are all 0.
    """

    summary: ClassVar[str] = "aging evolution: mutates the best of a sample of the newest results"
    options_type = RegularizedEvolutionOptions

    def _start(self) -> None:
        given = self.options.weights
        if given is not None and (len(given) != self.objectives or not any(given)):
            raise ValueError(
                f"weights must be {self.objectives} numbers, one for each objective, not all 0 (got {list(given)})"
            )
        self._weights = None if given is None else np.array([given]) / sum(given)

    @property
    def incumbents(self) -> NDArray[np.intp]:
        """The living, as indices into `history`, best first."""
        living = np.arange(max(0, len(self.history) - self.options.population), len(self.history))
        rank = ranks(self.history.losses[living], self.history.violations[living])
        order = np.argsort(rank, kind="stable")
        alive: NDArray[np.intp] = living[order[rank[order] < failed_rank(len(living))]]
        return alive

    def _propose(self, n: int, rng: np.random.Generator) -> Population:
        if self.proposed < self.options.population:
            return first_points(self.space, self.seeds, n, rng)
        start = max(0, len(self.history) - self.options.population)
        losses, violations = self.history.losses[start:], self.history.violations[start:]
        weights = random_weights(n, self.objectives, rng) if self._weights is None else self._weights
        cost = costs(losses, violations, weights)
        living = np.flatnonzero(np.isfinite(cost[0]))
        if not living.size:
            return self.space.sample(n, rng)
        size = min(self.options.sample, len(living))
        drawn = living[rng.random((n, len(living))).argpartition(size - 1, axis=1)[:, :size]]
        contest = np.take_along_axis(np.broadcast_to(cost, (n, cost.shape[1])), drawn, axis=1)
        parents = drawn[np.arange(n), contest.argmin(axis=1)]
        # No decision changes by chance, so `mutate` changes exactly one.
        return self.space.mutate(self.history.genotypes[start + parents], rng, rate=0.0)
