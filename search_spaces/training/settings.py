"""How a supernet is trained."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from search_spaces.supernet.settings import SupernetSettings
from search_spaces.training.recipe_settings import RecipeSettings

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Phase(BaseModel):
    """A part of a training in which only some decisions are elastic (Cai et al., Once-for-All, arXiv 1908.09791).

    Attributes:
        epochs: passes over the training images.
        elastic: all decisions that are elastic in this phase, by name or pattern such as `kernel*`; the others are
            held at their largest option. Empty, only the largest network is trained.
        learning_rate: its peak in this phase; the training's if not given.
        random_subnets: networks drawn for each step; the training's if not given.
        order_channels: whether channels are sorted by importance when the phase begins, so that narrower networks
            start with the channels that matter most.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    epochs: int = Field(ge=1, le=100_000)
    elastic: tuple[str, ...] = Field(default=("*",), strict=False)
    learning_rate: Positive | None = None
    random_subnets: int | None = Field(default=None, ge=0, le=64)
    order_channels: bool = False

    @property
    def summary(self) -> str:
        """The phase in a line, such as `10 epochs, elastic: kernel*, depth*`."""
        length = "1 epoch" if self.epochs == 1 else f"{self.epochs} epochs"
        what = f"elastic: {', '.join(self.elastic)}" if self.elastic else "the largest network alone"
        return f"{length}, {what}{', channels ordered first' if self.order_channels else ''}"


class TrainingSettings(SupernetSettings, RecipeSettings):
    """The recipe of a supernet, and the tensors that are trained; unknown keys are refused.

    Attributes:
        phases: progressive shrinking: what is elastic when. Without phases everything is, in all epochs; with them
            `epochs` is their sum and need not be given, and the learning rate rises and falls anew in each.
        learning_rate: its peak. A step follows the mean gradient of its networks, so short supernet trainings bear
            twice the rate of one network.
        sampling: which networks a step trains. `sandwich`: the largest, the smallest and random ones, which learn from
            the largest (Yu and Huang, arXiv 1903.05134). Where decisions are about operators and not about sizes, the
            largest means little: `uniform` draws random ones only (Guo et al., arXiv 1904.00420), `fair` draws as many
            as the decision with most options has, so that all options are trained as often (Chu et al., FairNAS, arXiv
            1907.01845), and all of them learn from the labels.
        random_subnets: random networks of each step; `fair` does not ask.
        distillation: share of the largest network's predictions in the targets of the other networks.
        temperature: by which logits are divided before they are distilled.
    """

    phases: tuple[Phase, ...] = Field(default=(), max_length=64, strict=False)
    learning_rate: Positive = 0.3
    sampling: Literal["sandwich", "uniform", "fair"] = "sandwich"
    random_subnets: int = Field(default=2, ge=0, le=64)
    distillation: Share = 1.0
    temperature: Positive = 1.0

    @property
    def schedule(self) -> tuple[Phase, ...]:
        """The phases; a single one in which everything is elastic where none are given."""
        return self.phases or (Phase(epochs=self.epochs),)

    def place(self, epoch: int) -> tuple[int, int]:
        """The phase that an epoch, counted from 0, belongs to, and how many epochs of it come before."""
        before = 0
        for index, phase in enumerate(self.schedule):
            if epoch < before + phase.epochs:
                return index, epoch - before
            before += phase.epochs
        raise ValueError(f"epoch {epoch} is not one of the {before} epochs of this training")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if not self.phases:
            self.check_warmup()
        else:
            total = sum(phase.epochs for phase in self.phases)
            if "epochs" in self.model_fields_set and self.epochs != total:
                raise ValueError(f"epochs is {self.epochs} and the phases have {total}; leave epochs out or correct it")
            object.__setattr__(self, "epochs", total)
        for index, phase in enumerate(self.schedule):
            if self.sampling == "uniform" and (phase.random_subnets or self.random_subnets) < 1:
                raise ValueError("random_subnets must be at least 1 where sampling is 'uniform', got 0")
            if self.phases and self.warmup_epochs >= phase.epochs:
                raise ValueError(
                    f"warmup_epochs must be less than the epochs of phases[{index}] ({phase.epochs}), got "
                    f"{self.warmup_epochs}"
                )
        return self
