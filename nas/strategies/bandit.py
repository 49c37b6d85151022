"""One adversarial bandit for every decision.

F. M. Carlucci, P. M. Esperança, M. Singh et al., "MANAS: multi-agent neural architecture search", arXiv 1909.01051;
P. Auer, N. Cesa-Bianchi, Y. Freund, R. E. Schapire, "The nonstochastic multiarmed bandit problem", SIAM Journal on
Computing 32(1), 2002 (EXP3).
"""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nas.strategies.factorised import Table
from nas.strategies.policy_search import MEAN_REWARD, PolicyOptions, PolicySearch
from search_spaces.genotypes import Population


class BanditOptions(PolicyOptions):
    """The options of the bandits."""

    name: Literal["bandit"] = "bandit"
    learning_rate: float = Field(default=0.2, gt=0, le=10, description="how far one result moves a logit")
    exploration: float = Field(
        default=0.1, gt=0, le=1, description="share of every decision's draws that is spread evenly over its options"
    )


class Bandit(PolicySearch[BanditOptions]):
    """EXP3 for every decision on its own: options are drawn by exponential weights of their estimated rewards.

    The reward of a result is divided by the probability of the option at the time of learning, for the one at the
    time of proposing is not part of a history. It is centred on the mean reward, which lessens the variance and
    favours no option.
    """

    summary: ClassVar[str] = "one adversarial bandit (EXP3) for every decision, rewarded by rank"
    options_type = BanditOptions

    def _probabilities(self) -> Table:
        even = 1 / self.factorised.sizes.repeat(self.factorised.sizes)
        share = self.options.exploration
        return (1 - share) * self.factorised.normalised(self._logits) + share * even

    def _learn(self, population: Population, rewards: NDArray[np.float64], shares: NDArray[np.float64]) -> None:
        gains = shares * (rewards - MEAN_REWARD) @ self.factorised.chosen(population)
        # Divided by the number of options, so that a first step is equally long in all decisions.
        options = self.factorised.sizes.repeat(self.factorised.sizes)
        self._logits += self.options.learning_rate * gains / options / self._probabilities()
