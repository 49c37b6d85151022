"""Which files a job names, and whether it may: a job that comes over the network names none outside given folders."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.jobspec.errors import Location, Problem
from profilers.registry import DEVICES


def outside(job: Mapping[str, Any], folder: Path | None, allowed: Sequence[Path]) -> list[Problem]:
    """A problem for each file of a plain job that lies in none of these folders, links followed; nothing is opened.

    Args:
        job: what was given; parts of a wrong type are passed over, the structure of the job reports them.
        folder: what relative paths are relative to.
        allowed: folders, existing ones.
    """
    roots = [Path(os.path.realpath(root)) for root in allowed]
    told = ", ".join(map(str, allowed)) or "none: jobs name data sets by name here"
    return [
        Problem(where, f"{path!r} is not in a folder that jobs may read; allowed: {told}")
        for where, path in named(job)
        if "\0" in path
        or not any(Path(os.path.realpath((folder or Path()) / path)).is_relative_to(root) for root in roots)
    ]


def named(job: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    """Every file that a plain job names, and where it does so."""
    for section in ("data", "space"):
        yield from _files((section,), job.get(section), ["path"])
    strategy = job.get("strategy")
    if isinstance(strategy, Mapping):
        yield from _files(("strategy", "cost"), strategy.get("cost"), ["table", "predictor"])
    devices = job.get("devices")
    if isinstance(devices, str):
        yield ("devices",), devices
    for name, device in devices.items() if isinstance(devices, Mapping) else ():
        if isinstance(device, str):
            yield ("devices", str(name)), device
        kind = DEVICES.get(str(device.get("kind"))) if isinstance(device, Mapping) else None
        yield from _files(("devices", str(name)), device, kind.paths if kind else ())


def _files(where: Location, section: Any, keys: Sequence[str]) -> Iterator[tuple[Location, str]]:
    for key in keys if isinstance(section, Mapping) else ():
        if isinstance(path := section.get(key), str) and path:
            yield (*where, key), path
