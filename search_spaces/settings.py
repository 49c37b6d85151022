"""Checks of the settings of a space: a message names the setting, what was given and what is allowed."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any


def plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a space as plain JSON values, from the `locals()` of its constructor."""
    given = {key: value for key, value in arguments.items() if key not in ("self", "__class__")}
    return {key: list(value) if isinstance(value, tuple | range) else value for key, value in given.items()}


def check_whole(settings: Mapping[str, Any], *names: str, least: int = 1) -> None:
    """Refuse settings that are not whole numbers of at least `least`.

    Raises:
        ValueError: as the module says.
    """
    for name in names:
        if type(settings[name]) is not int or settings[name] < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {settings[name]!r}")


def check_wholes(settings: Mapping[str, Any], *names: str, least: int = 1, length: int | None = None) -> None:
    """Refuse settings that are not lists of whole numbers of at least `least`, `length` of them where it is given.

    Raises:
        ValueError: as the module says.
    """
    for name in names:
        items = _items(settings, name, length)
        if not all(type(item) is int and item >= least for item in items):
            raise ValueError(f"{name} must be whole numbers of at least {least}, got {settings[name]}")


def check_numbers(settings: Mapping[str, Any], *names: str, most: float) -> None:
    """Refuse settings that are not lists of numbers above 0 and up to `most`.

    Raises:
        ValueError: as the module says.
    """
    for name in names:
        for item in _items(settings, name):
            if not isinstance(item, int | float) or isinstance(item, bool) or not 0 < item <= most:
                raise ValueError(f"{name} must be numbers above 0 and up to {most}, got {item!r}")


def check_flags(settings: Mapping[str, Any], *names: str) -> None:
    """Refuse settings that are not true or false.

    Raises:
        ValueError: as the module says.
    """
    for name in names:
        if not isinstance(settings[name], bool):
            raise ValueError(f"{name} must be true or false, got {settings[name]!r}")


def check_known(name: str, given: Any, known: Collection[str]) -> None:
    """Refuse a word, or a list with a word, that is not one of the known ones.

    Raises:
        ValueError: as the module says.
    """
    items = _items({name: given}, name) if isinstance(given, list) else [given]
    for item in items:
        if item not in known:
            raise ValueError(f"{name} {item!r} is not known; known: {', '.join(known)}")


def check_distinct(settings: Mapping[str, Any], *names: str) -> None:
    """Refuse lists that become the options of decisions and name one of them twice.

    Raises:
        ValueError: as the module says.
    """
    for name in names:
        items = settings[name]
        if len(set(items)) != len(items):
            raise ValueError(f"{name} must name each option once, got {items}")


def check_head_dim(settings: Mapping[str, Any]) -> set[int]:
    """Refuse `heads` that do not divide one of the `widths` where `head_dim` is None; returns the features of a head.

    Raises:
        ValueError: as the module says.
    """
    if settings["head_dim"] is not None:
        check_whole(settings, "head_dim")
        return {settings["head_dim"]}
    for width in settings["widths"]:
        for heads in settings["heads"]:
            if width % heads:
                raise ValueError(
                    f"heads must divide every width where head_dim is null, got {heads} heads and a width of {width}; "
                    "choose others or give head_dim, the features of a head"
                )
    return {width // heads for width in settings["widths"] for heads in settings["heads"]}


def _items(settings: Mapping[str, Any], name: str, length: int | None = None) -> Sequence[Any]:
    value = settings[name]
    if not isinstance(value, list) or not value:
        raise ValueError(f"{name} must be a list with at least one entry, got {value!r}")
    if length is not None and len(value) != length:
        raise ValueError(f"{name} must have {length} entries, got {value}")
    return value
