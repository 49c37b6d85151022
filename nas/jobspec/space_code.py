"""From the `space` section of a job to a recipe, with permission where that takes code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search_spaces.recipe import SpaceRecipe
from search_spaces.space_file import code_hash, read_code

OWN_KEYS = ("name", "path", "sha256")
"""Keys of the section that are no settings of the space."""


class CodeRefused(ValueError):
    """A job asks for code to be run and the operator did not allow it."""


def space_recipe(section: Mapping[str, Any], *, allow_code: bool) -> SpaceRecipe:
    """How to make the space of a section; nothing of it is run yet.

    Args:
        section: plain values, with a name, a path or neither, and settings.
        allow_code: whether the operator lets jobs bring code.

    Raises:
        CodeRefused: the section has a path and code is not allowed.
        ValueError: the file cannot be read, or it is not the one that the job was made with.
    """
    name = str(section["name"])
    settings = {key: value for key, value in section.items() if key not in OWN_KEYS}
    path = section.get("path")
    if path is None:
        return SpaceRecipe(name, settings)
    if not allow_code:
        raise CodeRefused(
            f"{str(path)!r} is Python code, which would run with all your rights; if you trust it, allow it with "
            f"--allow-code or NAS_ALLOW_CODE=1"
        )
    code = read_code(Path(path))
    known = section.get("sha256")
    if known is not None and known != code_hash(code):
        raise ValueError(
            f"{str(path)!r} is no longer the file that the job was made with: its SHA-256 is {code_hash(code)}, "
            f"expected {known}; put the old file back, or start a new job"
        )
    return SpaceRecipe(name, settings, code, str(path))
