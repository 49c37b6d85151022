"""The sections of a job about networks that are trained one by one."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_serializer

from nas.jobspec.errors import Problem
from nas.jobspec.structure import structure_problems
from nas.jobspec.wording import suggestion
from search_spaces.decision import Decision
from search_spaces.training.network_settings import NetworkSettings
from search_spaces.zero_cost.needs import NEEDS

PROXY = "zero_cost:"
"""Begins a source of accuracy that is a zero-cost score."""
PREDICTED = ("predict", "auto")
"""Sources of accuracy that evaluate some networks with shared weights and predict the others."""
SOURCES = ("supernet", "train", *PREDICTED, *(PROXY + name for name in NEEDS))


class AccuracySpec(BaseModel):
    """Where accuracy and loss of a candidate come from.

    Attributes:
        source: `supernet`, its part of the shared weights; `train`, a training of its own; `predict`, those weights
            for the first networks and a predictor that learned from them for the others; `auto`, the shared weights for
            those of which the predictor cannot tell what they add to the front, too; or `zero_cost:NAME`, which makes
            `zero_cost@NAME` the objective in the place of accuracy. In a job it is `from`.
        stop_confidence: with which an evaluation with shared weights is cut short after a part of the validation
            samples, when the network is then below the accuracy that it needs to join the front; null for never. Where
            an objective is only known after the evaluation, as latency is, the bound of accuracy alone counts.
        zero_cost: scores that the predictor sees of every network beside its graph; for `predict` and `auto`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    source: str = Field(default="supernet", alias="from", json_schema_extra={"enum": list(SOURCES)})

    stop_confidence: float | None = Field(default=None, gt=0.5, lt=1)
    zero_cost: tuple[str, ...] = Field(
        default=(), strict=False, json_schema_extra={"items": {"type": "string", "enum": list(NEEDS)}}
    )

    @field_validator("source")
    @classmethod
    def _known(cls, given: str) -> str:
        return _one_of(SOURCES, given)

    @field_validator("zero_cost")
    @classmethod
    def _scores(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for place, name in enumerate(given):
            if _one_of(tuple(NEEDS), name) in given[:place]:
                raise ValueError(f"{name!r} is given twice")
        return given

    @model_serializer
    def _as_given(self) -> dict[str, Any]:
        stop = {} if self.stop_confidence is None else {"stop_confidence": self.stop_confidence}
        return {"from": self.source, **stop, **({"zero_cost": self.zero_cost} if self.zero_cost else {})}


def _one_of(known: tuple[str, ...], given: str) -> str:
    if given not in known:
        allowed = ", ".join(map(repr, known))
        raise ValueError(f"{given!r} is not allowed; allowed: {allowed}{suggestion(given, known)}")
    return given


class HalvingSpec(BaseModel):
    """Asynchronous successive halving (ASHA; Li et al., arXiv 1810.05934) of trainings that run.

    Attributes:
        grace_epochs: the first rung: no training ends before. It should lie behind the warm-up, which ranks nothing.
        reduction: each rung has so many times the epochs of the one before, and one in so many goes on from it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    grace_epochs: int = Field(default=3, ge=1, le=100_000)
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


RECIPE = "recipe."
"""Begins the names of decisions about training."""


class RecipeSpec(BaseModel):
    """What is decided about the training of each candidate, beside its network: the options of each.

    Attributes:
        optimiser: as in the `train` section.
        learning_rate: for the optimiser of the `train` section; that of another optimiser is in proportion to
            `search_spaces.training.network_settings.USUAL_RATES`.
        weight_decay: the same.
        epochs: the same.
        augmentation: strengths, by which the random changes of images in `train` are multiplied; 0 for none.
        ema: as in the `train` section.
        label_smoothing: the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    optimiser: tuple[str, ...] | None = Field(default=None, min_length=1, strict=False)
    learning_rate: tuple[float, ...] | None = Field(default=None, min_length=1, strict=False)
    weight_decay: tuple[float, ...] | None = Field(default=None, min_length=1, strict=False)
    epochs: tuple[int, ...] | None = Field(default=None, min_length=1, strict=False)
    augmentation: tuple[float, ...] | None = Field(default=None, min_length=1, strict=False)
    ema: tuple[float, ...] | None = Field(default=None, min_length=1, strict=False)
    label_smoothing: tuple[float, ...] | None = Field(default=None, min_length=1, strict=False)

    def decisions(self, train: NetworkSettings) -> list[Decision]:
        """What is decided, named `recipe.SETTING`, in the order of this class.

        The usual option of each comes first: the job's own in the `train` section, or where that is none of the options
        the first that is given.
        """
        own = {**train.model_dump(), "augmentation": 1}
        found = []
        for name, options in self.model_dump(exclude_none=True).items():
            usual = tuple(option for option in options if option == own[name])
            found.append(Decision(RECIPE + name, usual + tuple(option for option in options if option != own[name])))
        return found


def recipe_problems(job: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the options of a plain job's recipe, each tried with the job's `train` section."""
    recipe, train = job.get("recipe"), job.get("train")
    if not isinstance(recipe, Mapping):
        return []
    if not trains_in_search(job):
        message = "given, but no candidate is trained with a recipe of its own; it needs accuracy: {from: train}"
        return [Problem(("recipe",), message)]
    devices = job.get("devices")
    if isinstance(devices, Mapping) and "recipe" in devices:
        return [Problem(("devices", "recipe"), "a job with a recipe has no device of this name; choose another")]
    if all(options is None for options in recipe.values()):
        return [Problem(("recipe",), f"nothing is decided; allowed: {', '.join(RecipeSpec.model_fields)}")]
    try:
        base = TrainSpec(**(train if isinstance(train, Mapping) else {})).recipe
    except ValueError:
        return []  # that section tells it
    problems = []
    for name in RecipeSpec.model_fields:
        options = recipe.get(name)
        options = options if isinstance(options, list | tuple) else ()
        for index, option in enumerate(options):
            place = ("recipe", name, index)
            if option in options[:index]:
                problems.append(Problem(place, f"{option!r} is given twice"))
                continue
            try:
                base.decided({name: option})
            except ValidationError as error:
                problems += [Problem(place, found.message) for found in structure_problems(error, NetworkSettings)]
            except ValueError as error:
                problems.append(Problem(place, str(error)))
    still = base.augmentation is None and not base.shift and not base.flip
    if recipe.get("augmentation") and still:
        message = "there is nothing to multiply: train has none of shift, flip and augmentation"
        problems.append(Problem(("recipe", "augmentation"), message))
    return problems


def proxy(job: Mapping[str, Any]) -> str | None:
    """The zero-cost score that stands for accuracy in a plain job; None for none."""
    section = job.get("accuracy")
    source = section.get("from") if isinstance(section, Mapping) else None
    return source.removeprefix(PROXY) if isinstance(source, str) and source.startswith(PROXY) else None


def trains_in_search(job: Mapping[str, Any]) -> bool:
    """Whether a plain job trains every candidate."""
    section = job.get("accuracy")
    return isinstance(section, Mapping) and section.get("from") == "train"


def wants_shared_weights(job: Mapping[str, Any]) -> bool:
    """Whether a plain job needs a supernet, if it has learned objectives at all."""
    train = job.get("train")
    return not trains_in_search(job) or (isinstance(train, Mapping) and train.get("init") == "supernet")
