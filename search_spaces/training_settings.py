"""How a supernet, or one network of it, is trained."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class TrainingSettings(BaseModel):
    """The recipe; unknown keys are refused.

    Attributes:
        epochs: passes over the training images.
        batch_size: images a step; an incomplete last batch is left out.
        optimiser: `sgd` (with Nesterov momentum) or `adamw`.
        learning_rate: its peak; it rises linearly over `warmup_epochs` and falls to zero along a cosine. A step
            follows the mean gradient of its networks, so short supernet trainings bear twice the rate of one network.
        momentum: of `sgd`, and beta 1 of `adamw`.
        weight_decay: of weights only, never of biases and normalisation.
        label_smoothing: share of the target spread over all classes.
        random_subnets: networks drawn for each step beside the largest and the smallest (the sandwich rule).
        distillation: share of the largest network's predictions in the targets of the other networks.
        temperature: by which logits are divided before they are distilled.
        gradient_clip: largest norm of the gradient, null for no limit.
        shift: pixels by which training images are moved at random.
        flip: whether training images are mirrored at random.
        seed: of first values, order, sampled networks and augmentation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(default=40, ge=1, le=100_000)
    batch_size: int = Field(default=64, ge=2, le=65_536)
    optimiser: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Positive = 0.3
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    warmup_epochs: float = Field(default=2.0, ge=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    random_subnets: int = Field(default=2, ge=0, le=64)
    distillation: Share = 1.0
    temperature: Positive = 1.0
    gradient_clip: Positive | None = 5.0
    shift: int = Field(default=0, ge=0, le=64)
    flip: bool = False
    seed: int = Field(default=0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _warm_up_ends(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs must be less than epochs ({self.epochs}), got {self.warmup_epochs}")
        return self
