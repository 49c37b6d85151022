"""What the owners of spaces, data sets, strategies and devices say about their sections of a job."""

import inspect
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from nas.datasets.load import DATASETS
from nas.jobspec.errors import Problem
from nas.jobspec.space_code import space_recipe
from nas.jobspec.structure import structure_problems
from nas.jobspec.wording import unknown, unknown_key
from nas.strategies.registry import STRATEGIES
from profilers.device_choices import check_choices
from profilers.errors import DeviceRefused
from search_spaces.registry import SPACES
from search_spaces.space import SearchSpace
from search_spaces.supernet.phases import matching, patterns, unmatched


def settings_of(space: type[SearchSpace]) -> dict[str, inspect.Parameter]:
    """The settings that a space takes."""
    return dict(inspect.signature(space).parameters)


def owner_problems(job: Mapping[str, Any], *, allow_code: bool = False) -> list[Problem]:
    """What the owners of space, data, strategy and devices have to say about a plain job.

    Data sets by name are looked up; no data are read. The code of a space is run if it is allowed.

    Parts of a wrong type are passed over: the structure of the job reports them.
    """
    problems: list[Problem] = []
    if (section := _named(job.get("space"))) is not None:
        space, found = _space(section, allow_code)
        problems += found
        problems += [] if space is None else _phase_problems(job.get("supernet"), space)
    if (data := _named(job.get("data"))) is not None and data["name"] not in DATASETS:
        message = unknown(data["name"], "data set", DATASETS)
        problems.append(Problem(("data", "name"), f"{message}; a file or folder is given as {{path: ...}}"))
    if (strategy := _named(job.get("strategy"))) is not None:
        problems += _strategy_problems(strategy)
    devices = job.get("devices")
    for name, settings in devices.items() if isinstance(devices, Mapping) else ():
        if isinstance(name, str) and isinstance(settings, Mapping):
            problems += _device_problems(name, settings)
    return problems


def _named(section: Any) -> dict[str, Any] | None:
    """A section with a name, or None when it has no usable one."""
    plain = {"name": section} if isinstance(section, str) else section
    usable = isinstance(plain, Mapping) and isinstance(plain.get("name"), str) and plain["name"]
    return dict(plain) if usable else None


def _space(section: dict[str, Any], allow_code: bool) -> tuple[SearchSpace | None, list[Problem]]:
    """The space that a section asks for, None where it cannot be made, and what is wrong with the section."""
    if section.get("path") is not None and not isinstance(section["path"], str):
        return None, []
    name = section["name"]
    try:
        recipe = space_recipe(section, allow_code=allow_code)
        if recipe.code is None and name not in SPACES:
            return None, [Problem(("space", "name"), unknown(name, "search space", SPACES))]
        allowed = settings_of(recipe.kind())
    except ValueError as error:
        return None, [Problem(("space", "path"), str(error))]
    problems = [
        Problem(("space", str(key)), unknown_key(str(key), ["name", *allowed]))
        for key in recipe.settings
        if key not in allowed
    ]
    known = {key: value for key, value in recipe.settings.items() if key in allowed}
    try:
        return replace(recipe, settings=known).make(), problems
    except (ValueError, TypeError) as error:
        return None, [*problems, Problem(("space",), str(error))]


def _phase_problems(section: Any, space: SearchSpace) -> list[Problem]:
    """Patterns that match no decision, and decisions that no phase makes elastic."""
    phases = section.get("phases") if isinstance(section, Mapping) else None
    elastic = [phase.get("elastic", ["*"]) if isinstance(phase, Mapping) else None for phase in _list(phases)]
    asked = [
        (("supernet", "phases", index, "elastic", place), pattern)
        for index, given in enumerate(elastic)
        for place, pattern in enumerate(_list(given))
        if isinstance(pattern, str)
    ]
    problems = [
        Problem(where, unmatched(space, pattern)) for where, pattern in asked if not matching(space.names, pattern)
    ]
    if problems or not elastic or not all(isinstance(given, list | tuple) for given in elastic):
        return problems
    free = {name for _, pattern in asked for name in matching(space.names, pattern)}
    if held := [each.name for each in space.decisions if len(each.options) > 1 and each.name not in free]:
        message = (
            f"no phase makes {', '.join(patterns(held))} elastic, so all but the largest option would be searched "
            "untrained; name it in a phase, or give the space one option of it"
        )
        problems.append(Problem(("supernet", "phases"), message))
    return problems


def _list(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else []


def _strategy_problems(section: dict[str, Any]) -> list[Problem]:
    name = section["name"]
    if name not in STRATEGIES:
        return [Problem(("strategy", "name"), unknown(name, "strategy", STRATEGIES))]
    options = STRATEGIES[name].options_type
    try:
        options.model_validate_json(json.dumps(section), strict=True)
    except ValidationError as error:
        found = structure_problems(error, options)
        return [Problem(("strategy", *problem.location), problem.message) for problem in found]
    return []


def _device_problems(name: str, settings: Mapping[str, Any]) -> list[Problem]:
    place = ("devices", name)
    if "name" in settings:
        return [Problem((*place, "name"), "unknown key; the name of a device is the key of its section")]
    try:
        check_choices({**settings, "name": "device"})  # names are judged with the structure
    except DeviceRefused as error:
        return [Problem(place, problem.removeprefix("device: ")) for problem in error.problems]
    return []
