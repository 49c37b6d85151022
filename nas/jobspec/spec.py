"""The job: what is searched, on what, for what, and how far."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from nas.jobspec.consistency import asks_learned, inconsistencies
from nas.jobspec.errors import Problem
from nas.jobspec.metric_names import ACCURACY, LEARNED, QUANTISED, ZERO_COST, is_share, is_zero_cost
from nas.jobspec.training import (
    PREDICTED,
    AccuracySpec,
    RecipeSpec,
    TrainSpec,
    proxy,
    trains_in_search,
    wants_shared_weights,
)
from nas.objectives import Objective
from profilers.series import SeriesRule
from profilers.timing import TimingRule
from search_spaces.training.settings import TrainingSettings

DEFAULT_DEVICES: dict[str, dict[str, Any]] = {"cpu": {"kind": "host", "threads": 1}}


class Section(BaseModel):
    """A part of the job file: unknown keys are refused, and nothing is converted (`"20"` is no number)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Named(BaseModel):
    """A name in a registry and the settings of what stands there; their owner judges them."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    name: str = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the name, as keyword arguments for what the name stands for."""
        return dict(self.model_extra or {})


class SpaceSpec(Named):
    """A search space and its own settings.

    Attributes:
        name: a key of `search_spaces.registry.SPACES`, or the `name` of a space that `path` defines.
        path: a Python file with spaces, relative to the job file. It is read and run only where the operator allows
            code.
        sha256: of that file, 64 hex digits; filled in when the job is made, so that it goes on with the same code.
    """

    path: str | None = Field(default=None, min_length=1)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


class StrategySpec(Named):
    """A strategy: a key of `nas.strategies.registry.STRATEGIES` and that strategy's own options."""


