"""How one network is trained alone."""

from typing import Self

from pydantic import Field, model_validator

from search_spaces.training.recipe_settings import RecipeSettings


class NetworkSettings(RecipeSettings):
    """The recipe of one network; unknown keys are refused.

    Attributes:
        ema: decay of the moving average of the weights, per step, which is what is scored and exported then; 0 for the
            weights themselves. In the first steps it is lower: (1 + t) / (10 + t) in step t at most.
    """

    ema: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        self.check_warmup()
        return self
