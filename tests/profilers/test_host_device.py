"""The host CPU as a device: what it is, and what a job file may ask of it."""

import dataclasses
import hashlib
import json

import onnxruntime as ort
import pytest

from profilers.errors import DeviceRefused
from profilers.host import HostDevice, usable_cores
from profilers.registry import DEVICES, PROFILERS, make_device, open_profiler


def test_fingerprint_is_the_hash_of_the_description() -> None:
    """The fingerprint can be recomputed from the description by anybody."""
    device = HostDevice()
    text = json.dumps(device.description, sort_keys=True, separators=(",", ":"))
    assert device.fingerprint == hashlib.sha256(text.encode()).hexdigest()
    assert device.description["onnxruntime"] == ort.__version__
    assert set(device.description) == {
        "kind", "cpu", "cores", "system", "architecture", "onnxruntime",
        "provider", "threads", "precision", "optimisation", "batch",
    }  # fmt: skip


def test_fingerprint_tells_settings_apart_but_not_names() -> None:
    """Two names for one device share their measurements; another setting does not."""
    device = HostDevice()
    assert HostDevice(name="laptop").fingerprint == device.fingerprint
    others = [HostDevice(optimisation="basic"), HostDevice(batch=8)]
    assert len({device.fingerprint, *(other.fingerprint for other in others)}) == 3


def test_device_is_frozen() -> None:
    """A device is a value."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        HostDevice().threads = 2  # type: ignore[misc]


def test_section_becomes_a_device() -> None:
    """A section of a job file gives the fields; what is not given has its default."""
    assert make_device({}) == HostDevice()
    assert make_device({"kind": "host", "name": "cpu8", "batch": 8}) == HostDevice(name="cpu8", batch=8)


@pytest.mark.parametrize(
    "section, message",
    [
        ({"kind": "fpga"}, "kind must be one of host, remote, browser, roofline, systolic (got 'fpga')"),
        ({"kind": ["host"]}, "(got ['host'])"),
        ({"thread": 1}, "unknown key 'thread'; known: kind, name, threads, precision, optimisation, batch, provider"),
        ({"threads": usable_cores() + 1}, f"threads must be between 1 and {usable_cores()}, the cores of this host"),
        ({"threads": True}, "(got True)"),
        ({"threads": "2"}, "(got '2')"),
        ({"precision": "bf16"}, "precision must be one of fp32, int8 (got 'bf16')"),
        ({"optimisation": "most"}, "optimisation must be one of disable, basic, extended, all (got 'most')"),
        ({"optimisation": []}, "(got [])"),
        ({"batch": 0}, "batch must be between 1 and 65536 (got 0)"),
        ({"name": "a@b"}, "name must be 1 to 64 letters, digits"),
        ({"name": 3}, "(got 3)"),
        ({"provider": "CUDAExecutionProvider"}, "provider 'CUDAExecutionProvider' is not available"),
        ({"provider": "AzureExecutionProvider"}, "allowed: CPUExecutionProvider"),
        ({"provider": {}}, "provider {} is not available"),
    ],
)
def test_bad_sections_say_what_is_allowed(section: dict[str, object], message: str) -> None:
    """Every problem names the place, what was given and what is allowed."""
    with pytest.raises(DeviceRefused) as refused:
        make_device(section, "devices[0]")
    assert message in str(refused.value)
    assert str(refused.value).startswith("devices[0]: ")


def test_every_problem_is_reported_at_once() -> None:
    """A section with three mistakes gives three problems."""
    with pytest.raises(DeviceRefused) as refused:
        make_device({"colour": "red", "threads": 0, "batch": -1})
    assert len(refused.value.problems) == 3


def test_every_kind_has_a_profiler() -> None:
    """The two registries have the same keys, and a device opens its profiler."""
    assert DEVICES.keys() == PROFILERS.keys()
    with open_profiler(HostDevice()) as profiler:
        assert isinstance(profiler, PROFILERS["host"])
