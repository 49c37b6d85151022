"""Commands and the modules that they come from."""

import json
import re
import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from nas.cli.main import MODULES, Commands, app, registered


@pytest.mark.parametrize("module", MODULES)
def test_modules_add_the_commands_that_are_listed_for_them(module: str) -> None:
    """So that each is found by its name without importing the others."""
    commands = registered(module)
    assert list(commands.commands) == list(MODULES[module])


def test_names_are_given_once() -> None:
    """A second module of the same name would never be found."""
    names = Commands(name="nas").list_commands(None)
    assert len(set(names)) == len(names) == sum(map(len, MODULES.values()))


def test_version_is_that_of_the_package() -> None:
    """`nas --version` says what is installed, as pip does, and loads no command for it."""
    said = CliRunner().invoke(app, ["--version"])
    assert (said.exit_code, said.stdout) == (0, f"nas {version('nas-service')}\n")
    assert re.fullmatch(r"nas \d+\.\d+\.\d+\S*\n", said.stdout)


def test_a_listing_waits_for_no_library_that_it_does_not_need() -> None:
    """Looking at a store imports neither torch nor Ray nor xgboost."""
    code = (
        "import json, sys\n"
        "from nas.cli.main import registered\n"
        "registered('show')\n"
        "print(json.dumps(sorted({'torch', 'ray', 'xgboost', 'sklearn', 'onnxruntime'} & set(sys.modules))))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == []
