"""From pydantic's errors to problems that name the place, what was given and what is allowed."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from nas.jobspec.errors import Location, Problem
from nas.jobspec.wording import shown, suggestion, unknown_key

MUST_BE = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "list_type": "a list",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "string_too_long": "at most {max_length} characters long",
    "string_too_short": "at least {min_length} character long",
    "string_type": "a string",
    "tuple_type": "a list",
}
PATTERNS = "letters, digits, '_', '-' and '.', a letter or digit first, at most 100"


def structure_problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """The problems that `model` found, one for each place."""
    problems: list[Problem] = []
    for details in error.errors(include_url=False):
        if details["type"] == "inconsistent":
            problems += details["ctx"]["problems"]
        elif not (details["type"] == "too_short" and details["input"]):  # counted without entries that are wrong
            problems.append(Problem(details["loc"], _message(details, model)))
    return problems


def _message(details: ErrorDetails, model: type[BaseModel]) -> str:
    kind, given, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "missing":
        return "missing, and there is no default"
    if kind == "extra_forbidden":
        return unknown_key(str(details["loc"][-1]), _fields_at(model, details["loc"][:-1]))
    if kind == "literal_error":
        allowed = context["expected"]
        words = [word.strip(" '") for word in allowed.replace(" or ", ",").split(",")]
        return f"{shown(given)} is not allowed; allowed: {allowed}{suggestion(str(given), words)}"
    if kind in ("too_short", "too_long"):
        least = kind == "too_short"
        bound = f"at least {context['min_length']}" if least else f"at most {context['max_length']}"
        return f"has {context['actual_length']} entries; allowed: {bound}"
    if kind == "string_pattern_mismatch":
        return f"must be made of {PATTERNS} (got {shown(given)})"
    if kind == "value_error":  # a validator of our own, which says what was given
        return str(context["error"])
    if kind in MUST_BE:
        return f"must be {MUST_BE[kind].format(**context)} (got {shown(given)})"
    return f"{details['msg']} (got {shown(given)})"


def _fields_at(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that are allowed at a location inside `model`."""
    found: type[BaseModel] = model
    for part in location:
        if isinstance(part, str) and part in found.model_fields:
            found = _model_of(found.model_fields[part].annotation) or found
    return [field.alias or name for name, field in found.model_fields.items()]


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, itself or in a list, a mapping or beside None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_of(inner))), None)


def ordered(problems: list[Problem], job: Mapping[str, Any]) -> list[Problem]:
    """Problems in the order of the file; what is missing from a section comes last in it."""
    return sorted(problems, key=lambda problem: _place(problem.location, job))


def _place(location: Location, job: Any) -> list[int]:
    """Position of each part of a location among its neighbours."""
    places = []
    for part in location:
        if isinstance(job, Mapping):
            keys = list(job)
            places.append(keys.index(part) if part in keys else len(keys))
            job = job.get(part)
        elif isinstance(part, int):
            places.append(part)
            job = job[part] if isinstance(job, list) and part < len(job) else None
        else:
            places.append(0)
    return places
