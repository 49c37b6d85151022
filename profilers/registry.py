"""The kinds of devices, and what measures them."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields

from profilers.analytic_profiler import AnalyticProfiler
from profilers.browser import BrowserDevice
from profilers.device import Device
from profilers.errors import DeviceRefused
from profilers.host import HostDevice
from profilers.host_profiler import HostProfiler
from profilers.limits import Limits
from profilers.profiler import Profiler
from profilers.remote import RemoteDevice
from profilers.remote_profiler import RemoteProfiler
from profilers.roofline import RooflineDevice
from profilers.systolic import SystolicDevice
from profilers.timing import TimingRule

DEVICES: dict[
    str, type[HostDevice] | type[RemoteDevice] | type[BrowserDevice] | type[RooflineDevice] | type[SystolicDevice]
] = {
    HostDevice.kind: HostDevice,
    RemoteDevice.kind: RemoteDevice,
    BrowserDevice.kind: BrowserDevice,
    RooflineDevice.kind: RooflineDevice,
    SystolicDevice.kind: SystolicDevice,
}
"""Device kind -> the frozen dataclass whose fields are the keys of a job file's section."""

PROFILERS: dict[str, Callable[[TimingRule | None, Limits | None], Profiler]] = {
    HostDevice.kind: HostProfiler,
    RemoteDevice.kind: RemoteProfiler,
    BrowserDevice.kind: RemoteProfiler,
    RooflineDevice.kind: AnalyticProfiler,
    SystolicDevice.kind: AnalyticProfiler,
}
"""Device kind -> what measures devices of this kind."""


def make_device(section: Mapping[str, object], where: str = "device") -> Device:
    """Make a device of a job file's section, such as `{name: cpu, threads: 2}`; `kind` is host if not given.

    Args:
        section: keys are `kind` and the fields of the kind's class.
        where: the place of the section in its file, named in errors.

    Raises:
        DeviceRefused: unknown keys or bad values; every problem is listed with what is allowed.
    """
    given = dict(section)
    kind = given.pop("kind", HostDevice.kind)
    if not isinstance(kind, str) or kind not in DEVICES:
        raise DeviceRefused([f"{where}: kind must be one of {', '.join(DEVICES)} (got {kind!r})"])
    device = DEVICES[kind]
    known = [field.name for field in fields(device)]
    problems = [f"unknown key {key!r}; known: kind, {', '.join(known)}" for key in given if key not in known]
    missing = [field.name for field in fields(device) if field.default is MISSING and field.name not in given]
    problems += [f"{key} is missing, and there is no default" for key in missing]
    values = {key: value for key, value in given.items() if key in known}
    try:
        made = None if missing else device(**values)  # type: ignore[arg-type]  # the class checks every field itself
    except DeviceRefused as error:
        problems.extend(error.problems)
    if problems or made is None:
        raise DeviceRefused([f"{where}: {problem}" for problem in problems])
    return made


def open_profiler(device: Device, rule: TimingRule | None = None, limits: Limits | None = None) -> Profiler:
    """Open what measures a device; close it after use.

    Args:
        device: any device; the profiler serves all devices of its kind.
        rule: how many runs are taken.
        limits: what a model may use.
    """
    return PROFILERS[device.kind](rule, limits)


def metrics_of(section: Mapping[str, object]) -> tuple[str, ...]:
    """What a device of a job file's section tells; of an unknown kind, what all of them tell."""
    kind = section.get("kind", HostDevice.kind)
    return DEVICES[kind].metrics if isinstance(kind, str) and kind in DEVICES else Device.metrics


def is_computed(section: Mapping[str, object]) -> bool:
    """Whether a device of a job file's section runs nothing, so that its figures are exact."""
    kind = section.get("kind", HostDevice.kind)
    return isinstance(kind, str) and kind in DEVICES and DEVICES[kind].computed
