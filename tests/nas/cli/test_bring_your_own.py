"""`nas spaces`, `nas inspect`, and spaces that are code: what is shown, what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper
from typer.testing import CliRunner, Result

from nas.cli.main import app
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.interchange.onnx_file import model_bytes
from search_spaces.registry import SPACES

EXAMPLES = Path(__file__).parents[3] / "examples"


def nas(*arguments: object, **environment: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)


def refused(result: Result, *words: str) -> None:
    """The command ended as bad input does, and its message holds these words."""
    assert result.exit_code == 2, result.output
    message = " ".join(result.stderr.split())
    for word in words:
        assert word in message, message
    assert "Traceback" not in message
    assert not result.stdout


def test_spaces_are_listed() -> None:
    """Every registered space with what it takes; its settings make it."""
    rows = json.loads(nas("spaces", "--json").stdout)
    assert [row["id"] for row in rows] == list(SPACES)
    for row in rows:
        space = SPACES[row["name"]](**row["settings"])
        assert (row["decisions"], row["size"]) == (len(space.decisions), space.size())
        assert row["summary"].endswith(".")
    table = nas("spaces")
    assert table.exit_code == 0
    assert all(name in table.stdout for name in SPACES)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small network of the service as a file."""
    graph = MobileNetV3(classes=4, resolutions=(32,)).graph(np.zeros(46, np.int16))
    path = tmp_path / "model.onnx"
    weights = {name: np.ones(value.shape, np.float32) for name, value in graph.parameters.items()}
    path.write_bytes(model_bytes(graph, weights))
    return path


def test_inspect(model: Path) -> None:
    """Costs as a table and as JSON, nodes when they are asked for."""
    found = json.loads(nas("inspect", model, "--json").stdout)
    assert (found["id"], found["bytes"]) == (str(model), model.stat().st_size)
    assert found["outputs"] == [{"name": "logits", "shape": [1, 4], "dtype": "float32"}]
    result = nas("inspect", model)
    assert f"{found['costs']['macs']:,}" in result.stdout
    assert "N x 3 x 32 x 32" in result.stdout
    assert not result.stderr
    assert found["nodes"][0]["name"] in nas("inspect", model, "--nodes").stdout


