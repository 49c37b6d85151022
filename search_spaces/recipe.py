"""How to make a search space, here or in another process: plain values, code among them only as text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.registry import SPACES
from search_spaces.space import SearchSpace
from search_spaces.space_file import SpaceFileError, spaces_in, told


@dataclass(frozen=True, slots=True)
class SpaceRecipe:
    """A space by name and settings.

    Attributes:
        name: a key of `SPACES`, or the name of a space that `code` defines.
        settings: keyword arguments of the space.
        code: the text of a Python file with the space; None for a space of the registry. Whoever makes a recipe with
            code has permission to run it.
        file: what to call the code in messages.
    """

    name: str
    settings: Mapping[str, Any]
    code: str | None = None
    file: str = "space"

    def kind(self) -> type[SearchSpace]:
        """The class of the space; runs the code.

        Raises:
            ValueError: an unknown name, the known ones are listed; or code that breaks.
        """
        known = SPACES if self.code is None else spaces_in(self.code, self.file)
        if self.name not in known:
            whose = "" if self.code is None else f" of {self.file}"
            raise ValueError(f"{self.name!r} is not a search space{whose}; known: {', '.join(known)}")
        return known[self.name]

    def make(self) -> SearchSpace:
        """The space.

        Raises:
            ValueError: as `kind`, or settings that the space refuses.
        """
        kind = self.kind()
        try:
            space = kind(**self.settings)
        except Exception as error:
            if self.code is None or isinstance(error, ValueError):
                raise
            raise SpaceFileError(f"{self.file}: {told(error, self.file)}") from error
        return space
