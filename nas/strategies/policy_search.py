"""What the searches have in common that learn how to draw every decision: `bandit` and `reinforce`."""

from abc import abstractmethod
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nas.strategies.base import Strategy, StrategyOptions
from nas.strategies.factorised import Factorised, Table
from nas.strategies.first_points import first_points
from nas.strategies.ranking import average_ranks
from nas.strategies.scalarisation import costs, spread_weights
from search_spaces.genotypes import Population


class PolicyOptions(StrategyOptions):
    """The options that every such search has."""

    policies: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="distributions learned, each for its own weights of the objectives; one objective has one",
    )
    first: int = Field(default=20, ge=1, le=100_000, description="points before the first drawn ones")
    block: int = Field(default=10, ge=1, le=10_000, description="results between two updates")
    window: int = Field(default=100, ge=2, le=10_000, description="newest results with which a result is compared")


Options = TypeVar("Options", bound=PolicyOptions)

EMPHASIS = 4
MEAN_REWARD = 1 / (1 + EMPHASIS)


class PolicySearch(Strategy[Options], Generic[Options]):
    """Draws genotypes from factorised distributions and teaches these in blocks of results.

    Each distribution has its own weights of the objectives, spread evenly, and rewards a result with the fourth
    power of the share of the newest results that it beats by the augmented Chebyshev sum of ranks; infeasible ones
    come after all feasible ones, failed ones last. The power makes the best count more than the good. A result
    teaches every distribution in proportion to its part in the mixture that results are drawn from, so it does not
    matter which one proposed it.

    A subclass says `_probabilities` and `_learn`.
    """

    def _start(self) -> None:
        self.factorised = Factorised(self.space)
        self._weights = spread_weights(self.options.policies if self.objectives > 1 else 1, self.objectives)
        self._logits: Table = np.zeros((len(self._weights), self.factorised.width))
        self._learned = 0

    @property
    def probabilities(self) -> Table:
        """(k, o) probabilities of every option, for each distribution."""
        return self._probabilities()

    def _observe(self) -> None:
        while len(self.history) - self._learned >= self.options.block:
            end = self._learned + self.options.block
            block = self.history.genotypes[self._learned : end]
            self._learn(block, self._rewards(end), self.factorised.shares(self._probabilities(), block))
            self._learned = end

    def _rewards(self, end: int) -> NDArray[np.float64]:
        """Return (k, n) rewards in [0, 1] of the block that ends there; a failure has 0."""
        start = max(0, end - max(self.options.window, self.options.block))
        cost = costs(self.history.losses[start:end], self.history.violations[start:end], self._weights)
        beaten = (end - start - average_ranks(cost, axis=1)) / max(end - start - 1, 1)
        rewards: NDArray[np.float64] = np.where(np.isfinite(cost), beaten, 0.0)[:, -self.options.block :] ** EMPHASIS
        return rewards

    def _propose(self, n: int, rng: np.random.Generator) -> Population:
        if self.proposed < self.options.first:
            return first_points(self.space, self.seeds, n, rng)
        count = len(self._weights)
        which = (np.arange(n) + int(rng.integers(count))) % count
        drawn = self.factorised.draw(self._probabilities(), which, rng)
        # What was seen before is replaced by something near it.
        return np.concatenate([drawn, self.space.mutate(drawn, rng)])

    @abstractmethod
    def _probabilities(self) -> Table:
        """Return the (k, o) probabilities to draw from."""

    @abstractmethod
    def _learn(self, population: Population, rewards: NDArray[np.float64], shares: NDArray[np.float64]) -> None:
        """Update the logits with n results: rewards (k, n) in [0, 1] and the parts in the mixture (k, n)."""
