"""The devices that a job measures on: what the job says of them, and what they say themselves."""

from collections.abc import Mapping
from typing import Any

from nas.cluster import at_device, ray
from nas.evaluation.timing_actor import describe_devices
from nas.problem import Problem
from profilers.registry import is_computed, metrics_of
from storage.records import Device


class DeviceSilent(RuntimeError):
    """A device does not answer; the message is the cause."""


class JobDevices:
    """The devices that some objective asks for, or the cost of a differentiable search.

    Args:
        problem: what is searched.

    Attributes:
        sections: name -> section of the job file.
        described: fingerprint -> device, under each of its settings; empty before `ask`, as are the others.
        settings: metric -> the fingerprint of its device under each setting.
        fingerprints: metric -> fingerprint of its device; none where the device's settings are searched.
        precisions: name -> precision that the device measures in; none where that is searched.
    """

    def __init__(self, problem: Problem) -> None:
        self._objectives = {objective.metric for objective in problem.spec.objectives}
        asked, options = set(self._objectives), problem.gradient_options
        if options is not None and options.cost is not None and problem.known_costs is None:
            asked.add(options.cost.metric)
        self.sections: Mapping[str, dict[str, Any]] = {
            name: dict(section)
            for name, section in problem.spec.devices.items()
            if not asked.isdisjoint(_metrics(name, section))
        }
        self.described: dict[str, Device] = {}
        self.settings: dict[str, list[str]] = {}
        self.fingerprints: dict[str, str] = {}
        self.precisions: dict[str, str] = {}

    @property
    def on_nodes(self) -> list[str]:
        """Names of those that are nodes of the cluster themselves."""
        return [name for name, section in self.sections.items() if section.get("kind", "host") == "host"]

    @property
    def timed(self) -> list[str]:
        """Metrics that are objectives and that a device finds by running a network, not by computing."""
        return [
            metric
            for name, section in self.sections.items()
            if not is_computed(section)
            for metric in _metrics(name, section)
            if metric in self._objectives
        ]

    def ask(self) -> None:
        """Let each device describe itself, seen from where it is; needs a running cluster.

        Raises:
            DeviceSilent: one does not answer.
        """
        describe = ray.remote(describe_devices)
        for name, section in self.sections.items():
            task = describe.options(**at_device(name))
            try:
                found = ray.get(task.remote({"name": name, **section}))
            except ray.exceptions.RayTaskError as error:
                raise DeviceSilent(str(error.cause)) from error
            self.described |= {mark: Device(mark, name, dict(description)) for mark, description in found}
            self.settings |= {metric: [mark for mark, _ in found] for metric in _metrics(name, section)}
            if len(found) == 1:  # under several settings nobody knows beforehand which is measured
                ((mark, description),) = found
                self.precisions[name] = str(description.get("precision", "fp32"))
                self.fingerprints |= dict.fromkeys(_metrics(name, section), mark)


def _metrics(name: str, section: Mapping[str, Any]) -> list[str]:
    return [f"{metric}@{name}" for metric in metrics_of(section)]
