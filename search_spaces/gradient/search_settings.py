"""How a differentiable search is run, whatever its method."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from search_spaces.training.augmentation_settings import AugmentationSettings

Positive = Annotated[float, Field(gt=0)]


class SearchSettings(BaseModel):
    """The recipe; unknown keys are refused.

    Attributes:
        rounds: passes over the training samples.
        warmup_rounds: rounds in which weights train and logits stay.
        weights_share: share of the training samples on which weights train; logits learn from the others.
        batch_size: samples a step, for weights and again for logits.
        optimiser: of the weights, `sgd` (with Nesterov momentum) or `adamw`; logits have Adam.
        learning_rate: of the weights, its peak; the method says how it falls.
        momentum: of `sgd`, and beta 1 of `adamw`.
        weight_decay: of weights only, never of biases and normalisation.
        gradient_clip: largest norm of the weights' gradient, null for no limit.
        logits_learning_rate: the papers' 0.0003 is for tens of thousands of steps; short searches need more.
        logits_weight_decay: by default the method's own.
        label_smoothing: share of the target spread over all classes.
        precision: of what networks compute (autocast); weights, logits and optimisers are float32.
        shift: pixels by which training images are moved at random.
        flip: whether training images are mirrored at random.
        augmentation: further random changes of training images, null for none.
        skip_limit: the search ends early when more than this share of the derived operators are identities (DARTS+,
            arXiv 1909.06035), null for never.
        seed: of first values, the split of the samples, order, draws and augmentation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    rounds: int = Field(default=50, ge=1, le=100_000)
    warmup_rounds: int = Field(default=0, ge=0)
    weights_share: float = Field(default=0.5, gt=0, lt=1)
    batch_size: int = Field(default=64, ge=2, le=65_536)
    optimiser: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Positive = 0.025
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=3e-4, ge=0)
    gradient_clip: Positive | None = 5.0
    logits_learning_rate: Positive = 0.003
    logits_weight_decay: float | None = Field(default=None, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    precision: Literal["float32", "bfloat16"] = "float32"
    shift: int = Field(default=0, ge=0, le=64)
    flip: bool = False
    augmentation: AugmentationSettings | None = None
    skip_limit: float | None = Field(default=None, ge=0, lt=1)
    seed: int = Field(default=0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.warmup_rounds >= self.rounds:
            raise ValueError(f"warmup_rounds must be less than rounds ({self.rounds}), got {self.warmup_rounds}")
        return self
