"""How one network is trained alone."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from search_spaces.training.recipe_settings import RecipeSettings

USUAL_RATES = {"sgd": 0.1, "adamw": 0.002, "lion": 0.0002}
"""Learning rates that stand for each other: with one for all optimisers, most recipes of a search would diverge."""


class NetworkSettings(RecipeSettings):
    """The recipe of one network; unknown keys are refused.

    Attributes:
        ema: decay of the moving average of the weights, per step, which is what is scored and exported then; 0 for the
            weights themselves. In the first steps it is lower: (1 + t) / (10 + t) in step t at most.
    """

    ema: float = Field(default=0.0, ge=0, lt=1)

    def decided(self, recipe: Mapping[str, Any]) -> Self:
        """The recipe with what a search decided in the place of its own values.

        Args:
            recipe: names of attributes -> values; but `augmentation` is a number by which every change of images is
                multiplied (shifts, and those of the augmentation; flips stay unless it is 0), and a learning rate is
                meant for the optimiser here: that of another optimiser is in proportion to `USUAL_RATES`.

        Raises:
            ValueError: a value that the attribute refuses.
        """
        values = {**self.model_dump(), **recipe}
        if (strength := recipe.get("augmentation")) is not None:
            if not 0 <= strength <= 2:
                raise ValueError(f"augmentation must be a strength from 0 to 2 (got {strength!r})")
            changes = None if self.augmentation is None else self.augmentation.scaled(strength)
            values |= {
                "shift": round(self.shift * strength),
                "flip": self.flip and strength > 0,
                "augmentation": None if changes is None else changes.model_dump(),
            }
        decided = type(self)(**values)
        rate = decided.learning_rate * (USUAL_RATES[decided.optimiser] / USUAL_RATES[self.optimiser])
        return decided.model_copy(update={"learning_rate": rate})

    @model_validator(mode="after")
    def _agree(self) -> Self:
        self.check_warmup()
        return self
