"""`nas schema`, `nas strategies`, `nas spaces`: what a job file may say."""

from collections.abc import Collection

import typer

from nas.cli.options import AsJson
from nas.cli.output import print_json, print_table

SHOWN_OPTIONS = 4


def schema() -> None:
    """Print the JSON Schema of the job file."""
    from nas.jobspec.schema import json_schema

    print_json(json_schema())


def strategies(as_json: AsJson = False) -> None:
    """List the search strategies and their options."""
    from nas.strategies.registry import describe

    rows = [{"id": entry["name"], **entry} for entry in describe()]
    if as_json:
        print_json(rows)
    else:
        print_table([{"name": r["name"], "summary": r["summary"], "options": _some(r["options"])} for r in rows])


def _some(options: Collection[str]) -> str:
    """The first options by name, and how many more there are."""
    shown = list(options)[:SHOWN_OPTIONS]
    more = len(options) - len(shown)
    return ", ".join([*shown, f"{more} more with --json"] if more else shown)


def spaces(as_json: AsJson = False) -> None:
    """List the search spaces that a job can name; --json has their settings with defaults."""
    from search_spaces.registry import describe

    rows = [{"id": entry["name"], **entry} for entry in describe()]
    if as_json:
        print_json(rows)
        return
    print_table(
        [
            {
                "name": row["name"],
                "decisions": row["decisions"],
                "networks": f"{row['size']:.3g}",
                "summary": row["summary"],
            }
            for row in rows
        ]
    )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(schema)
    app.command()(strategies)
    app.command()(spaces)
