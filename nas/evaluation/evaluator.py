"""Genotypes to metric values on Ray: subnets on evaluation actors, timings on one exclusive actor for each device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nas.cluster import at_device, ray
from nas.evaluation.hopeless import Hope
from nas.evaluation.scores import INT8, SCORES, EvaluationData
from nas.evaluation.stage import Done, Stage, done
from nas.evaluation.subnet_actor import SubnetActor, SubnetReport, Wanted
from nas.evaluation.timing_actor import DeviceGone, Timed, TimingActor
from nas.evaluation.zero_cost_data import ZeroCostData
from nas.jobspec.metric_names import ZERO_COST
from profilers.measurement import Measurement
from profilers.registry import metrics_of
from profilers.series import SeriesRule
from profilers.timing import TimingRule
from search_spaces.joint_space import JointSpace
from search_spaces.recipe import SpaceRecipe
from search_spaces.supernet.weights import SupernetWeights


@dataclass(frozen=True, slots=True)
class Request:
    """One architecture to evaluate.

    `known` holds metrics that need no evaluation, measured by an earlier job; below `least_accuracy` it is of no use.
    """

    key: str
    genotype: NDArray[np.int16]
    known: Mapping[str, float] = field(default_factory=dict)
    least_accuracy: float | None = None


@dataclass(slots=True)
class Evaluated:
    """What became of a request: its metrics, or why it failed. Failure is data, never an exception."""

    key: str
    metrics: dict[str, float] = field(default_factory=dict)
    measurements: dict[str, Measurement] = field(default_factory=dict)  # device name -> what it measured
    error: str | None = None
    seconds: float = 0.0
    device_seconds: float = 0.0  # how long devices were busy with it
    stopped: str | None = None  # why it was cut short, with the metrics of that point


class Evaluator(Protocol):
    """Takes requests and answers each exactly once, in whatever order they are done."""

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests."""

    def wait(self) -> list[Evaluated]:
        """Block until at least one request is answered; empty when none is outstanding."""

    def close(self) -> None:
        """Let go of all actors."""


