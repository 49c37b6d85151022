"""The examples of bringing one's own are short and do what they say; `tests/test_readme.py` runs the graph space."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nas.jobspec.load import load_job

EXAMPLES = Path(__file__).parents[1] / "examples"
LONGEST = 40


def shell(folder: Path, *commands: str) -> str:
    """What the last of some commands prints; all must succeed."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("NAS_STORE", None)
    said = ""
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        said = done.stdout
    return said


def test_examples_are_short() -> None:
    """Nothing that a user has to write is longer than a page."""
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) <= LONGEST, path


def test_integers_beside_floats() -> None:
    """The job for 8-bit integers, which takes too long here, is one, and asks for both formats of everything."""
    job = load_job(EXAMPLES / "int8.yaml")
    assert {objective.metric for objective in job.objectives} == {
        "accuracy", "accuracy@int8", "latency_ms@cpu", "latency_ms@cpu8"}  # fmt: skip
    assert [section.get("precision", "fp32") for section in job.devices.values()] == ["fp32", "int8"]


@pytest.mark.slow
def test_an_existing_supernet_and_its_file(tmp_path: Path) -> None:
    """Modules with weights of their own are searched and exported; the file is read back and measured."""
    shell(
        tmp_path,
        f"python {EXAMPLES}/my_supernet_training.py",
        f"nas run {EXAMPLES}/my_supernet.yaml --allow-code",
        "nas export latest --allow-code --pick best:accuracy --output model.onnx",
    )
    rows = json.loads(shell(tmp_path, "nas show latest --json"))["evaluations"]
    assert len(rows) == 8
    best = max(row["accuracy"] for row in rows)
    assert best > 0.9
    said = shell(tmp_path, f"python {EXAMPLES}/read_onnx.py model.onnx")
    equally_good = [row for row in rows if row["accuracy"] == best]
    assert any(f"{row['macs']:,.0f} macs" in said for row in equally_good)
    assert "ms on this CPU" in said
