"""What runs on the one actor of a device: it measures models, one at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from profilers.device import Fact
from profilers.errors import DeviceLost, ModelRefused, ProfilingFailed
from profilers.measurement import Measurement
from profilers.registry import make_device, open_profiler


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
    """

    def __init__(self, section: Mapping[str, Any]) -> None:
        self._device = make_device(section)
        self._profiler = open_profiler(self._device)

    def ping(self) -> None:
        """Answer, so that the caller knows that the actor is there."""

    def time(self, model: bytes) -> Measurement | str | DeviceGone:
        """Measure a model, or say why it cannot be measured."""
        try:
            return self._profiler.profile(model, self._device)
        except DeviceLost as error:
            return DeviceGone(str(error))
        except (ModelRefused, ProfilingFailed) as error:
            return str(error)
