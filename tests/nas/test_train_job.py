"""A job whose finalists are trained alone by Ray Tune: killed in the middle, resumed, extended, exported."""

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import yaml
from commands import finished, invoked, nas, stopped_at

from nas.datasets.load import load_dataset

JOB: dict[str, Any] = {
    "name": "trained",
    "seed": 3,
    "space": {
        "name": "mobilenet_v3", "resolutions": [8], "widths": [8, 16], "strides": [1, 2], "stem_stride": 1,
        "activations": ["relu", "h_swish"], "squeeze_excite": [False, True], "depths": [1, 2], "expansions": [2, 3],
        "stem_width": 8, "final_width": 32, "feature_width": 32,
    },
    "data": {"name": "digits", "limit": 400},
    "supernet": {"epochs": 2, "warmup_epochs": 0, "recalibration_samples": 128},
    "train": {"epochs": 4, "warmup_epochs": 1, "recalibration_samples": 128, "networks": 4, "halving": None},
    "objectives": ["accuracy", "macs"],
    "strategy": "random",
    "budget": {"evaluations": 8},
    "execution": {"workers": 2, "batch": 8},
}  # fmt: skip


def shown(folder: Path) -> dict[str, Any]:
    """The job as `nas show` tells it."""
    found: dict[str, Any] = json.loads(finished(folder, "show", "latest", "--json"))
    return found


def files(job: dict[str, Any]) -> dict[str, str]:
    """Path -> SHA-256 of the weights of trained networks."""
    return {entry["path"]: entry["sha256"] for entry in job["artifacts"] if entry["kind"] == "trained"}


@pytest.mark.slow
def test_finalists_are_trained_whatever_happens(cluster: None, tmp_path: Path) -> None:
    """What was finished before the kill is left alone, the rest goes on, and the export has the trained weights."""
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(JOB))
    stopped_at(nas(tmp_path, "run", "job.yaml"), "trials: 10 of 16", signal.SIGKILL)
    before = shown(tmp_path)
    kept = {entry["key"]: entry for entry in before["trainings"] if entry["status"] == "FINISHED"}
    begun = [entry for entry in before["trainings"] if entry["status"] == "RUNNING" and entry["curve"]]
    assert kept
    assert begun
    finished(tmp_path, "resume", "latest")

    after = shown(tmp_path)
    assert after["status"] == "SUCCEEDED"
    assert [entry["status"] for entry in after["trainings"]] == ["FINISHED"] * 4
    assert files(before).items() <= files(after).items()
    for entry in after["trainings"]:
        assert entry["curve"]["epoch"] == [1, 2, 3, 4]
        assert entry["key"] not in kept or entry == kept[entry["key"]]
    for entry in begun:  # epochs that were told before the kill were not trained again
        (now,) = [each for each in after["trainings"] if each["key"] == entry["key"]]
        assert now["curve"]["seconds"][: len(entry["curve"]["seconds"])] == entry["curve"]["seconds"]
    by_key = {row["key"]: row for row in after["evaluations"]}
    for entry in after["trainings"]:
        row = by_key[entry["key"]]
        assert row["accuracy@supernet"] == row["accuracy"]
        assert row["accuracy@trained"] == entry["curve"]["accuracy"][-1]
    assert sum("accuracy@trained" in row for row in after["evaluations"]) == 4

    front = json.loads(finished(tmp_path, "pareto", "latest", "--json"))
    assert {row["key"] for row in front} <= {entry["key"] for entry in after["trainings"]}
    searched = json.loads(finished(tmp_path, "pareto", "latest", "--searched", "--json"))
    for row in searched:
        better = [each for each in after["evaluations"] if each["accuracy"] > row["accuracy"]]
        assert all(each["macs"] > row["macs"] for each in better)
    exported = json.loads(
        finished(tmp_path, "export", "latest", "--pick", "best:accuracy", "--output", "m.onnx", "--json")
    )
    assert {check["check"] for check in exported["checks"]} >= {"accuracy@trained", "loss@trained"}
    data = load_dataset(**{**JOB["data"], "validation": 0.2})
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"image": data.validation.inputs()})
    right = float(np.mean(logits.argmax(-1) == data.validation.labels))
    assert right == pytest.approx(by_key[exported["architecture_key"]]["accuracy@trained"], abs=0.002)

    # A damaged file is not exported.
    (path,) = [path for path in files(after) if exported["architecture_key"] in path]
    Path(path).write_bytes(Path(path).read_bytes()[:-1])
    refused = invoked(tmp_path, "export", "latest", "--pick", "best:accuracy", "--output", "n.onnx")
    assert "are gone or were changed" in refused.stderr

    # Another recipe trains anew, from the supernet's weights.
    finished(tmp_path, "train", "latest", "networks=knee", "epochs=2", "init=supernet")
    again = shown(tmp_path)
    changed = [entry for entry in again["trainings"] if entry["epochs"] == 2]
    assert len(changed) == 1
    assert changed[0]["curve"]["epoch"] == [1, 2]
    refused = invoked(tmp_path, "train", "latest", "epoch=2")
    assert "train.epoch: unknown key" in refused.stderr
    assert refused.exit_code == 2
    assert shown(tmp_path)["status"] == "SUCCEEDED"


@pytest.mark.slow
def test_a_search_that_trains_goes_on_after_a_kill(cluster: None, tmp_path: Path) -> None:
    """Networks and recipes, each trained once; what is on the front was trained to its end."""
    job = {
        **{name: section for name, section in JOB.items() if name != "supernet"},
        "accuracy": {"from": "train"},
        "train": {"epochs": 3, "warmup_epochs": 1, "recalibration_samples": 128, "shift": 1, "curves": {"after": 4}},
        "recipe": {"learning_rate": [0.1, 0.3], "epochs": [3, 2], "augmentation": [0, 1], "ema": [0, 0.5]},
        "budget": {"evaluations": 10},
        "execution": {"workers": 2, "batch": 5, "in_flight": 1},
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    stopped_at(nas(tmp_path, "run", "job.yaml"), "searching: 3 of 10", signal.SIGKILL)
    before = shown(tmp_path)
    ended = {entry["key"]: entry for entry in before["trainings"] if entry["status"] != "RUNNING"}
    assert len(before["evaluations"]) <= len(ended)
    finished(tmp_path, "resume", "latest")
    after = shown(tmp_path)
    assert len(after["evaluations"]) == len(after["trainings"]) == 10
    assert {entry["key"]: entry for entry in after["trainings"] if entry["key"] in ended} == ended
    statuses = {entry["key"]: entry["status"] for entry in after["trainings"]}
    assert set(statuses.values()) <= {"FINISHED", "STOPPED"}
    for row in after["evaluations"]:
        assert ("accuracy@trained" in row) == (statuses[row["key"]] == "FINISHED")
        assert row["genotype"]["recipe.epochs"] in (2, 3)
    front = json.loads(finished(tmp_path, "pareto", "latest", "--json"))
    assert front
    assert {statuses[row["key"]] for row in front} == {"FINISHED"}
    assert finished(tmp_path, "export", "latest", "--output", "m.onnx")
