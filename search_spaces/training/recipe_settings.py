"""How weights are trained, whether of one network or of a supernet."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from search_spaces.training.augmentation_settings import AugmentationSettings

Positive = Annotated[float, Field(gt=0)]


class RecipeSettings(BaseModel):
    """What every training has.

    Attributes:
        epochs: passes over the training images.
        batch_size: images a step; an incomplete last batch is left out.
        optimiser: `sgd` (with Nesterov momentum), `adamw`, or `lion`, which bears a tenth of the rate of `adamw`.
        learning_rate: its peak; it rises linearly over `warmup_epochs` and falls to zero along a cosine.
        momentum: of `sgd`, and beta 1 of `adamw` and `lion`.
        weight_decay: of weights only, never of biases and normalisation.
        label_smoothing: share of the target spread over all classes.
        precision: of what networks compute in training (autocast); weights and optimiser are float32 always.
            `float16` scales the loss and leaves out steps whose gradients overflow.
        gradient_clip: largest norm of the gradient, null for no limit.
        shift: pixels by which training images are moved at random.
        flip: whether training images are mirrored at random.
        augmentation: further random changes of training images, null for none.
        seed: of first values, order, sampled networks and augmentation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(default=40, ge=1, le=100_000)
    batch_size: int = Field(default=64, ge=2, le=65_536)
    optimiser: Literal["sgd", "adamw", "lion"] = "sgd"
    learning_rate: Positive = 0.1
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    warmup_epochs: float = Field(default=2.0, ge=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    gradient_clip: Positive | None = 5.0
    shift: int = Field(default=0, ge=0, le=64)
    flip: bool = False
    augmentation: AugmentationSettings | None = None
    seed: int = Field(default=0, ge=0, lt=2**63)

    def check_warmup(self) -> None:
        """Check that the rate does not rise for the whole training.

        Raises:
            ValueError: it does.
        """
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs must be less than epochs ({self.epochs}), got {self.warmup_epochs}")
