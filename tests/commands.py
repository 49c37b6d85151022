"""The command line as a user starts it, in a process that tests may kill."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


def nas(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the command with a store in the folder."""
    return subprocess.Popen(
        [sys.executable, "-c", "from nas.cli.main import main; main()", *arguments],
        cwd=folder,
        env={**os.environ, "NAS_STORE": f"sqlite:///{folder}/nas.db"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(folder: Path, *arguments: str) -> str:
    """What the command printed; it has to succeed."""
    process = nas(folder, *arguments)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


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