class DataSpec(Section):
    """A data set; the fields are the arguments of `nas.datasets.load.load_dataset`.

    Attributes:
        name: a data set that is known by name, such as `digits`; or
        path: an `.npz` file, a folder of class folders of images, or a text (`.txt`, `.txt.gz`), relative to the
            job file.
        validation: share of each class that is held out and never trained on; of a text, its end.
        split_seed: of the split; apart from the job's seed, so that searches stay comparable.
        image_size: side in pixels that the images of a folder are resized to.
        limit: at most this many images.
        length: characters of a window of text.
        stride: characters from one training window of text to the next; `length` if not given.
    """

    name: str | None = Field(default=None, min_length=1)
    path: str | None = Field(default=None, min_length=1)
    validation: float = Field(default=0.2, gt=0, lt=1)
    split_seed: int = Field(default=0, ge=0)
    image_size: int | None = Field(default=None, ge=1, le=4096)
    limit: int | None = Field(default=None, ge=4)
    length: int | None = Field(default=None, ge=1, le=1_000_000)
    stride: int | None = Field(default=None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given


class SupernetSpec(TrainingSettings):
    """How the weight-sharing supernet is trained, and what its subnets are recalibrated on.

    Attributes:
        recalibration_samples: training samples that a subnet's normalisation statistics are taken from.
        device: where it is trained; `auto` takes a GPU where the cluster has one.
    """

    model_config = ConfigDict(strict=True)

    recalibration_samples: int = Field(default=512, ge=2, le=1_000_000)
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @property
    def training(self) -> TrainingSettings:
        """The recipe alone."""
        return TrainingSettings(**self.model_dump(exclude={"recalibration_samples", "device"}))


class StallSpec(Section):
    """When a front is taken to grow no more.

    Attributes:
        evaluations: how many are looked back.
        growth: the least relative growth of the hypervolume over these with which the search goes on.
    """

    evaluations: int = Field(ge=1, le=10_000_000)
    growth: float = Field(default=0.001, ge=0, lt=1)


class BudgetSpec(Section):
    """When the search ends.

    Attributes:
        evaluations: distinct architectures that are evaluated, at most.
        wall_seconds: time that drivers ran the job, after which nothing more is proposed; pauses do not count, and
            what came before a driver was lost does. A job whose supernet is not trained by then fails.
        device_seconds: time that devices were busy with evaluations, after which nothing more is proposed.
        stall: the search ends earlier when its front grows no more; None for never.
    """

    evaluations: int = Field(ge=1, le=10_000_000)
    wall_seconds: float | None = Field(default=None, gt=0)
    device_seconds: float | None = Field(default=None, gt=0)
    stall: StallSpec | None = None


class ExecutionSpec(Section):
    """How the search runs on Ray; none of it but `batch` and `in_flight` changes what is proposed.

    Attributes:
        workers: actors that evaluate accuracy and loss.
        batch: proposals that the strategy is asked for at once.
        in_flight: batches that are outstanding at once; with 1 the strategy knows every earlier result.
        timing_waits: whether timing on the host waits until the evaluation actors are idle.
    """

    workers: int = Field(default=2, ge=1, le=1024)
    batch: int = Field(default=8, ge=1, le=10_000)
    in_flight: int = Field(default=2, ge=1, le=1024)
    timing_waits: bool = True


class MeasuringSpec(Section):
    """How devices are measured; see `profilers.timing.TimingRule` and `profilers.series.SeriesRule`.

    Attributes:
        tolerance: relative half-width of the 95 % confidence interval of a median at which no more runs are taken.
        min_runs: timed runs of each network at least.
        max_runs: and at most.
        series: networks that are measured between two measurements of the reference network.
        drift: relative change of the reference at which a series is measured again.
        replicate: relative difference within which a finalist's latency must be found again.
        anew: whether networks are measured that other jobs have measured on the same device; otherwise their values
            are taken over. Finalists are measured anew in any case.
    """

    tolerance: float = Field(default=0.02, gt=0, le=1)
    min_runs: int = Field(default=30, ge=6, le=100_000)
    max_runs: int = Field(default=1000, ge=6, le=100_000)
    series: int = Field(default=8, ge=1, le=1000)
    drift: float = Field(default=0.05, gt=0, le=1)
    replicate: float = Field(default=0.05, gt=0, le=1)
    anew: bool = False

    @model_validator(mode="after")
    def _runs(self) -> "MeasuringSpec":
        if self.max_runs < self.min_runs:
            raise ValueError(f"max_runs must be at least min_runs, {self.min_runs} (got {self.max_runs})")
        return self

    @property
    def timing(self) -> TimingRule:
        """How many runs are taken."""
        return TimingRule(min_runs=self.min_runs, max_runs=self.max_runs, tolerance=self.tolerance)

    @property
    def watch(self) -> SeriesRule:
        """When a device has drifted."""
        return SeriesRule(models=self.series, drift=self.drift)


class ObjectiveSpec(Objective):
    """An objective as a job file gives it; without a direction accuracy, utilisation and scores rise, all else falls.

    Attributes:
        source: how values of a device come about; in a job it is `from`. `measure`: each network is measured.
            `predict`: the first ones are, and a predictor that learned from them tells the others. `auto`: so are a few
            of which the predictor cannot tell what they add to the front. What is reported in the end is always
            measured.
    """

    model_config = ConfigDict(strict=True)

    source: Literal["measure", "predict", "auto"] = Field(default="measure", alias="from")

    @model_serializer(mode="wrap")
    def _as_given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain = dict(handler(self))
        source = plain.pop("source")
        return plain if source == "measure" else {**plain, "from": source}

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, given: Any) -> Any:
        if isinstance(given, str):
            given = {"metric": given}
        if isinstance(given, Mapping) and "direction" not in given:
            rises = is_share(given.get("metric")) or is_zero_cost(given.get("metric"))
            return {**given, "direction": "max" if rises else "min"}
        return given


