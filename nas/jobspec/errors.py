"""What goes wrong with a job file.

ValueError
└── JobSpecError    holds every `Problem` of one job file
"""

from collections.abc import Sequence
from dataclasses import dataclass

Location = tuple[str | int, ...]
"""Keys and list positions from the top of the file, such as ("objectives", 1, "direction")."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, and what was given and is allowed."""

    location: Location
    message: str

    @property
    def path(self) -> str:
        """The location as a reader looks it up, such as `objectives[1].direction`; empty for the whole file."""
        text = ""
        for part in self.location:
            if isinstance(part, int):
                text += f"[{part}]"
            elif part.replace("_", "a").replace("-", "a").isalnum():
                text += f".{part}" if text else part
            else:
                text += f"[{part[:60]!r}]"
        return text

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.location else self.message


class JobSpecError(ValueError):
    """A job that cannot be run: `problems` has everything that is wrong with it, in the order of the file.

    Attributes:
        source: the file, or what else the job came from.
        problems: at least one.
    """

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__(source, self.problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return f"{self.source}: {self.problems[0]}"
        lines = [f"{self.source}: {len(self.problems)} problems", *map(str, self.problems)]
        return "\n  ".join(lines)
