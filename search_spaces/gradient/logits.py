"""What differentiable search learns about decisions: unnormalised log-probabilities of their options."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from search_spaces.space import Genotype, Population, SearchSpace


class Logits:
    """One vector for each decision of a space, as long as it has options; the softmax of it is a distribution.

    Args:
        space: whose decisions.
        seed: of the first values, normal with a deviation of 0.001 as in DARTS.
        device: where they live.

    Attributes:
        values: for each decision its (n,) parameter, in the order of columns.
    """

    def __init__(self, space: SearchSpace, seed: int, device: torch.device | str = "cpu") -> None:
        generator = torch.Generator().manual_seed(seed)
        self.space = space
        self.values = [
            nn.Parameter((1e-3 * torch.randn(len(decision.options), generator=generator)).to(device))
            for decision in space.decisions
        ]
        self._columns = {name: column for column, name in enumerate(space.names)}

    def probabilities(self) -> list[Tensor]:
        """For each decision the (n,) distribution over its options, differentiable."""
        return [torch.softmax(value, 0) for value in self.values]

    def expected(self, chances: list[Tensor] | None = None) -> Tensor:
        """The expected one-hot encoding of a genotype that is drawn decision by decision, (features,), differentiable.

        The layout is that of `SearchSpace.encode`: a decision that may be inactive has less than 1 in its part. Exact
        where no two parents of a decision depend on a common decision.

        Args:
            chances: distributions in place of those of the logits.
        """
        chances = self.probabilities() if chances is None else chances
        active: dict[str, Tensor] = {}

        def activity(column: int) -> Tensor:
            decision = self.space.decisions[column]
            if decision.name not in active:
                found = chances[column].new_ones(())
                for parent in dict.fromkeys(condition.decision for condition in decision.active):
                    place = self._columns[parent]
                    allowed = [
                        index
                        for index, option in enumerate(self.space.decisions[place].options)
                        if all(option in each.options for each in decision.active if each.decision == parent)
                    ]
                    found = found * activity(place) * chances[place][allowed].sum()
                active[decision.name] = found
            return active[decision.name]

        return torch.cat([chance * activity(column) for column, chance in enumerate(chances)])

    @torch.no_grad()
    def entropies(self) -> dict[str, float]:
        """Of each decision the entropy in nats, 0 where it is settled."""
        return {
            name: float(torch.special.entr(chances.double()).sum().item())
            for name, chances in zip(self.space.names, self.probabilities(), strict=True)
        }

    @torch.no_grad()
    def log_odds(self, population: Population) -> NDArray[np.float64]:
        """Of canonical genotypes (n, d) how probable each is beside the most probable one, as a logarithm, (n,).

        The sum over active decisions of the log-probability of the option less that of the decision's best, so that a
        network is not preferred for having fewer decisions; 0 for what `derive` gives.
        """
        logs = [torch.log_softmax(value.double(), 0) for value in self.values]
        odds = [(log - log.max()).cpu().numpy() for log in logs]
        picked = np.stack([each[population[:, column]] for column, each in enumerate(odds)], axis=1)
        found: NDArray[np.float64] = np.where(self.space.active(population), picked, 0.0).sum(axis=1)
        return found

    @torch.no_grad()
    def derive(self) -> Genotype:
        """The (d,) canonical genotype of the most probable option of each decision, the first of equals."""
        genotype: Genotype = self.space.canonical(np.array([self.best()], np.int16))[0]
        return genotype

    def best(self) -> list[int]:
        """The most probable option of each decision, inactive ones included."""
        return [int(value.argmax()) for value in self.values]

    def noise(self, rng: np.random.Generator) -> list[Tensor]:
        """Standard Gumbel noise for each logit; the largest sum of logit and noise is a draw of the distribution."""
        return [torch.from_numpy(rng.gumbel(size=len(value))).to(value) for value in self.values]
