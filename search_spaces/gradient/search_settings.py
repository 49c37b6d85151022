"""How a differentiable search is run, whatever its method."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from search_spaces.training.augmentation_settings import AugmentationSettings

TRAVEL, SLOWEST, FASTEST = 15.0, 3e-4, 0.1
Positive = Annotated[float, Field(gt=0)]


class SearchRecipe(BaseModel):
    """The recipe without its seed; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    rounds: int = Field(default=50, ge=1, le=100_000, description="passes over the training samples")
    warmup_rounds: int = Field(default=0, ge=0, description="rounds in which weights train and logits stay")
    weights_share: float = Field(
        default=0.5, gt=0, lt=1, description="share of the training samples for weights; logits learn from the others"
    )
    batch_size: int = Field(default=64, ge=2, le=65_536, description="samples a step, for weights and again for logits")
    optimiser: Literal["sgd", "adamw"] = Field(
        default="sgd", description="of the weights; sgd has Nesterov momentum, and logits have Adam"
    )
    learning_rate: Positive = Field(default=0.025, description="of the weights, its peak; the method says how it falls")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of sgd, and beta 1 of adamw")
    weight_decay: float = Field(default=3e-4, ge=0, description="of weights only, never of biases and normalisation")
    gradient_clip: Positive | None = Field(
        default=5.0, description="largest norm of the weights' gradient, null for no limit"
    )
    logits_learning_rate: Positive | None = Field(
        default=None,
        description=f"by default {TRAVEL:g} divided by the steps of the logits, from {SLOWEST:g} to {FASTEST:g}: short "
        "searches need more than the papers' 0.0003, which is for tens of thousands of steps",
    )
    logits_weight_decay: float | None = Field(default=None, ge=0, description="by default the method's own")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="share of the target spread over all classes")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of what networks compute; weights, logits and optimisers are float32"
    )
    recompute: bool = Field(
        default=True,
        description="methods that run one path compute it again in the backward pass of the weights' steps: less "
        "memory than the network alone takes, at some more time",
    )
    shift: int = Field(default=0, ge=0, le=64, description="pixels by which training images are moved at random")
    flip: bool = Field(default=False, description="whether training images are mirrored at random")
    augmentation: AugmentationSettings | None = Field(
        default=None, description="further random changes of training images, null for none"
    )
    candidates: int = Field(
        default=8,
        ge=1,
        le=1024,
        description="of so many of the most probable networks, and no less than a tenth as probable as the first, the "
        "last round derives the one with the lowest loss by the shared weights; 1 for the most probable",
    )
    skip_limit: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="the search ends when more than this share of the derived operators are identities, and goes back "
        "to the round before (DARTS+, arXiv 1909.06035); null for never",
    )
    eigenvalue_ratio: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="the search ends when the dominant eigenvalue of the validation loss's Hessian in the logits was "
        "less than this share of it `eigenvalue_window` rounds ago, and goes back there (DARTS-ES, arXiv 1909.09656, "
        "has 0.75); null for never",
    )
    eigenvalue_window: int = Field(
        default=5, ge=1, le=100, description="rounds over which the eigenvalue is averaged, and that are gone back"
    )

    def logits_rate(self, steps: int) -> float:
        """The learning rate of the logits of a search with so many steps a round."""
        if self.logits_learning_rate is not None:
            return self.logits_learning_rate
        return min(FASTEST, max(SLOWEST, TRAVEL / (steps * (self.rounds - self.warmup_rounds))))

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.warmup_rounds >= self.rounds:
            raise ValueError(f"warmup_rounds must be less than rounds ({self.rounds}), got {self.warmup_rounds}")
        return self


class SearchSettings(SearchRecipe):
    """The recipe and the seed of first values, the split of the samples, order, draws and augmentation."""

    seed: int = Field(default=0, ge=0, lt=2**63)
