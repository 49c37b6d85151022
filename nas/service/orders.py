"""What requests ask for in a few values."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Order(BaseModel):
    """A body; what it may not say is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ExportOrder(Order):
    """Which network of a front is exported, and how: `knee`, `best:METRIC`, or the beginning of a key."""

    pick: str = Field(default="knee", max_length=200, pattern="^[!-~]+$")
    precision: Literal["fp32", "int8"] = "fp32"


class Priority(Order):
    """Where a job stands among those that wait."""

    priority: int = Field(ge=-1000, le=1000)
