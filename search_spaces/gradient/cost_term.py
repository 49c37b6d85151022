"""What differentiable search pays for latency, or another cost of the device."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from search_spaces.gradient.budget import Budget
from search_spaces.gradient.cost_settings import CostSettings
from search_spaces.gradient.decision_costs import Cost
from search_spaces.gradient.logits import Logits
from search_spaces.space import Genotype, SearchSpace

DAMPING = 1.0


class CostTerm:
    """The cost in the loss of the logits, and in the network that is derived from them.

    The expectation is over the softmax of the logits in every method, also where a step draws its weights.

    Args:
        space: what is searched.
        cost: of its genotypes.
        settings: how it enters.

    Attributes:
        multiplier: of a budget, 0 or more.
        budget: what genotypes may cost, None where nothing is forbidden.

    Raises:
        ValueError: a budget that no genotype meets, with the least cost that was found.
    """

    def __init__(self, space: SearchSpace, cost: Cost, settings: CostSettings) -> None:
        self.space, self.cost, self.settings = space, cost, settings
        self.multiplier = 0.0
        self.budget: Budget | None = None
        if settings.form == "budget":
            assert settings.target is not None
            self.budget = Budget(space, cost.predict, settings.target)

    def __call__(self, loss: Tensor, logits: Logits) -> Tensor:
        """What the logits minimise."""
        settings, expected = self.settings, self.cost.expected(logits.expected())
        if settings.form == "weighted":
            assert settings.weight is not None
            return loss + settings.weight * expected
        assert settings.target is not None
        relative = expected / settings.target
        if settings.form == "budget":
            return loss + self._damped(float(relative.detach())) * (relative - 1)
        assert settings.weight is not None
        return loss * relative.clamp(min=1e-6) ** settings.weight

    @torch.no_grad()
    def pressure(self, loss: float, logits: Logits) -> float:
        """By how much what the logits minimise grows for a unit of expected cost, where the loss is so high."""
        settings = self.settings
        if settings.form == "weighted":
            return settings.weight or 0.0
        target = settings.target or 1.0
        if settings.form == "budget":
            return self._damped(float(self.cost.expected(logits.expected())) / target) / target
        relative = max(float(self.cost.expected(logits.expected())) / target, 1e-6)
        exponent = settings.weight or 0.0
        return float(loss * exponent * relative ** (exponent - 1) / target)

    def _damped(self, relative: float) -> float:
        """The multiplier, less where the budget is not used up, so that the multiplier's inertia does not overshoot.

        This is the proportional part of a controller of the multiplier (Stooke et al., arXiv 2007.03964).
        """
        return max(0.0, self.multiplier + DAMPING * min(0.0, relative - 1))

    @torch.no_grad()
    def update(self, logits: Logits) -> None:
        """Let the multiplier of a budget follow the expected cost, after a step of the logits."""
        if self.settings.form == "budget" and self.settings.target is not None:
            excess = float(self.cost.expected(logits.expected())) / self.settings.target - 1
            self.multiplier = max(0.0, self.multiplier + self.settings.multiplier_rate * excess)

    @torch.no_grad()
    def metrics(self, logits: Logits, derived: Genotype) -> dict[str, float]:
        """`cost_expected`, `cost_derived` of the (d,) derived genotype and, of a budget, `cost_multiplier`."""
        found = {
            "cost_expected": float(self.cost.expected(logits.expected())),
            "cost_derived": float(self.cost.predict(derived[None])[0]),
        }
        return found if self.budget is None else {**found, "cost_multiplier": self.multiplier}

    def notes(self) -> dict[str, Any]:
        """Settings, and what a few genotypes cost, so that a search goes on with the cost that it began with."""
        probes = self.space.sample(4, np.random.default_rng(0))
        return {**self.settings.model_dump(mode="json"), "probes": self.cost.predict(probes).tolist()}
