"""`nas`: search, look, choose, export."""

import typer

from nas.cli import (
    agent,
    browser_agent,
    describe,
    devices,
    export,
    inspect,
    predictor,
    profile,
    query,
    report,
    run,
    serve,
    show,
    store,
    submit,
)

app = typer.Typer(
    name="nas",
    help="Hardware-aware neural architecture search: from a job file to a checked ONNX model.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

for commands in (
    run,
    show,
    report,
    export,
    profile,
    predictor,
    devices,
    agent,
    browser_agent,
    inspect,
    query,
    store,
    describe,
    serve,
    submit,
):
    commands.register(app)


def main() -> None:
    """The command `nas`."""
    app()
