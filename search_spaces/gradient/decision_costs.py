"""What decisions cost, as a table that is fitted on measurements and differentiable in the decisions' chances."""

from collections.abc import Callable
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search_spaces.space import Population, SearchSpace

PENALTIES = tuple([10.0**power for power in range(-3, 5)])


class Cost(Protocol):
    """A cost such as latency in milliseconds, in whatever unit its targets and weights are given too."""

    def expected(self, encoding: Tensor) -> Tensor:
        """Of an expected one-hot encoding (features,), as `Logits.expected` makes it: a differentiable number."""

    def predict(self, population: Population) -> NDArray[np.float64]:
        """Of canonical genotypes (n, d), (n,)."""


class DecisionCosts:
    """A constant, a summand for each option and, if wanted, one for each pair of options of two decisions.

    The expectation of such a sum is the sum of the expectations, so the expected cost of a relaxed network is exact:
    with pairs, as long as the activity of two decisions does not depend on a common one. Pairs are needed where
    decisions switch parts of a network off, as zeros in cells do; they are about half the square of all options.

    Args:
        space: whose decisions.
        constant: the cost without any option.
        options: (features,) in the layout of `SearchSpace.encode`.
        pairs: (p,) the summands of pairs of features `places` (2, p).
        places: see `pairs`.
        error: root of the mean squared error of measurements that were left out of the fit, in the costs' unit.
    """

    def __init__(
        self,
        space: SearchSpace,
        constant: float,
        options: NDArray[np.float64],
        pairs: NDArray[np.float64],
        places: NDArray[np.intp],
        error: float,
    ) -> None:
        self.space, self.constant, self.options, self.pairs, self.places = space, constant, options, pairs, places
        self.error = error

    @classmethod
    def fit(
        cls, space: SearchSpace, population: Population, costs: NDArray[np.float64], *, pairwise: bool = False
    ) -> Self:
        """Ridge regression; its penalty is the one of `PENALTIES` with the least error of measurements left out.

        Args:
            space: whose genotypes.
            population: (n, d), at least 3.
            costs: (n,) finite.
            pairwise: whether pairs of options get a summand.

        Raises:
            ValueError: not a population of the space, costs that do not fit it or are not finite.
        """
        space.validate(population)
        if len(population) < 3 or costs.shape != (len(population),) or not np.isfinite(costs).all():
            raise ValueError(
                f"a table of costs needs at least 3 genotypes and a finite cost for each, got {len(population)} and "
                f"costs of shape {costs.shape}, {int((~np.isfinite(costs)).sum())} of them not finite"
            )
        encoded = space.encode(space.canonical(population)).astype(np.float64)
        owner = np.repeat(np.arange(len(space.decisions)), space.cardinalities)
        places = np.stack(np.triu_indices(len(owner), 1))
        places = places[:, owner[places[0]] != owner[places[1]]] if pairwise else places[:, :0]
        features = np.concatenate([encoded, encoded[:, places[0]] * encoded[:, places[1]]], axis=1)
        middle = features.mean(axis=0)
        features -= middle
        u, s, _ = np.linalg.svd(features, full_matrices=False)
        squares, target = np.square(s), costs - costs.mean()
        along = u.T @ target
        best, found = np.inf, features[0]
        for penalty in PENALTIES:
            shrink = squares / (squares + penalty)
            left_out = (target - u @ (shrink * along)) / (1 - 1 / len(target) - np.square(u) @ shrink)
            error = float(np.sqrt(np.mean(np.square(left_out))))
            if error < best:
                best, found = error, features.T @ (u @ (along / (squares + penalty)))
        count = encoded.shape[1]
        constant = float(costs.mean() - middle @ found)
        return cls(space, constant, found[:count], found[count:], places, best)

    def expected(self, encoding: Tensor) -> Tensor:
        """As `Cost` says."""
        options, pairs = (torch.from_numpy(part).to(encoding) for part in (self.options, self.pairs))
        first, second = torch.from_numpy(self.places).to(encoding.device)
        return self.constant + options @ encoding + pairs @ (encoding[first] * encoding[second])

    def predict(self, population: Population) -> NDArray[np.float64]:
        """As `Cost` says."""
        encoded = self.space.encode(population).astype(np.float64)
        found: NDArray[np.float64] = self.constant + encoded @ self.options
        for start in range(0, len(found) if len(self.pairs) else 0, 1024):
            part = encoded[start : start + 1024]
            found[start : start + 1024] += (part[:, self.places[0]] * part[:, self.places[1]]) @ self.pairs
        return found


class EncodedCost:
    """A cost that a differentiable predictor gives for encodings, (n, features) -> (n,); any torch module will do.

    For a relaxed network it is asked about the expected encoding: exact for predictors that are linear, and otherwise
    as good as the predictor is between genotypes.
    """

    def __init__(self, space: SearchSpace, predictor: Callable[[Tensor], Tensor]) -> None:
        self.space, self.predictor = space, predictor

    def expected(self, encoding: Tensor) -> Tensor:
        """As `Cost` says."""
        return self.predictor(encoding[None])[0]

    @torch.no_grad()
    def predict(self, population: Population) -> NDArray[np.float64]:
        """As `Cost` says."""
        found: NDArray[np.float64] = self.predictor(torch.from_numpy(self.space.encode(population))).double().numpy()
        return found
