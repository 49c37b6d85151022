"""What a checkpoint of a differentiable search says beside its tensors: whose it is, and the numbers of its state."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.training.checkpoint import CheckpointError

OWN = ("space", "settings", "method", "search", "cost", "samples")
"""What must be the same for a search to go on from a checkpoint."""


@dataclass(frozen=True, slots=True)
class SearchNumbers:
    """The state of a search that is no tensor.

    Attributes:
        rounds: that are done.
        baseline: mean of the validation loss, None before the first.
        multiplier: of a budget.
        eigenvalues: of the rounds so far.
        stopped: whether it ended early.
    """

    rounds: int
    baseline: float | None
    multiplier: float
    eigenvalues: list[float]
    stopped: bool


def read_numbers(path: Path, notes: Mapping[str, Any], own: Mapping[str, Any], most_rounds: int) -> SearchNumbers:
    """The numbers in the notes of a checkpoint.

    Args:
        path: of the checkpoint, for messages.
        notes: of the checkpoint.
        own: the notes of the search that is to go on.
        most_rounds: that it has.

    Raises:
        CheckpointError: the checkpoint is of another search, or its numbers are none.
    """
    for key in OWN:
        if notes.get(key) != own[key]:
            raise CheckpointError(
                f"checkpoint {path} belongs to another search: its {key} is {notes.get(key)!r}, here it is {own[key]!r}"
            )
    rounds, baseline, multiplier = notes.get("rounds"), notes.get("baseline"), notes.get("multiplier")
    if type(rounds) is not int or not 0 <= rounds <= most_rounds:
        raise CheckpointError(f"checkpoint {path} has round {rounds!r} of {most_rounds}")
    for name, number in (("baseline", baseline or 0.0), ("multiplier", multiplier)):
        if not isinstance(number, float) or not math.isfinite(number):
            raise CheckpointError(f"checkpoint {path} has the {name} {number!r}, which is no number")
    assert multiplier is not None
    eigenvalues = notes.get("eigenvalues")
    if not isinstance(eigenvalues, list) or not all(type(each) is float for each in eigenvalues):
        raise CheckpointError(f"checkpoint {path} has the eigenvalues {eigenvalues!r}, which are no numbers")
    return SearchNumbers(rounds, baseline, float(multiplier), eigenvalues, notes.get("stopped") is True)