class RayEvaluator:
    """The evaluator of a search on the connected Ray cluster.

    Args:
        space: the search space.
        scored: whether accuracy or loss is asked for; both are evaluated then.
        scored_in_int8: the same of the network quantised to 8-bit integers.
        weights: the trained supernet's, or None for random ones when only timing is asked for, or where they come with
            the space.
        data: what networks are scored on; needed when that is asked for.
        devices: the `devices` section of a job, name to settings; each gives metrics `METRIC@NAME`, as
            `profilers.registry.metrics_of` lists them.
        precisions: number format that a device measures in; fp32 where it is not said. A device of int8 gets networks
            quantised with the job's calibration samples, where there are data.
        zero_cost: zero-cost scores that are asked for, by name.
        hints: others that are told where a network has them; one that lacks them has not failed.
        zero_cost_data: what they look at; needed when there are any.
        stop_confidence: with which an evaluation is cut short whose accuracy is below what its request needs; None for
            never. The samples must be in random order.
        joint: what genotypes are of where settings of devices are searched as well; those of `space` otherwise.
        workers: number of evaluation actors.
        timing: how many runs of a model are taken.
        watch: when a device has drifted.
        timing_waits: whether a timing on the host waits until no evaluation actor is at work, so that neither
            disturbs the other.
    """

    def __init__(
        self,
        space: SpaceRecipe,
        *,
        scored: bool,
        scored_in_int8: bool = False,
        weights: SupernetWeights | None,
        data: EvaluationData | None,
        devices: Mapping[str, Mapping[str, Any]],
        precisions: Mapping[str, str] | None = None,
        zero_cost: Sequence[str] = (),
        hints: Sequence[str] = (),
        zero_cost_data: ZeroCostData | None = None,
        stop_confidence: float | None = None,
        joint: JointSpace | None = None,
        workers: int,
        timing: TimingRule | None = None,
        watch: SeriesRule | None = None,
        timing_waits: bool = True,
    ) -> None:
        if (scored or scored_in_int8) and data is None:
            raise ValueError("accuracy and loss can only be evaluated on a data set")
        self._scored, self._scored_in_int8 = scored, scored_in_int8
        self._precisions, self._calibrated = dict(precisions or {}), data is not None
        self._joint = joint
        self._zero_cost, self._hints, self._stop_confidence = tuple(zero_cost), tuple(hints), stop_confidence
        self._metrics = {name: [f"{metric}@{name}" for metric in metrics_of(devices[name])] for name in devices}
        shared = [ray.put(part) for part in (weights, data, zero_cost_data)]
        subnet = ray.remote(SubnetActor)
        self._subnets = Stage(
            "evaluation",
            # Those that make models or find zero-cost scores are idle while trials, which need the processors, run.
            lambda: subnet.options(num_cpus=1 if scored else 0).remote(space, *shared),
            workers,
            method="evaluate",
            returns=3,
        )
        rules = timing or TimingRule(), watch or SeriesRule()
        self._timings = {name: _timing_stage(name, settings, *rules) for name, settings in devices.items()}
        on_host = [name for name, settings in devices.items() if settings.get("kind", "host") == "host"]
        self._on_host = [self._timings[name] for name in on_host]
        self._timing_waits = timing_waits
        self._open: dict[str, _Progress] = {}
        self._done: list[Evaluated] = []

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests; one whose metrics are all known is answered at once, and what is known is not found again."""
        for request in requests:
            timings = [name for name, told in self._metrics.items() if not request.known.keys() >= set(told)]
            genotype, settings = self._split(request.genotype)
            integers = {name for name in timings if self._measures_integers(name, settings[name])}
            known = request.known.keys()
            wanted = Wanted(
                scores=self._scored and known.isdisjoint(SCORES),  # both come of one evaluation, or of a prediction
                int8_scores=self._scored_in_int8 and not known >= {f"{name}@{INT8}" for name in SCORES},
                model=not integers.issuperset(timings),
                int8_model=bool(integers),
                zero_cost=tuple(name for name in self._zero_cost if ZERO_COST + name not in known),
                hints=tuple(name for name in self._hints if f"{ZERO_COST}{name} seconds" not in known),
                hope=self._hope(request),
            )
            progress = _Progress(Evaluated(request.key, dict(request.known)), timings, settings, integers)
            if wanted:
                self._open[request.key] = progress
                self._subnets.submit(request.key, genotype, wanted)
            else:
                self._done.append(progress.result)

    def wait(self) -> list[Evaluated]:
        """Block until at least one request is answered; empty when none is outstanding.

        Raises:
            RuntimeError: actors cannot be started, or a device is gone, so that nothing more can be measured.
        """
        self._dispatch()
        while self._open and not self._done:
            stages = [self._subnets, *self._timings.values()]
            owner = {reference: stage for stage in stages for reference in stage.references()}
            for reference in done(list(owner)):
                self._take(owner[reference], owner[reference].collect(reference))
            self._dispatch()  # now, so that actors are at work while what came back is stored
        answers, self._done = self._done, []
        return answers

    def close(self) -> None:
        """End all actors."""
        for stage in (self._subnets, *self._timings.values()):
            stage.stop()

    def _hope(self, request: Request) -> Hope | None:
        """When the evaluation of a request is cut short."""
        if self._stop_confidence is None or request.least_accuracy is None:
            return None
        return Hope(request.least_accuracy, self._stop_confidence)

    def _split(self, genotype: NDArray[np.int16]) -> tuple[NDArray[np.int16], dict[str, dict[str, Any]]]:
        """The genotype of the network, and the settings of each device that were decided."""
        settings: dict[str, dict[str, Any]] = {name: {} for name in self._timings}
        if self._joint is None:
            return genotype, settings
        for name, option in self._joint.chosen(genotype).items():
            device, _, key = name.rpartition(".")
            if device in settings:
                settings[device][key] = option
        return self._joint.network(genotype), settings

    def _measures_integers(self, device: str, settings: Mapping[str, Any]) -> bool:
        """Whether a device gets networks that are quantised here."""
        return self._calibrated and settings.get("precision", self._precisions.get(device)) == INT8

    def _dispatch(self) -> None:
        """Start what may start; evaluations and timings on the host take turns, a whole queue at a time."""
        timing = self._timing_waits and any(stage.busy for stage in self._on_host)
        if not timing:
            self._subnets.dispatch()
        evaluating = self._timing_waits and (self._subnets.busy or self._subnets.queued > 0)
        for stage in self._timings.values():
            if not (evaluating and stage in self._on_host):
                stage.dispatch()

    def _take(self, stage: Stage, finished: list[Done]) -> None:
        for each in finished:
            progress = self._open[each.key]
            if isinstance(each.value, DeviceGone):
                raise RuntimeError(f"{each.value.reason}; the job can be resumed when it is back")
            if stage is not self._subnets:
                progress.timed(stage.name, each.value if each.error is None else each.error)
            elif each.error is not None:
                progress.fail(each.error)
            else:
                progress.evaluated(each.value)
                for name in progress.waiting:
                    model = each.rest[name in progress.integers]
                    self._timings[name].submit(each.key, model, progress.settings[name])
            if not progress.waiting:
                self._done.append(self._open.pop(each.key).result)


class _Progress:
    """A request under way, and the devices whose timings are still to come."""

    def __init__(
        self, result: Evaluated, waiting: list[str], settings: Mapping[str, Mapping[str, Any]], integers: set[str]
    ) -> None:
        self.result = result
        self.waiting = waiting
        self.settings = settings
        self.integers = integers

    def evaluated(self, report: SubnetReport) -> None:
        """Take in what the evaluation actor says."""
        self.result.metrics.update(report.metrics)
        self.result.seconds += report.seconds
        self.result.stopped = report.stopped
        if report.error is not None:
            self.fail(report.error)
        elif report.stopped is not None:
            self.waiting.clear()

    def timed(self, device: str, told: Timed | str) -> None:
        """Take in what a device measured, or the reason why there is nothing."""
        self.waiting.remove(device)
        self.result.device_seconds += 0.0 if isinstance(told, str) else told.device_seconds
        measured = told if isinstance(told, str) else told.outcome
        if isinstance(measured, str):
            self.result.error = f"device {device}: {measured}"
            return
        self.result.metrics |= {f"{metric}@{device}": value for metric, value in measured.metrics.items()}
        self.result.measurements[device] = measured
        if not measured.computed:
            self.result.seconds += float(np.sum(measured.samples_ms)) / 1e3

    def fail(self, reason: str) -> None:
        """Give up what has not begun."""
        self.result.error = reason
        self.waiting.clear()


def _timing_stage(name: str, settings: Mapping[str, Any], timing: TimingRule, watch: SeriesRule) -> Stage:
    actor = ray.remote(TimingActor)
    options = actor.options(**at_device(name))
    section = {"name": name, **settings}
    return Stage(name, lambda: options.remote(section, timing, watch), 1, method="time", group=watch.models)