class JobSpec(Section):
    """A job, complete: what a job file leaves out has its default here.

    Structure and the agreement of the sections are checked here; what needs the registries is checked by
    `nas.jobspec.load.parse_job`, so that a stored job of a plug-in that is gone can still be shown.

    Attributes:
        name: letters, digits, `_`, `-` and `.`.
        seed: of everything that is drawn in the job.
        space: what can be built.
        data: what accuracy and loss are measured on; None for a job that asks for neither.
        accuracy: where accuracy and loss come from.
        supernet: how the shared weights are trained; None exactly when no objective needs them.
        train: how networks are trained alone: those that the search chose, or all; None for none.
        recipe: what of that is searched together with the networks; None for nothing.
        objectives: distinct metrics with direction and bound.
        devices: name -> settings as `profilers.registry.make_device` takes them.
        strategy: who proposes.
        budget: when it ends.
        execution: how it runs.
        measuring: how devices are measured.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")
    seed: int = Field(default=0, ge=0, lt=2**63)
    space: SpaceSpec
    data: DataSpec | None = None
    accuracy: AccuracySpec = AccuracySpec()
    supernet: SupernetSpec | None = None
    train: TrainSpec | None = None
    recipe: RecipeSpec | None = None
    objectives: tuple[ObjectiveSpec, ...] = Field(min_length=1, max_length=16, strict=False)
    devices: dict[str, dict[str, Any]] = Field(default=DEFAULT_DEVICES, min_length=1, max_length=256)
    strategy: StrategySpec
    budget: BudgetSpec
    execution: ExecutionSpec = ExecutionSpec()
    measuring: MeasuringSpec = MeasuringSpec()

    @property
    def wants_learned(self) -> bool:
        """Whether accuracy or loss of any kind is an objective, so that data and trained weights are needed."""
        return self.wants_scores or self.wants_int8_scores

    @property
    def wants_scores(self) -> bool:
        """Whether accuracy or loss is an objective, of networks as they are."""
        return any(objective.metric in LEARNED for objective in self.objectives)

    @property
    def wants_int8_scores(self) -> bool:
        """Whether accuracy or loss is an objective, of networks quantised to 8-bit integers."""
        return any(objective.metric in QUANTISED for objective in self.objectives)

    @property
    def zero_cost(self) -> tuple[str, ...]:
        """The zero-cost scores that are objectives, by name."""
        asked = [objective.metric for objective in self.objectives if is_zero_cost(objective.metric)]
        return tuple(metric.removeprefix(ZERO_COST) for metric in asked)

    @property
    def predicted(self) -> dict[str, str]:
        """The objectives whose values are predicted for most networks, each with `predict` or `auto`."""
        learned = self.accuracy.source if self.accuracy.source in PREDICTED else "measure"
        sources = {o.metric: learned if o.metric in LEARNED else o.source for o in self.objectives}
        return {metric: source for metric, source in sources.items() if source != "measure"}

    @property
    def trains_in_search(self) -> bool:
        """Whether every candidate is trained alone."""
        return self.wants_learned and self.accuracy.source == "train"

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        return with_defaults(given) if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _agree(self) -> "JobSpec":
        if problems := inconsistencies(self.model_dump()):
            # Carried through pydantic as data, so that each keeps its own place in the file.
            raise PydanticCustomError("inconsistent", "{text}", {"text": _joined(problems), "problems": problems})
        return self


def with_defaults(job: Mapping[str, Any]) -> dict[str, Any]:
    """The plain job with the sections filled in that it needs and leaves out: devices, supernet and training.

    Where a zero-cost score stands for accuracy, it is the objective.
    """
    filled = dict(job)
    if filled.get("devices") is None:
        filled["devices"] = DEFAULT_DEVICES
    if (score := proxy(job)) is not None and isinstance(job.get("objectives"), list | tuple):
        plain = (ACCURACY, {"metric": ACCURACY})
        filled["objectives"] = [ZERO_COST + score if each in plain else each for each in job["objectives"]]
        job = filled
    if filled.get("supernet") is None and asks_learned(job) and wants_shared_weights(job):
        filled["supernet"] = {}
    if filled.get("train") is None and asks_learned(job) and trains_in_search(job):
        filled["train"] = {}
    return filled


def _joined(problems: list[Problem]) -> str:
    return "; ".join(map(str, problems))
