"""What runs on the one actor of a device: it measures models, one at a time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from profilers.device import Fact
from profilers.device_choices import combinations
from profilers.errors import DeviceLost
from profilers.measurement import Measurement
from profilers.registry import make_device, open_profiler
from profilers.series import Series, SeriesRule
from profilers.timing import TimingRule


def describe_devices(section: Mapping[str, Any]) -> list[tuple[str, dict[str, Fact]]]:
    """Fingerprint and description of a device under all its settings, as seen from where it is."""
    devices = [make_device(each) for each in combinations(section)]
    return [(device.fingerprint, device.description) for device in devices]


@dataclass(frozen=True, slots=True)
class DeviceGone:
    """The answer when there is no device to measure on any more, which says nothing about the model."""

    reason: str


@dataclass(frozen=True, slots=True)
class Timed:
    """What came of a model, a measurement or the reason why there is none, and its share of the device's time.

    The models of a series share the time that the reference model took.
    """

    outcome: Measurement | str
    device_seconds: float


class TimingActor:
    """Measures ONNX models on one device, under whatever settings of it are searched.

    Args:
        section: the device's settings, as in a job file, with its name.
        rule: how many runs of a model are taken.
        watch: when the device has drifted.
    """

    def __init__(
        self, section: Mapping[str, Any], rule: TimingRule | None = None, watch: SeriesRule | None = None
    ) -> None:
        self._section = section
        self._watch = watch
        self._profiler = open_profiler(make_device(next(combinations(section))), rule)
        self._series: dict[str, Series] = {}

    def ping(self) -> None:
        """Answer, so that the caller knows that the actor is there."""

    def time(self, *orders: bytes | Mapping[str, Any]) -> list[Timed | DeviceGone]:
        """Measure models, each followed by the settings it is measured under, or say why it cannot be measured."""
        models, settings = orders[::2], [json.dumps(order, sort_keys=True) for order in orders[1::2]]
        found: dict[int, Timed] = {}
        try:
            for chosen in dict.fromkeys(settings):
                places = [place for place, setting in enumerate(settings) if setting == chosen]
                series = self._series_of(chosen)
                before = series.busy_seconds
                outcomes = series.measure([models[place] for place in places])  # type: ignore[misc]
                each = (series.busy_seconds - before) / len(places)
                for place, outcome in zip(places, outcomes, strict=True):
                    found[place] = Timed(outcome if isinstance(outcome, Measurement) else str(outcome), each)
        except DeviceLost as error:
            return [DeviceGone(str(error))] * len(models)
        return [found[place] for place in range(len(models))]

    def _series_of(self, chosen: str) -> Series:
        """The series under some settings, which remembers how noisy the device is."""
        if chosen not in self._series:
            device = make_device({**self._section, **json.loads(chosen)})
            self._series[chosen] = Series(self._profiler, device, self._watch)
        return self._series[chosen]
