"""Rows of the tables that several commands print."""

from collections.abc import Mapping, Sequence
from typing import Any

from nas.results import Results
from storage.records import Training, TrainingStatus


def front_rows(results: Results) -> list[dict[str, Any]]:
    """The front with short keys and the objectives first; the knee and what did not replicate are marked."""
    names = [objective.metric for objective in results.objectives]
    rows = []
    for index, row in zip(results.front, results.rows(results.front), strict=True):
        shown = {"key": row["key"][:12], **{name: row[name] for name in names}}
        marks = {"knee": index == results.knee, "unstable": row["stable"] is False}
        rows.append({**shown, "": ", ".join(mark for mark, holds in marks.items() if holds)})
    return rows


def training_rows(trainings: Sequence[Training], metrics: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """A row for each training.

    Args:
        trainings: of a job.
        metrics: key -> metrics of the job's evaluation.
    """
    asked = ("accuracy", "loss")
    there = [
        name for metric in asked for name in (f"{metric}@supernet", f"{metric}@trained")
        if any(name in metrics.get(training.architecture_key, {}) for training in trainings)
    ]  # fmt: skip
    return [
        {
            "key": training.architecture_key,
            "status": training.status.value,
            **{name: metrics.get(training.architecture_key, {}).get(name) for name in there},
            "epochs": f"{max(training.curve.get('epoch', [0])):.0f} of {training.epochs}",
            "seconds": training.seconds,
            "saved_seconds": training.saved_seconds,
            "cause": training.cause,
        }
        for training in trainings
    ]


def training_summary(trainings: Sequence[Training]) -> list[str]:
    """How the trainings of a job ended, and what was saved by stopping some: a line, or none."""
    if not trainings:
        return []
    counts = {status: sum(training.status is status for training in trainings) for status in TrainingStatus}
    told = ", ".join(f"{count} {status.lower()}" for status, count in counts.items() if count)
    spent, saved = sum(t.seconds for t in trainings), sum(t.saved_seconds for t in trainings)
    line = f"{len(trainings)} trainings: {told}; {spent:.1f} s"
    if saved:
        line += f", and about {saved:.1f} s ({saved / (spent + saved):.0%}) saved by stopping early"
    return [line]
