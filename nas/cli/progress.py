"""Progress bars of a running job on stderr."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from nas.cli.output import messages


class ProgressBars:
    """A bar for each kind of work, training and search among them; without a terminal, a line now and then."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description:>10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=messages,
            disable=not messages.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._tenths: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def training(self, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        """Move the training bar; its note is the epoch's metrics."""
        self._move("training", epoch, epochs, _note(metrics))

    def probing(self, measured: int, probes: int) -> None:
        """Move the bar of probes."""
        self._move("probing", measured, probes, "")

    def rounds(self, number: int, rounds: int, metrics: Mapping[str, float]) -> None:
        """Move the bar of rounds; its note is the round's metrics."""
        self._move("rounds", number, rounds, _note(metrics))

    def searching(self, evaluations: int, budget: int) -> None:
        """Move the search bar."""
        self._move("searching", evaluations, budget, "")

    def measuring(self, done: int, finalists: int) -> None:
        """Move the bar of the finalists; there may be more of them than one knew."""
        self._move("finalists", done, finalists, "")

    def trials(self, epochs: int, asked: int, note: str) -> None:
        """Move the bar of trainings of single networks, whose end moves away as more are asked for."""
        self._move("trials", epochs, asked, note)

    def say(self, message: str) -> None:
        """Print a line above the bars."""
        messages.print(message)

    def _move(self, name: str, done: int, total: int, note: str) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total, note=note)
        self._bars.update(self._tasks[name], completed=done, total=total, note=note)
        tenth = 10 * done // max(total, 1)
        if not messages.is_terminal and tenth != self._tenths.get(name, 0):
            messages.print(f"{name}: {done} of {total}  {note}".rstrip())
        self._tenths[name] = tenth


def _note(metrics: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
