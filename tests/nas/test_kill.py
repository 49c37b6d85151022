"""`kill -9` of a running `nas run`, or a signal, then `nas resume`: the same end, and nothing evaluated twice."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import finished, invoked, nas, stopped_at
from gradient_jobs import job as gradient_job

JOB: dict[str, Any] = {
    "name": "killed",
    "seed": 5,
    "space": {
        "name": "mobilenet_v3",
        "resolutions": [8],
        "widths": [8, 16],
        "strides": [1, 2],
        "activations": ["relu", "h_swish"],
        "squeeze_excite": [False, True],
        "depths": [1, 2],
        "expansions": [2, 3],
        "kernels": [3, 5],
        "stem_width": 8,
        "stem_stride": 1,
        "final_width": 32,
        "feature_width": 32,
    },
    "data": {"name": "digits", "limit": 600},
    "supernet": {"epochs": 4, "batch_size": 64, "recalibration_samples": 128},
    "objectives": ["accuracy", "macs"],
    "strategy": {"name": "nsga2", "population": 8},
    "budget": {"evaluations": 30},
    "execution": {"workers": 1, "batch": 5, "in_flight": 2},
}
BUDGET = 30


def evaluations(folder: Path) -> dict[str, dict[str, float]]:
    """Key -> accuracy and MACs of every stored evaluation; a key that comes twice is an error."""
    rows = json.loads(finished(folder, "show", "latest", "--json"))["evaluations"]
    assert all(row["error"] is None for row in rows)
    found = {row["key"]: {name: row[name] for name in ("accuracy", "macs")} for row in rows}
    assert len(found) == len(rows)
    return found


def front(folder: Path) -> list[str]:
    """The keys on the front."""
    return [row["key"] for row in json.loads(finished(folder, "pareto", "latest", "--json"))]


@pytest.mark.slow
def test_stopped_in_training_and_twice_in_the_search(cluster: None, tmp_path: Path) -> None:
    """A job that is killed twice and interrupted once ends as the undisturbed one."""
    folders = [tmp_path / "whole", tmp_path / "killed"]
    for folder in folders:
        folder.mkdir()
        (folder / "job.yaml").write_text(yaml.safe_dump(JOB))
    finished(folders[0], "run", "job.yaml")

    stopped_at(nas(folders[1], "run", "job.yaml"), "training: 2 of 4", signal.SIGKILL)
    stopped_at(nas(folders[1], "resume", "latest"), "searching: ", signal.SIGKILL)
    before = evaluations(folders[1])
    assert 0 < len(before) < BUDGET
    said = stopped_at(nas(folders[1], "resume", "latest"), "searching: 18", signal.SIGTERM)
    assert "interrupted; go on with `nas resume" in said
    assert before.items() <= evaluations(folders[1]).items()
    finished(folders[1], "resume", "latest")

    whole, killed = (evaluations(folder) for folder in folders)
    assert len(killed) == BUDGET
    assert killed == whole
    assert front(folders[1]) == front(folders[0])
    assert "already succeeded" in invoked(folders[1], "resume", "latest").stderr


@pytest.mark.slow
def test_a_differentiable_search_killed_in_its_rounds_and_in_an_evaluation(cluster: None, tmp_path: Path) -> None:
    """Rounds and results are those of the undisturbed job, with the multiplier of its budget."""
    plain = gradient_job("gdas", cost={"metric": "macs", "target": 60_000.0})
    folders = [tmp_path / "whole", tmp_path / "killed"]
    for folder in folders:
        folder.mkdir()
        (folder / "job.yaml").write_text(yaml.safe_dump(plain))
    finished(folders[0], "run", "job.yaml")
    stopped_at(nas(folders[1], "run", "job.yaml"), "rounds: 1 of 4", signal.SIGKILL)
    stopped_at(nas(folders[1], "resume", "latest"), "searching: 2", signal.SIGKILL)
    finished(folders[1], "resume", "latest")
    whole, killed = (json.loads(finished(folder, "show", "latest", "--json"))["rounds"] for folder in folders)
    assert [{**row, "seconds": 0} for row in killed] == [{**row, "seconds": 0} for row in whole]
    assert [row["round"] for row in whole] == [1, 2, 3, 4]
    assert all("cost_multiplier" in row for row in whole)
    assert evaluations(folders[1]) == evaluations(folders[0])
