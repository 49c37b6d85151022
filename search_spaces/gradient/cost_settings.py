"""How a cost of the device enters differentiable search; loads without torch."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class CostSettings(BaseModel):
    """How the expected cost E of the relaxed decisions enters the loss L of the logits.

    Attributes:
        form: `weighted` is L + weight * E (ProxylessNAS, arXiv 1812.00332), `ratio` is L * (E / target) ** weight
            (MnasNet, arXiv 1807.11626; FBNet, arXiv 1812.03443, with a power of the cost as well), and `budget` is
            L + multiplier * (E / target - 1), where the multiplier grows while E is above the target and shrinks below
            it (and counts less as long as E is below), and the derived network is the most probable one that costs no
            more than the target.
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
