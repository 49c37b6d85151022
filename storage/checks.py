"""What a row must be before it is written: the same answer on every database, before a transaction begins."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from numbers import Real
from typing import Any

from storage.errors import InvalidRecord

_KEY = re.compile(r"[0-9a-f]{64}")


def key(value: object) -> str:
    """An architecture's key, or `InvalidRecord`."""
    if not isinstance(value, str) or not _KEY.fullmatch(value):
        raise InvalidRecord(f"an architecture's key is 64 lower-case hex digits (got {value!r})")
    return value


def text(value: object, what: str) -> str:
    """A text that both databases keep as it is, not empty, or `InvalidRecord` naming `what`."""
    if not isinstance(value, str) or not value or "\0" in value or not value.isprintable():
        raise InvalidRecord(f"{what} must be a text of printable characters, not empty (got {value!r})")
    return value


def json_object(value: object, what: str) -> dict[str, Any]:
    """A JSON object, or `InvalidRecord` naming `what`. JSON has no NaN, no infinity and no NumPy numbers."""
    if not isinstance(value, Mapping) or not {*map(type, value)} <= {str}:
        raise InvalidRecord(f"{what} must be an object with text keys (got {type(value).__name__})")
    try:
        json.dumps(value := dict(value), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRecord(f"{what} has no JSON form: {error}") from None
    return value


def number(value: object, what: str) -> float:
    """A 64-bit float, perhaps NaN or infinite, or `InvalidRecord` naming `what`."""
    if type(value) is float:
        return value
    if isinstance(value, Real):
        with suppress(OverflowError):  # a number that is too large is told below, as what is no number
            return float(value)
    raise InvalidRecord(f"{what} must be a number that a 64-bit float can hold (got {value!r})")


def numbers(values: Mapping[str, float], what: str) -> dict[str, float]:
    """Named 64-bit floats, perhaps NaN or infinite, or `InvalidRecord` naming the one in `what`."""
    return {text(name, f"the name of {what}"): number(value, f"{what} {name!r}") for name, value in values.items()}


def finite(value: object, what: str) -> float:
    """A finite number that is not negative, or `InvalidRecord` naming `what`."""
    value = number(value, what)
    if not math.isfinite(value) or value < 0:
        raise InvalidRecord(f"{what} must be finite and not negative (got {value!r})")
    return value


def losses(values: Sequence[float]) -> tuple[float, ...]:
    """Finite numbers, at least one, or `InvalidRecord`."""
    given = tuple(number(value, "a loss") for value in values)
    if not given or not all(map(math.isfinite, given)):
        raise InvalidRecord(f"the losses of an evaluation must be finite numbers, at least one (got {values!r})")
    return given
