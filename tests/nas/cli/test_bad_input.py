"""Bad input: exit code 2, one clear message, no traceback, nothing half written."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper
from typer.testing import CliRunner, Result

from nas.cli.main import app

JOB: dict[str, Any] = {
    "name": "bad",
    "space": {
        "name": "mobilenet_v3",
        "resolutions": [8],
        "widths": [8],
        "strides": [1],
        "activations": ["relu"],
        "squeeze_excite": [False],
        "depths": [1, 2],
        "expansions": [2],
        "kernels": [3, 5],
        "stem_width": 8,
        "final_width": 8,
        "feature_width": 8,
    },
    "data": {"name": "digits"},
    "objectives": ["accuracy", {"metric": "macs", "bound": 1e6}],
    "strategy": {"name": "nsga2"},
    "budget": {"evaluations": 4},
}


def nas(*arguments: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(result: Result, *words: str) -> None:
    """The command ended as bad input does, and its message holds these words."""
    assert result.exit_code == 2, result.output
    message = " ".join(result.stderr.split())
    for word in words:
        assert word in message, message
    assert "Traceback" not in message
    assert not result.stdout


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The job with one thing changed."""
    job = copy.deepcopy(JOB)
    change(job)
    return job


JOBS: dict[str, tuple[Callable[[dict[str, Any]], Any], tuple[str, ...]]] = {
    "unknown key": (lambda job: job.update(epoch=3), ("epoch", "known")),
    "unknown metric": (
        lambda job: job.update(objectives=["accuracy", "latencyms"]),
        ("latencyms", "is not a metric of this job", "accuracy", "latency_ms@cpu", "macs", "params"),
    ),
    "unknown strategy": (lambda job: job.update(strategy={"name": "nsga3"}), ("nsga3", "nsga2", "random")),
    "unknown space": (lambda job: job.update(space={"name": "resnet"}), ("resnet", "mobilenet_v3")),
    "unknown device": (
        lambda job: job.update(objectives=["accuracy", "latency_ms@pi5"]),
        ("latency_ms@pi5", "latency_ms@cpu"),
    ),
    "unknown device kind": (lambda job: job.update(devices={"pi": {"kind": "toaster"}}), ("toaster", "host")),
    "bound nobody meets": (
        lambda job: job.update(objectives=["accuracy", {"metric": "macs", "bound": 10.0}]),
        ("no architecture", "macs <= 10", "nearest"),
    ),
    "too many threads": (lambda job: job.update(devices={"cpu": {"threads": 5000}}), ("threads", "5000")),
    "missing data": (lambda job: job.update(data={"path": "nowhere.npz"}), ("nowhere.npz",)),
    "wrong classes": (lambda job: job["space"].update(classes=7), ("space.classes is 7", "10")),
    "empty stage": (lambda job: job["space"].update(depths=[]), ("depths",)),
}


@pytest.mark.parametrize("case", JOBS)
def test_job_files(tmp_path: Path, case: str) -> None:
    """A wrong job file leaves neither a store nor artifacts."""
    change, words = JOBS[case]
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(changed(change)))
    refused(nas("run", path, "--store", f"sqlite:///{tmp_path}/nas.db"), *words)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["job.yaml"]


def test_every_problem_at_once(tmp_path: Path) -> None:
    """All problems of a job file are told in one go, each with its place."""
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump({**JOB, "budget": {"evaluations": 0}, "seed": -1, "strategy": {"name": "x"}}))
    refused(nas("run", path), "budget.evaluations", "seed", "strategy")


DATA: dict[str, tuple[Callable[[], dict[str, Any]], tuple[str, ...]]] = {
    "empty": (lambda: {"images": np.zeros((0, 8, 8, 1), np.uint8), "labels": np.zeros(0, np.int64)}, ("images",)),
    "labels outside": (
        lambda: {
            "images": np.zeros((40, 8, 8, 1), np.uint8),
            "labels": np.arange(40) % 4,
            "classes": np.array(["a", "b"]),
        },
        ("labels", "classes"),
    ),
    "wrong rank": (lambda: {"images": np.zeros((40, 8), np.uint8), "labels": np.arange(40) % 4}, ("images",)),
}


@pytest.mark.parametrize("case", DATA)
def test_data_sets(tmp_path: Path, case: str) -> None:
    """Wrong data are told before anything is made."""
    make, words = DATA[case]
    np.savez(tmp_path / "data.npz", **make())
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(changed(lambda job: job.update(data={"path": "data.npz"}))))
    refused(nas("run", path, "--store", f"sqlite:///{tmp_path}/nas.db"), "data.npz", *words)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["data.npz", "job.yaml"]


