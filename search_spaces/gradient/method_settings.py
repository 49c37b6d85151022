"""The options of each method of differentiable search, apart from the methods, so that they load without torch."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class MethodSettings(BaseModel):
    """The options of one method; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DartsSettings(MethodSettings):
    """Options of DARTS."""

    order: Literal[1, 2] = Field(
        default=1, description="2 differentiates through one step of the weights, at three times the time of 1"
    )
    epsilon: float = Field(
        default=0.01, gt=0, description="length of the step by which the second order is estimated (2.3 of the paper)"
    )


class PcDartsSettings(MethodSettings):
    """Options of PC-DARTS."""

    partial: int = Field(
        default=4, ge=2, le=64, description="K of the paper; it divides the channels of what candidates read"
    )


class SharpDartsSettings(MethodSettings):
    """Options of sharpDARTS."""

    power: float = Field(
        default=10.0, gt=1, description="of the annealing; towards 1 it is a plain cosine, larger ones fall earlier"
    )


class GdasSettings(MethodSettings):
    """Options of GDAS."""

    first_temperature: float = Field(
        default=10.0, gt=0, description="of the softmax in the first round; it falls along a line"
    )
    last_temperature: float = Field(default=0.1, gt=0, description="of the softmax in the last round")


class FBNetSettings(MethodSettings):
    """Options of FBNet's search."""

    first_temperature: float = Field(
        default=5.0, gt=0, description="of the softmax in the first round; it falls by the same factor in every round"
    )
    last_temperature: float = Field(
        default=0.087, gt=0, description="of the softmax in the last; the paper's is 5 times 0.956 to the power of 90"
    )


class ProxylessSettings(MethodSettings):
    """ProxylessNAS has no options of its own."""


class SinglePathSettings(MethodSettings):
    """Options of Single-Path NAS."""

    surrogate: Literal["l1", "l2"] | None = Field(
        default=None,
        description="norm of channel groups that weights pay for in proportion to what the groups cost, so that widths "
        "shrink; null for none, else it needs a cost",
    )


class DassSettings(MethodSettings):
    """Options of DASS."""

    sparsity: float = Field(
        default=0.9, gt=0, lt=1, description="share of the entries of each sparse weight that are zero"
    )
