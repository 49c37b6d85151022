"""Devices that a file describes once, for all jobs that name them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.jobspec.document import read_document
from nas.jobspec.errors import Problem
from nas.jobspec.wording import shown
from profilers.registry import DEVICES


def read_devices(path: Path) -> dict[str, Any]:
    """The sections under `devices:` in a YAML or JSON file, such as `devices.yaml` or a job file, by name.

    Raises:
        ValueError: the file cannot be read, which is a `JobSpecError`, or has no such sections.
    """
    document = read_document(path)
    found = document.get("devices") if isinstance(document, Mapping) else None
    if found is not None and not isinstance(found, Mapping):
        raise ValueError(f"{path}: devices must be a mapping from names to devices (got {shown(found)})")
    return {str(name): located_device(section, path.parent) for name, section in (found or {}).items()}


def read_device(path: Path, name: str) -> dict[str, Any]:
    """The section of one device of a file.

    Raises:
        ValueError: as `read_devices` says, or the file has no device of this name; those that it has are told.
    """
    known = read_devices(path)
    if not isinstance(known.get(name), Mapping):
        raise ValueError(f"{path} has no device {name!r}; known: {', '.join(known) or 'none'}")
    return dict(known[name])


def with_files(devices: Any, folder: Path | None) -> tuple[Any, list[Problem]]:
    """The section `devices` of a job with sections in the place of files, and with absolute paths.

    The whole section may be a file, of which all devices are taken, or a device may be, of which that of the same name
    is. What is of a wrong type stays as it was; the structure of the job reports it.
    """
    base = (folder or Path()).absolute()
    if isinstance(devices, str):
        try:
            if known := read_devices(base / devices):
                return known, []
            raise ValueError(f"{base / devices} describes no devices")
        except ValueError as error:
            return {}, [Problem(("devices",), str(error))]
    if not isinstance(devices, Mapping):
        return devices, []
    found, problems = dict[str, Any](), []
    for name, section in devices.items():
        if not isinstance(section, str):
            found[name] = located_device(section, folder)
            continue
        try:
            found[name] = read_device(base / section, str(name))
        except ValueError as error:
            found[name] = {}
            problems.append(Problem(("devices", str(name)), str(error)))
    return found, problems


def located_device(section: Any, folder: Path | None) -> Any:
    """The section of a device with absolute paths where its kind has files; anything else as it was."""
    kind = DEVICES.get(str(section.get("kind"))) if isinstance(section, Mapping) else None
    if kind is None:
        return section
    base = (folder or Path()).absolute()
    files = {key: section[key] for key in kind.paths if isinstance(section.get(key), str) and section[key]}
    return {**section, **{key: os.path.normpath(base / file) for key, file in files.items()}}
