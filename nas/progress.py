"""How a running job tells where it is."""

from collections.abc import Mapping
from typing import Protocol


class Progress(Protocol):
    """What a driver reports; a terminal, a log or nobody listens."""

    def training(self, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        """`epoch` of `epochs` of the supernet's training are done."""

    def probing(self, measured: int, probes: int) -> None:
        """`measured` of `probes` that tell what decisions cost are measured."""

    def rounds(self, number: int, rounds: int, metrics: Mapping[str, float]) -> None:
        """`number` of `rounds` of a differentiable search are done."""

    def searching(self, evaluations: int, budget: int) -> None:
        """`evaluations` of `budget` are stored."""

    def measuring(self, done: int, finalists: int) -> None:
        """`done` of the finalists known so far are measured anew."""

    def trials(self, epochs: int, asked: int, note: str) -> None:
        """`epochs` of all that were `asked` for are done, or not wanted any more, in trainings of single networks."""

    def say(self, message: str) -> None:
        """Something that a user should know."""


class Silent:
    """Nobody listens."""

    def training(self, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def probing(self, measured: int, probes: int) -> None:
        """Nothing."""

    def rounds(self, number: int, rounds: int, metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def searching(self, evaluations: int, budget: int) -> None:
        """Nothing."""

    def measuring(self, done: int, finalists: int) -> None:
        """Nothing."""

    def trials(self, epochs: int, asked: int, note: str) -> None:
        """Nothing."""

    def say(self, message: str) -> None:
        """Nothing."""
