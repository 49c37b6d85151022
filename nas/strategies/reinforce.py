"""Policy gradients with a factorised policy.

R. J. Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning",
Machine Learning 8, 1992; B. Zoph, Q. V. Le, "Neural architecture search with reinforcement learning", arXiv
1611.01578; D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", arXiv 1412.6980.
"""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nas.strategies.factorised import Table
from nas.strategies.policy_search import MEAN_REWARD, PolicyOptions, PolicySearch
from search_spaces.genotypes import Population

DECAY, SQUARE_DECAY, EPSILON = 0.9, 0.99, 1e-8
BASELINE_DECAY = 0.9


class ReinforceOptions(PolicyOptions):
    """The options of REINFORCE."""

    name: Literal["reinforce"] = "reinforce"
    learning_rate: float = Field(default=0.15, gt=0, le=10, description="step of Adam on the logits")
    entropy: float = Field(default=0.01, ge=0, le=10, description="weight of the bonus for entropy")


class Reinforce(PolicySearch[ReinforceOptions]):
    """Raises the logits of options that were better than a running baseline, by Adam, with an entropy bonus."""

    summary: ClassVar[str] = "policy gradient (REINFORCE) with one categorical distribution for every decision"
    options_type = ReinforceOptions

    def _start(self) -> None:
        super()._start()
        self._mean = np.zeros_like(self._logits)
        self._square = np.zeros_like(self._logits)
        self._steps = 0
        self._baseline = np.full((len(self._logits), 1), MEAN_REWARD)

    def _probabilities(self) -> Table:
        return self.factorised.normalised(self._logits)

    def _learn(self, population: Population, rewards: NDArray[np.float64], shares: NDArray[np.float64]) -> None:
        probabilities = self._probabilities()
        advantage = shares * (rewards - self._baseline) / len(population)
        chosen, deciding = self.factorised.chosen(population), self.factorised.deciding(population)
        gradient = advantage @ chosen - probabilities * (advantage @ deciding)
        gradient += self.options.entropy * self._entropy_gradient(probabilities)
        total = np.maximum(shares.sum(axis=1, keepdims=True), EPSILON)
        mean_reward = (shares * rewards).sum(axis=1, keepdims=True) / total
        self._baseline = BASELINE_DECAY * self._baseline + (1 - BASELINE_DECAY) * mean_reward
        self._step(gradient)

    def _entropy_gradient(self, probabilities: Table) -> Table:
        """Return the gradient of the decisions' entropies by the logits."""
        surprise = -np.log(np.maximum(probabilities, 1e-12))
        layout = self.factorised
        mean = np.add.reduceat(probabilities * surprise, layout.starts, axis=1).repeat(layout.sizes, axis=1)
        slope: Table = probabilities * (surprise - mean)
        return slope

    def _step(self, gradient: Table) -> None:
        """Adam, uphill."""
        self._steps += 1
        self._mean = DECAY * self._mean + (1 - DECAY) * gradient
        self._square = SQUARE_DECAY * self._square + (1 - SQUARE_DECAY) * gradient**2
        mean = self._mean / (1 - DECAY**self._steps)
        square = self._square / (1 - SQUARE_DECAY**self._steps)
        self._logits = self._logits + self.options.learning_rate * mean / (np.sqrt(square) + EPSILON)
