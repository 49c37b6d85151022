"""The sections of a job about networks that are trained one by one."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_serializer

from search_spaces.training.network_settings import NetworkSettings


class AccuracySpec(BaseModel):
    """Where accuracy and loss of a candidate come from.

    Attributes:
        source: `supernet`, its part of the shared weights; or `train`, a training of its own. In a job it is `from`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    source: Literal["supernet", "train"] = Field(default="supernet", alias="from")

    @model_serializer
    def _as_given(self) -> dict[str, str]:
        return {"from": self.source}


class HalvingSpec(BaseModel):
    """Asynchronous successive halving (ASHA; Li et al., arXiv 1810.05934) of trainings that run.

    Attributes:
        grace_epochs: the first rung: no training ends before.
        reduction: each rung has so many times the epochs of the one before, and one in so many goes on from it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    grace_epochs: int = Field(default=1, ge=1, le=100_000)
    reduction: float = Field(default=3.0, gt=1)


class CurvesSpec(BaseModel):
    """Stopping by learning curves: a training ends when even the best that it may come to is worse than what is there.

    Attributes:
        confidence: of the interval of the final value.
        after: finished trainings that are learned from before any is stopped.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    after: int = Field(default=6, ge=4, le=100_000)


class TrainSpec(NetworkSettings):
    """Which networks are trained alone, how, and when a training is cut short.

    Attributes:
        networks: `front`, all that the search found best; `knee`; or a number, so many of the best. By default `front`.
        init: whether a network begins with random weights or with its part of the supernet's.
        recalibration_samples: training samples that normalisation statistics are taken from.
        device: where it is trained; `auto` takes a GPU where the cluster has one.
        halving: null for none.
        curves: null for none.
    """

    model_config = ConfigDict(strict=True)

    networks: int | str | None = None
    init: Literal["scratch", "supernet"] = "scratch"
    recalibration_samples: int = Field(default=512, ge=2, le=1_000_000)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    halving: HalvingSpec | None = HalvingSpec()
    curves: CurvesSpec | None = None

    @field_validator("networks")
    @classmethod
    def _one_or_more(cls, given: int | str | None) -> int | str | None:
        if given in ("front", "knee", None) or (type(given) is int and given >= 1):
            return given
        raise ValueError(f"must be 'front', 'knee' or a number of networks, at least 1 (got {given!r})")

    @property
    def recipe(self) -> NetworkSettings:
        """The recipe alone."""
        return NetworkSettings(**self.model_dump(include=set(NetworkSettings.model_fields)))


def trains_in_search(job: Mapping[str, Any]) -> bool:
    """Whether a plain job trains every candidate."""
    section = job.get("accuracy")
    return isinstance(section, Mapping) and section.get("from") == "train"


def wants_shared_weights(job: Mapping[str, Any]) -> bool:
    """Whether a plain job needs a supernet, if it has learned objectives at all."""
    train = job.get("train")
    return not trains_in_search(job) or (isinstance(train, Mapping) and train.get("init") == "supernet")
