"""Rows of the tables that several commands print."""

from typing import Any

from nas.results import Results


def front_rows(results: Results) -> list[dict[str, Any]]:
    """The front with short keys and the objectives first; the knee and what did not replicate are marked."""
    names = [objective.metric for objective in results.objectives]
    rows = []
    for index, row in zip(results.front, results.rows(results.front), strict=True):
        shown = {"key": row["key"][:12], **{name: row[name] for name in names}}
        marks = {"knee": index == results.knee, "unstable": row["stable"] is False}
        rows.append({**shown, "": ", ".join(mark for mark, holds in marks.items() if holds)})
    return rows
