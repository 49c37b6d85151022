"""How messages show what was given and what was perhaps meant."""

import difflib
from collections.abc import Iterable


def shown(value: object) -> str:
    """A value in a message, shortened."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def suggestion(given: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for a near miss, otherwise nothing."""
    near = difflib.get_close_matches(given[:100], list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def unknown(given: str, what: str, known: Iterable[str]) -> str:
    """The message for a name that is not in a registry."""
    names = list(known)
    return f"{shown(given)} is not a known {what}; known: {', '.join(names)}{suggestion(given, names)}"


def unknown_key(given: str, allowed: Iterable[str]) -> str:
    """The message for a key that a section does not have."""
    names = list(allowed)
    return f"unknown key; allowed: {', '.join(names)}{suggestion(given, names)}"
