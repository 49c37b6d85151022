"""How commands end: exit code 2 for bad input, 1 for work that failed, each with one message on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.markup import escape

from nas.cli.output import messages


def stop(message: str, code: int) -> typer.Exit:
    """Print a message and make the exception that ends the command."""
    messages.print(f"[red]error:[/red] {escape(message)}")
    return typer.Exit(code)


@contextmanager
def bad_input() -> Iterator[None]:
    """What is wrong inside is the user's input: one message, exit code 2, no traceback."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise stop(str(error), 2) from error