def test_corrupt_data_set(tmp_path: Path) -> None:
    """A truncated archive is told as such."""
    np.savez(tmp_path / "data.npz", images=np.zeros((40, 8, 8, 1), np.uint8), labels=np.arange(40) % 4)
    whole = (tmp_path / "data.npz").read_bytes()
    (tmp_path / "data.npz").write_bytes(whole[: len(whole) // 2])
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(changed(lambda job: job.update(data={"path": "data.npz"}))))
    refused(nas("run", path, "--store", f"sqlite:///{tmp_path}/nas.db"), "data.npz")


@pytest.mark.parametrize("command", ["resume", "show", "pareto"])
def test_unknown_job(tmp_path: Path, command: str) -> None:
    """A job id that does not exist, in a store that does."""
    store = f"sqlite:///{tmp_path}/nas.db"
    from storage.store import ResultStore

    with ResultStore(store) as opened:
        known = opened.create_job("known", {}).id
    refused(nas(command, "nobody-000000", "--store", store), "nobody-000000", known)


@pytest.mark.parametrize("command", ["resume", "show", "pareto"])
def test_no_store(tmp_path: Path, command: str) -> None:
    """A store that is not there is not made by looking."""
    refused(nas(command, "nobody-000000", "--store", f"sqlite:///{tmp_path}/nas.db"), "nas.db")
    assert not list(tmp_path.iterdir())


def test_export_before_anything_is_touched(tmp_path: Path) -> None:
    """An unknown job, and a file that would be overwritten."""
    store = f"sqlite:///{tmp_path}/nas.db"
    from storage.store import ResultStore

    ResultStore(store).close()
    target = tmp_path / "model.onnx"
    refused(nas("export", "nobody-000000", "--output", target, "--store", store), "nobody-000000")
    assert not target.exists()
    target.write_text("mine")
    refused(nas("export", "nobody-000000", "--output", target, "--store", store), "exists", "--force")
    assert target.read_text() == "mine"


def the_model(nodes: list[onnx.NodeProto], initialisers: list[TensorProto], output: tuple[int, ...] = (1, 4)) -> bytes:
    """A model of one input x (1, 4) and one output y of the given shape."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(output))],
        initialisers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def asks_for_memory() -> bytes:
    """A few bytes that make 16 GB when they run."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [4, 1024**3])
    expand = helper.make_node("Expand", ["one", "shape"], ["big"])
    total = helper.make_node("ReduceSum", ["big"], ["y"], keepdims=0)
    return the_model([expand, total], [shape, helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])], ())


def never_ends() -> bytes:
    """A loop whose condition stays true."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["c"], ["c_out"]),
            helper.make_node("Add", ["v", "v"], ["v_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [1, 4]),
        ],
        [
            helper.make_tensor_value_info("c_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v_out", TensorProto.FLOAT, [1, 4]),
        ],
    )
    loop = helper.make_node("Loop", ["trips", "go", "x"], ["y"], body=body)
    trips = helper.make_tensor("trips", TensorProto.INT64, [], [2**62])
    return the_model([loop], [trips, helper.make_tensor("go", TensorProto.BOOL, [], [True])])


def external_data() -> bytes:
    """A weight that lies in another file."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4], [0.0] * 4)
    weight.ClearField("float_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return the_model([helper.make_node("Add", ["x", "w"], ["y"])], [weight])


MODELS: dict[str, tuple[Callable[[], bytes], tuple[str, ...]]] = {
    "truncated": (lambda: never_ends()[:-40], ("model.onnx",)),
    "not a model": (lambda: b"hello", ("model.onnx",)),
    "asks for 16 GB": (asks_for_memory, ("model.onnx", "asks for 17,179,869,184 bytes")),
    "never ends": (never_ends, ("model.onnx", "did not end within 3 s")),
    "external data": (external_data, ("model.onnx", "keeps its data in", "allowed")),
}


@pytest.mark.parametrize("case", MODELS)
def test_hostile_models(tmp_path: Path, case: str) -> None:
    """A model that must not be run, or that must be stopped."""
    make, words = MODELS[case]
    path = tmp_path / "model.onnx"
    path.write_bytes(make())
    refused(nas("profile", path, "--timeout", 3), *words)


def test_profile_of_nothing(tmp_path: Path) -> None:
    """A file that is not there, and a folder."""
    refused(nas("profile", tmp_path / "no.onnx"), "no.onnx")
    refused(nas("profile", tmp_path), str(tmp_path))
