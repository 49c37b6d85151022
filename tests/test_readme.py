"""What the README says is true: its commands run, its job files are sound, its results hold."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml

from nas.jobspec.load import parse_job

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_commands_run_and_results_hold(tmp_path: Path) -> None:
    """The digits job from the first command to the exported model, as a newcomer types it."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("NAS_STORE", None)
    script = "set -euo pipefail\n" + "\n".join(blocks("bash"))
    subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, check=True)
    job = json.loads((tmp_path / "job.json").read_text())
    assert job["status"] == "SUCCEEDED"
    assert len(job["evaluations"]) == 150
    assert len({row["key"] for row in job["evaluations"]}) == 150
    assert job["front"] >= 5
    assert max(row["accuracy"] for row in job["evaluations"]) >= 0.97
    assert len((tmp_path / "front.csv").read_text().splitlines()) == job["front"] + 1
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")
    for name in ("model.onnx", "mine.onnx"):
        onnx.checker.check_model(str(tmp_path / name), full_check=True)
    said = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        ).stdout
        for code in blocks("python")
    ]
    assert said[0].startswith(job["id"])
    assert said[1].startswith("4 networks;")


def test_job_files_in_the_text_are_sound() -> None:
    """The job is accepted as it stands, the sections of the other blocks fit into it, and devices can be asked for."""
    job, *others = (yaml.safe_load(block) for block in blocks("yaml"))
    parse_job(job)
    for sections in others:
        parse_job({**job, **sections, "devices": {**job["devices"], **_devices(sections)}})
    devices = next(_devices(sections) for sections in others if "devices" in sections)
    parse_job({**job, "devices": devices, "objectives": ["accuracy", *(f"latency_ms@{name}" for name in devices)]})


def _devices(sections: dict[str, Any]) -> dict[str, Any]:
    """The devices of a block, with no more threads than there are here."""
    return {
        name: {**section, "threads": min(section["threads"], os.cpu_count() or 1)} if "threads" in section else section
        for name, section in sections.get("devices", {}).items()
    }


def test_links_and_make_targets_exist() -> None:
    """Every file that the text points to is there, and so is every make target."""
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
