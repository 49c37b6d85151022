"""What the commands print: data on stdout as a table, JSON or CSV; messages on stderr."""

import csv
import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

messages = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on stdout; NaN and infinities, which JSON does not have, become null."""
    print(json.dumps(_finite(value), indent=2, default=str))


def print_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows as CSV on stdout, with the first row's keys as header."""
    if rows:
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def print_table(rows: Sequence[Mapping[str, Any]], *, title: str | None = None, empty: str = "nothing") -> None:
    """Rows as a table on stdout, numbers short enough to read; `empty` on stderr when there are none."""
    if not rows:
        messages.print(empty)
        return
    table = Table(title=title, title_justify="left")
    for column, value in rows[0].items():
        table.add_column(column, justify="right" if isinstance(value, int | float) else "left", no_wrap=True)
    for row in rows:
        table.add_row(*[_short(value) for value in row.values()])
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=max(200, console.measure(table).maximum))
    console.print(table)


def _short(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        if math.isfinite(value) and 1000 <= abs(value) < 1e15 and value == int(value):
            return f"{int(value):,}"
        return f"{value:.4g}"
    return f"{value:,}" if type(value) is int else str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
