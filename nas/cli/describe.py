"""`nas schema`, `nas strategies`, `nas spaces`: what a job file may say."""

import typer

from nas.cli.options import AsJson
from nas.cli.output import print_json, print_table


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
        print_table([{"name": r["name"], "summary": r["summary"], "options": ", ".join(r["options"])} for r in rows])


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
