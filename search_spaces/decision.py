"""A named choice of a search space, and when it matters."""

from dataclasses import dataclass

Option = int | float | str | bool


@dataclass(frozen=True, slots=True)
class Condition:
    """Holds when `decision` is itself active and has chosen one of `options`."""

    decision: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """A named choice among `options`, active when every condition in `active` holds.

    An inactive decision does not change the network, so its canonical value is the first option.
    """

    name: str
    options: tuple[Option, ...]
    active: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a decision that cannot be made.

        Raises:
            ValueError: no options, or the same option twice (1 and 1.0 and True are the same).
        """
        if not self.options:
            raise ValueError(f"decision {self.name!r} has no options; give at least one")
        if len(set(self.options)) != len(self.options):
            raise ValueError(f"decision {self.name!r} lists an option twice: {list(self.options)}")
