"""Devices that jobs take from a file by name, and what a job from outside may not name."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.jobspec.device_file import read_device, read_devices
from nas.jobspec.errors import JobSpecError
from nas.jobspec.load import load_job, parse_job

DEVICES: dict[str, Any] = {
    "desk": {"kind": "host", "threads": 2},
    "pi5": {"kind": "remote", "address": "192.168.1.20:7411", "token_file": "secrets/pi5"},
}


def job(devices: Any, *metrics: str) -> dict[str, Any]:
    """A job that searches the latency on devices."""
    return {
        "name": "shared",
        "space": {"name": "nasbench201", "resolution": 16},
        "objectives": ["macs", *metrics],
        "strategy": {"name": "random"},
        "budget": {"evaluations": 4},
        "devices": devices,
    }


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A folder with a file of devices, and a token where one of them says."""
    folder = tmp_path / "lab"
    (folder / "secrets").mkdir(parents=True)
    token = folder / "secrets" / "pi5"
    token.write_text("0" * 64)
    token.chmod(0o600)
    (folder / "devices.yaml").write_text(yaml.safe_dump({"devices": DEVICES}))
    return folder


def test_a_job_takes_all_devices_of_a_file(lab: Path) -> None:
    """From its own folder; paths in the file are relative to the file."""
    path = lab.parent / "job.yaml"
    path.write_text(yaml.safe_dump(job("lab/devices.yaml", "latency_ms@pi5", "latency_ms@desk")))
    found = load_job(path).devices
    assert found["desk"] == DEVICES["desk"]
    assert found["pi5"] == {**DEVICES["pi5"], "token_file": str(lab / "secrets" / "pi5")}


def test_a_job_takes_one_device_of_a_file_beside_its_own(lab: Path) -> None:
    """By the name that the file has for it."""
    here = {"kind": "host", "threads": 1}
    found = parse_job(job({"desk": "devices.yaml", "here": here}, "latency_ms@desk"), folder=lab).devices
    assert found == {"desk": DEVICES["desk"], "here": here}
    assert read_device(lab / "devices.yaml", "desk") == DEVICES["desk"]
    assert list(read_devices(lab / "devices.yaml")) == ["desk", "pi5"]


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ("nowhere.yaml", r"devices: .*nowhere\.yaml: no such file"),
        ("empty.yaml", r"devices: .*empty\.yaml describes no devices"),
        ({"pi4": "devices.yaml"}, r"devices\.pi4: .*devices\.yaml has no device 'pi4'; known: desk, pi5"),
        ({"desk": "list.yaml"}, r"devices\.desk: .*list\.yaml: devices must be a mapping .*got \[1\]"),
        ({"desk": 3}, r"devices\.desk"),
        (["devices.yaml"], r"devices"),
    ],
)
def test_bad_references_name_their_place(lab: Path, devices: Any, message: str) -> None:
    """In the job."""
    (lab / "empty.yaml").write_text("name: nothing")
    (lab / "list.yaml").write_text("devices: [1]")
    with pytest.raises(JobSpecError, match=message):
        parse_job(job(devices), folder=lab)


@pytest.mark.parametrize("devices", ["../lab/devices.yaml", {"desk": "../lab/devices.yaml"}])
def test_jobs_from_outside_read_no_file_of_devices_elsewhere(lab: Path, devices: Any) -> None:
    """It is not opened, and neither is what a file that may be read names elsewhere."""
    allowed = lab.parent / "data"
    allowed.mkdir()
    with pytest.raises(JobSpecError, match="is not in a folder that jobs may read"):
        parse_job(job(devices), folder=allowed, allowed_folders=[allowed])
    outside = {"pi5": {**DEVICES["pi5"], "token_file": str(lab / "secrets" / "pi5")}}
    (allowed / "devices.yaml").write_text(yaml.safe_dump({"devices": outside}))
    with pytest.raises(JobSpecError, match=r"devices\.pi5\.token_file: .* is not in a folder that jobs may read"):
        parse_job(job("devices.yaml"), folder=allowed, allowed_folders=[allowed])
    assert parse_job(job({"desk": "devices.yaml"}), folder=lab, allowed_folders=[lab]).devices["desk"]["threads"] == 2


def test_jobs_from_outside_name_no_predictor_elsewhere(tmp_path: Path) -> None:
    """The costs of a differentiable search come from a file as well."""
    cost = {"metric": "macs", "predictor": "/etc/passwd"}
    given = {**job({}), "strategy": {"name": "gdas", "cost": cost}}
    with pytest.raises(JobSpecError, match=r"strategy\.cost\.predictor: '/etc/passwd' is not in a folder"):
        parse_job(given, folder=tmp_path, allowed_folders=[tmp_path])
