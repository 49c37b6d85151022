"""`nas`: search, look, choose, export."""

import sys
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from nas.cli.failure import stop
from storage.errors import StoreFailed

MODULES = {
    "run": ("run", "resume", "train"),
    "show": ("jobs", "show", "pareto"),
    "report": ("report",),
    "export": ("export",),
    "profile": ("profile",),
    "predictor": ("predictor",),
    "devices": ("devices",),
    "agent": ("agent",),
    "browser_agent": ("browser-agent",),
    "inspect": ("inspect",),
    "query": ("query",),
    "store": ("store",),
    "describe": ("schema", "strategies", "spaces"),
    "serve": ("serve", "token"),
    "submit": ("submit", "cancel", "pause"),
}
"""The commands of each module of `nas.cli`, which its `register` adds; in the order of the help."""


class Commands(TyperGroup):
    """Commands whose modules are imported when they are asked for: most need a part of the libraries only.

    Contexts and commands are click's, of which some versions of typer carry their own.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands."""
        return [name for names in MODULES.values() for name in names]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name, None where there is none."""
        for module, names in MODULES.items():
            if cmd_name in names:
                return registered(module).get_command(ctx, cmd_name)
        return None


def registered(module: str) -> TyperGroup:
    """The commands that a module of `nas.cli` adds."""
    commands = typer.Typer(rich_markup_mode=None, callback=_together)
    import_module(f"nas.cli.{module}").register(commands)
    return get_group(commands)


def _together() -> None:
    """Commands of one module stay a group, if there is one alone."""


def _version(asked: bool) -> None:
    if asked:
        print(f"nas {version('nas-service')}")
        raise typer.Exit


def _options(
    asked: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """What stands before all commands."""


app = typer.Typer(
    name="nas",
    cls=Commands,
    help="Hardware-aware neural architecture search: from a job file to a checked ONNX model.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    callback=_options,
)


def main() -> None:
    """The command `nas`. A store that fails on the way, because its disk is full, say, is told in one line."""
    try:
        app()
    except StoreFailed as error:
        sys.exit(stop(str(error), 1).exit_code)