def the_model(*nodes: onnx.NodeProto, output: tuple[int | str, ...] = (1, 4)) -> bytes:
    """A model from x (1, 4) to y."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(output))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def test_unknown_operators_are_named_and_the_rest_works(tmp_path: Path) -> None:
    """Costs and profiling of a file whose operators the vocabulary lacks, as far as shapes are known."""
    path = tmp_path / "odd.onnx"
    path.write_bytes(
        the_model(
            helper.make_node("Softplus", ["x"], ["a"], "soft"),
            helper.make_node("Mish", ["a"], ["b"], "mish"),
            helper.make_node("Relu", ["b"], ["y"], "last"),
        )
    )
    result = nas("inspect", path)
    assert result.exit_code == 0
    said = " ".join(result.stderr.split())
    assert "operator Softplus is not in the vocabulary" in said
    assert "used by soft" in said
    assert "used by mish" in said
    assert json.loads(nas("inspect", path, "--json").stdout)["unknown"] == {"Softplus": ["soft"], "Mish": ["mish"]}
    profiled = nas("profile", path, "--json")
    assert profiled.exit_code == 0, profiled.stderr
    path.write_bytes(
        the_model(
            helper.make_node("NonZero", ["x"], ["i"], "where"),
            helper.make_node("Cast", ["i"], ["y"], to=1),
            output=(2, "n"),
        )
    )
    refused(nas("inspect", path), "odd.onnx", "node 'where'", "'NonZero'", "not known")


def test_files_that_are_no_models(tmp_path: Path, model: Path) -> None:
    """Nothing there, a folder, text, half a file."""
    refused(nas("inspect", tmp_path / "none.onnx"), "none.onnx")
    refused(nas("inspect", tmp_path), str(tmp_path))
    (tmp_path / "text.onnx").write_text("hello")
    refused(nas("inspect", tmp_path / "text.onnx"), "text.onnx", "not an ONNX model")
    model.write_bytes(model.read_bytes()[:-100])
    refused(nas("inspect", model), "model.onnx", "not an ONNX model")


def job_of(folder: Path, **space: Any) -> Path:
    """The example of an own space in a folder, with other values in its section."""
    shutil.copy(EXAMPLES / "my_space.py", folder)
    job = yaml.safe_load((EXAMPLES / "my_space.yaml").read_text())
    job["space"].update(space)
    (folder / "job.yaml").write_text(yaml.safe_dump(job))
    return folder / "job.yaml"


def test_code_needs_permission(tmp_path: Path) -> None:
    """Without permission the file is not run, and nothing is made."""
    path, store = job_of(tmp_path), f"sqlite:///{tmp_path}/nas.db"
    (tmp_path / "my_space.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")
    refused(nas("run", path, "--store", store), "space.path", "my_space.py", "--allow-code", "NAS_ALLOW_CODE=1")
    refused(nas("run", path, "--store", store, NAS_ALLOW_CODE="0"), "--allow-code")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["job.yaml", "my_space.py"]
    refused(nas("run", path, "--store", store, NAS_ALLOW_CODE="1"), "my_space.py: defines no search space")
    assert (tmp_path / "ran").exists()
    assert not (tmp_path / "nas.db").exists()


@pytest.mark.parametrize(
    "space, words",
    [
        ({"name": "mine"}, ("'mine' is not a search space of", "known: my_space")),
        ({"path": "none.py"}, ("space.path", "none.py", "No such file")),
        ({"block": 2}, ("space.block", "unknown key", "did you mean 'blocks'?")),
        ({"blocks": 0}, ("space", "has no options")),
        ({"size": "8"}, ("my_space.py",)),
        ({"classes": 7}, ("space.classes is 7", "digits has 10")),
        ({"channels": 3}, ("space.channels is 3", "digits has 1")),
        ({"sha256": "0" * 64}, ("no longer the file that the job was made with", "0" * 64)),
        ({"sha256": "abc"}, ("space.sha256",)),
    ],
)
def test_own_spaces_that_cannot_be_used(tmp_path: Path, space: dict[str, Any], words: tuple[str, ...]) -> None:
    """Every mistake in the section or the file is told before anything is made."""
    refused(nas("run", job_of(tmp_path, **space), "--allow-code", "--store", f"sqlite:///{tmp_path}/nas.db"), *words)
    assert not (tmp_path / "nas.db").exists()


def test_a_stored_job_asks_again_and_keeps_its_code(tmp_path: Path) -> None:
    """Resuming and exporting need permission as running does, and the file must be the one that the job began with."""
    from nas.jobspec.load import load_job
    from storage.store import ResultStore

    path, store = job_of(tmp_path), f"sqlite:///{tmp_path}/nas.db"
    spec = load_job(path, allow_code=True)
    with ResultStore(store) as opened:
        opened.create_job(spec.name, spec.model_dump(mode="json"))
    refused(nas("resume", "latest", "--store", store), "--allow-code")
    with (tmp_path / "my_space.py").open("a") as file:
        file.write("# changed\n")
    refused(nas("resume", "latest", "--store", store, "--allow-code"), "no longer the file", "SHA-256")
    refused(
        nas("export", "latest", "--store", store, "--allow-code", "--output", tmp_path / "m.onnx"), "no longer the file"
    )


def test_weights_that_come_with_a_space_are_not_trained(tmp_path: Path) -> None:
    """A recipe for the training of an existing supernet is refused, what recalibration needs is not."""
    shutil.copy(EXAMPLES / "my_supernet.py", tmp_path)
    job = yaml.safe_load((EXAMPLES / "my_supernet.yaml").read_text())
    job["space"].pop("weights")
    job["supernet"] = {"epochs": 3, "recalibration_samples": 64}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    store = f"sqlite:///{tmp_path}/nas.db"
    refused(
        nas("run", tmp_path / "job.yaml", "--allow-code", "--store", store),
        "supernet.epochs is 3",
        "'my_supernet' come with it",
        "recalibration_samples",
    )
