"""The job file as JSON Schema, for editors and for `nas schema`."""

import inspect
from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Any

from nas.jobspec.owners import settings_of
from nas.jobspec.spec import JobSpec
from nas.strategies.registry import STRATEGIES
from profilers.registry import DEVICES
from search_spaces.registry import SPACES

Schema = dict[str, Any]


def json_schema() -> Schema:
    """JSON Schema (draft 2020-12) of a job file, with the settings of every registered space, strategy and device.

    It describes the form; what the sections say to each other is checked by `nas.jobspec.load` alone.
    """
    schema = JobSpec.model_json_schema()
    sections: Schema = schema["$defs"]
    sections["SpaceSpec"] = _one_of("space", {**{name: _space(name) for name in SPACES}, "": _own_space()}, SPACES)
    sections["StrategySpec"] = _one_of("strategy", {name: _strategy(name, sections) for name in STRATEGIES}, STRATEGIES)
    sections["DataSpec"] = _or_name(sections["DataSpec"], "A data set by its name alone.")
    objective = sections["ObjectiveSpec"]
    objective["required"] = ["metric"]
    sections["ObjectiveSpec"] = _or_name(objective, "A metric in its usual direction.")
    schema["properties"]["devices"]["additionalProperties"] = {"oneOf": [_device(kind) for kind in DEVICES]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "A NAS job"}


def _or_name(section: Schema, description: str) -> Schema:
    return {"anyOf": [{"type": "string", "description": description}, section]}


def _one_of(what: str, by_name: dict[str, Schema], names: Iterable[str]) -> Schema:
    short = {"enum": list(names), "description": f"A {what} by its name alone."}
    return {"anyOf": [short, *by_name.values()]}


def _section(key: str, value: str, properties: Schema, required: list[str]) -> Schema:
    return {
        "type": "object",
        "properties": {key: {"const": value}, **properties},
        "required": required,
        "additionalProperties": False,
    }


def _space(name: str) -> Schema:
    properties: Schema = {"path": {"const": None}, "sha256": {"const": None}}  # of spaces that lie in files
    required = ["name"]
    for setting, parameter in settings_of(SPACES[name]).items():
        if parameter.default is inspect.Parameter.empty:
            properties[setting] = {}
            required.append(setting)
        else:
            properties[setting] = _by_example(parameter.default)
    return _section("name", name, properties, required)


def _own_space() -> Schema:
    """A space of a file: its settings are not known here."""
    text = {"type": "string", "minLength": 1}
    return {
        "type": "object",
        "properties": {"name": text, "path": text, "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
        "required": ["name", "path"],
    }


def _strategy(name: str, sections: Schema) -> Schema:
    options = STRATEGIES[name].options_type.model_json_schema()
    sections.update(options.pop("$defs", {}))
    properties = {key: value for key, value in options["properties"].items() if key != "name"}
    return _section("name", name, properties, ["name"])


def _device(kind: str) -> Schema:
    properties: Schema = {}
    required: list[str] = []
    for field in fields(DEVICES[kind]):
        if field.name != "name":
            one: Schema = {} if field.default is MISSING else _by_example(field.default)
            searched = one and field.name in DEVICES[kind].searched
            properties[field.name] = {"anyOf": [one, _options(one)]} if searched else one
            required += [field.name] if field.default is MISSING else []
    return _section("kind", kind, properties, required)


def _options(one: Schema) -> Schema:
    """Several values of a setting, of which the search chooses."""
    items = {key: value for key, value in one.items() if key != "default"}
    return {"type": "array", "items": items, "minItems": 1, "uniqueItems": True}


def _by_example(default: Any) -> Schema:
    """The type and default of a setting, known from its default."""
    if isinstance(default, tuple | list):
        return {"type": "array", "default": list(default)}
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    schema: Schema = {"default": default}
    if type(default) in kinds:
        schema["type"] = kinds[type(default)]
    return schema
