"""The command line: in processes that tests may kill, and in this one, which takes a tenth of the time of a new one."""

import os
import signal
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nas.cli.main import app


def nas(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the command as a user does, with a store in the folder."""
    return subprocess.Popen(
        [sys.executable, "-c", "from nas.cli.main import main; main()", *arguments],
        cwd=folder,
        env={**os.environ, "NAS_STORE": f"sqlite:///{folder}/nas.db"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def invoked(folder: Path, *arguments: str) -> Result:
    """The command in this process, with the same store."""
    with chdir(folder):
        return CliRunner().invoke(app, arguments, env={"NAS_STORE": f"sqlite:///{folder}/nas.db"})


def finished(folder: Path, *arguments: str) -> str:
    """What the command printed in this process; it has to succeed."""
    result = invoked(folder, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def stopped_at(process: subprocess.Popen[str], line: str, number: signal.Signals) -> str:
    """Send a signal as soon as the process prints a line that begins so, which has to come; what it said then."""
    assert process.stderr is not None
    for printed in process.stderr:
        if printed.startswith(line):
            process.send_signal(number)
            break
    else:
        pytest.fail(f"the process ended without printing {line!r}")
    said = process.communicate()[1]
    assert process.returncode == (-9 if number is signal.SIGKILL else 1), said
    return said
