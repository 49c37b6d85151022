"""What differentiable search pays for latency, or another cost of the device."""

from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from search_spaces.gradient.budget import Budget
from search_spaces.gradient.decision_costs import Cost
from search_spaces.gradient.logits import Logits
from search_spaces.space import Genotype, SearchSpace


class CostSettings(BaseModel):
    """How the expected cost E of the relaxed decisions enters the loss L of the logits.

    Attributes:
        form: `weighted` is L + weight * E (ProxylessNAS, arXiv 1812.00332), `ratio` is L * (E / target) ** weight
            (MnasNet, arXiv 1807.11626; FBNet, arXiv 1812.03443, with a power of the cost as well), and `budget` is
            L + multiplier * (E / target - 1), where the multiplier grows while E is above the target and shrinks below
            it, and the derived network is the most probable one that costs no more than the target.
        weight: of `weighted`, in nats for a unit of cost; the exponent of `ratio`.
        target: of `ratio` and `budget`, in the unit of the cost.
        multiplier_rate: by which the multiplier of `budget` follows E / target - 1, a step.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    form: Literal["weighted", "ratio", "budget"] = "budget"
    weight: float | None = Field(default=None, gt=0)
    target: float | None = Field(default=None, gt=0)
    multiplier_rate: float = Field(default=0.1, gt=0)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        needs = {"weighted": ("weight",), "ratio": ("weight", "target"), "budget": ("target",)}[self.form]
        for name in ("weight", "target"):
            given = getattr(self, name)
            if (name in needs) != (given is not None):
                verb = "needs" if name in needs else "takes no"
                raise ValueError(f"the form {self.form!r} {verb} {name}, got {given}; it takes {', '.join(needs)}")
        return self


class CostTerm:
    """The cost in the loss of the logits, and in the network that is derived from them.

    The expectation is over the softmax of the logits in every method, also where a step draws its weights.

    Args:
        space: what is searched.
        cost: of its genotypes.
        settings: how it enters.

    Attributes:
        multiplier: of a budget, 0 or more.

    Raises:
        ValueError: a budget that no genotype meets, with the least cost that was found.
    """

    def __init__(self, space: SearchSpace, cost: Cost, settings: CostSettings) -> None:
        self.space, self.cost, self.settings = space, cost, settings
        self.multiplier = 0.0
        self._budget = None
        if settings.form == "budget":
            assert settings.target is not None
            self._budget = Budget(space, cost.predict, settings.target)

    def __call__(self, loss: Tensor, logits: Logits) -> Tensor:
        """What the logits minimise."""
        settings, expected = self.settings, self.cost.expected(logits.expected())
        if settings.form == "weighted":
            assert settings.weight is not None
            return loss + settings.weight * expected
        assert settings.target is not None
        relative = expected / settings.target
        if settings.form == "budget":
            return loss + self.multiplier * (relative - 1)
        assert settings.weight is not None
        return loss * relative.clamp(min=1e-6) ** settings.weight

    @torch.no_grad()
    def update(self, logits: Logits) -> None:
        """Let the multiplier of a budget follow the expected cost, after a step of the logits."""
        if self.settings.form == "budget" and self.settings.target is not None:
            excess = float(self.cost.expected(logits.expected())) / self.settings.target - 1
            self.multiplier = max(0.0, self.multiplier + self.settings.multiplier_rate * excess)

    def derive(self, logits: Logits) -> Genotype:
        """The (d,) canonical genotype that the logits stand for; with a budget, the most probable one within it."""
        if self._budget is None:
            return logits.derive()
        start = np.array(logits.best(), np.int16)
        return self._budget.best(logits.log_probability, start)

    @torch.no_grad()
    def metrics(self, logits: Logits) -> dict[str, float]:
        """`cost_expected`, `cost_derived` and, of a budget, `cost_multiplier`."""
        derived = self.derive(logits)
        found = {
            "cost_expected": float(self.cost.expected(logits.expected())),
            "cost_derived": float(self.cost.predict(derived[None])[0]),
        }
        return found if self._budget is None else {**found, "cost_multiplier": self.multiplier}

    def notes(self) -> dict[str, Any]:
        """Settings, and what a few genotypes cost, so that a search goes on with the cost that it began with."""
        probes = self.space.sample(4, np.random.default_rng(0))
        return {**self.settings.model_dump(mode="json"), "probes": self.cost.predict(probes).tolist()}
