"""Settings of a device that are searched: a list of options in the place of one value."""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from profilers.errors import DeviceRefused
from profilers.registry import DEVICES, make_device

MOST = 256
"""Combinations of settings that one device may have."""

Section = Mapping[str, Any]


def choices_of(section: Section) -> dict[str, list[Any]]:
    """The settings of a job file's section that have several options."""
    return {key: value for key, value in section.items() if isinstance(value, list)}


def combinations(section: Section) -> Iterator[dict[str, Any]]:
    """All sections that a section with options stands for; itself where it has none."""
    choices = choices_of(section)
    for picked in itertools.product(*choices.values()):
        yield {**section, **dict(zip(choices, picked, strict=True))}


def check_choices(section: Section) -> None:
    """Refuse a section whose options cannot be searched, or of which one combination is no device.

    Args:
        section: as in a job file, with a name.

    Raises:
        DeviceRefused: every problem is listed.
    """
    choices = choices_of(section)
    if not choices:
        make_device(section)
        return
    kind = section.get("kind", "host")
    searched = DEVICES[kind].searched if isinstance(kind, str) and kind in DEVICES else tuple(choices)
    problems = []
    for key, options in choices.items():
        if key not in searched:
            known = ", ".join(searched) or "none of this kind of device"
            problems.append(f"{key} must be one value and not a list; settings that can be searched: {known}")
        elif not options or any(isinstance(option, list | dict) for option in options):
            problems.append(f"{key} must be one value or a list of values (got {options!r:.80})")
        elif len(set(options)) != len(options):
            problems.append(f"{key} lists an option twice: {options!r:.80}")
    if not problems and (count := math.prod(map(len, choices.values()))) > MOST:
        problems.append(f"{count} combinations of {', '.join(choices)}; allowed: at most {MOST}")
    if problems:
        raise DeviceRefused(problems)
    for combination in combinations(section):
        try:
            make_device(combination)
        except DeviceRefused as error:
            picked = ", ".join(f"{key} {combination[key]!r}" for key in choices)
            plain = [problem.removeprefix("device: ") for problem in error.problems]
            raise DeviceRefused([f"with {picked}: {problem}" for problem in plain]) from None
