"""What runs on the one actor of a device: it measures models, one at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from profilers.device import Fact
from profilers.errors import DeviceLost
from profilers.measurement import Measurement
from profilers.registry import make_device, open_profiler
from profilers.series import Series, SeriesRule
from profilers.timing import TimingRule


def describe_device(section: Mapping[str, Any]) -> tuple[str, dict[str, Fact]]:
    """Fingerprint and description of a device, as seen from where it is."""
    device = make_device(section)
    return device.fingerprint, device.description


@dataclass(frozen=True, slots=True)
class DeviceGone:
    """The answer when there is no device to measure on any more, which says nothing about the model."""

    reason: str


class TimingActor:
    """Measures ONNX models on one device.

    Args:
        section: the device's settings, as in a job file, with its name.
        rule: how many runs of a model are taken.
        watch: when the device has drifted.
    """

    def __init__(
        self, section: Mapping[str, Any], rule: TimingRule | None = None, watch: SeriesRule | None = None
    ) -> None:
        self._device = make_device(section)
        self._profiler = open_profiler(self._device, rule)
        self._series = Series(self._profiler, self._device, watch)

    def ping(self) -> None:
        """Answer, so that the caller knows that the actor is there."""

    def time(self, *models: bytes) -> list[Measurement | str | DeviceGone]:
        """Measure models, or say of each why it cannot be measured."""
        try:
            outcomes = self._series.measure(models)
        except DeviceLost as error:
            return [DeviceGone(str(error))] * len(models)
        return [outcome if isinstance(outcome, Measurement) else str(outcome) for outcome in outcomes]
