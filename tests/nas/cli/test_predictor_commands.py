"""`nas predictor`: a device is measured, and other networks are predicted."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nas.cli.main import app
from nas.prediction.predictor_store import PredictorStore
from predictors.counts import Counts
from predictors.errors import PredictorError, PredictorFileError
from predictors.feature_set import FeatureSet, Group
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.interchange.onnx_file import model_bytes

JOB = """\
name: small
space: {name: mobilenet_v3, resolutions: [32], stem_stride: 1}
objectives: [latency_ms@npu, macs]
devices:
  npu: {kind: roofline, peak_macs_per_s: 1.024e+11, bandwidth_gb_s: 3.2}
strategy: random
budget: {evaluations: 2}
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a store in an empty folder, with a job file beside it."""
    monkeypatch.delenv("NAS_ARTIFACTS", raising=False)
    (tmp_path / "job.yaml").write_text(JOB)
    return f"sqlite:///{tmp_path / 'nas.db'}"


def nas(*arguments: str) -> tuple[int, str, str]:
    """Run a command; returns the exit code, stdout and stderr."""
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_fit_list_show_predict(store: str, tmp_path: Path) -> None:
    """From nothing to the prediction of a file, whose true figure the device can tell, and back to the first space."""
    job, picture = tmp_path / "job.yaml", tmp_path / "calibration.png"
    code, out, _ = nas(
        *("predictor", "fit", "--space", str(job), "--device", f"{job}:npu", "--samples", "12", "--tests", "8"),
        *("--plot", str(picture), "--store", store, "--json"),
    )
    assert code == 0
    told = json.loads(out)
    assert told["metric"] == "latency_ms"
    assert [row["spearman"] > 0.9 for row in told["scores"]] == [True] * 3
    assert picture.read_bytes().startswith(b"\x89PNG")

    code, out, _ = nas("predictor", "list", "--store", store, "--json")
    assert code == 0
    assert [(row["device"], row["for"], row["samples"]) for row in json.loads(out)] == [
        ("npu", "graph", 20),
        ("npu", "mobilenet_v3", 12),
    ]
    code, out, _ = nas("predictor", "show", "npu", "--space", "mobilenet_v3", "--store", store, "--json")
    assert code == 0
    shown = json.loads(out)
    assert (shown["samples"], len(shown["training_sha256"]), shown["predictor"]) == (12, 64, "auto")
    assert shown["tested_spearman"] > 0.9

    model = tmp_path / "model.onnx"
    model.write_bytes(small_network())
    code, out, _ = nas("profile", str(model), "--device", f"{job}:npu", "--json")
    assert code == 0
    measured = json.loads(out)["median_ms"]
    code, out, _ = nas("predictor", "predict", str(model), "--device", "npu", "--store", store, "--json")
    assert code == 0
    guess = json.loads(out)
    assert 0 <= guess["low"] <= guess["predicted"] <= guess["high"]
    assert guess["predicted"] == pytest.approx(measured, rel=0.25)


def test_layers_that_were_profiled_are_looked_up(store: str, tmp_path: Path) -> None:
    """What `nas profile` kept of layers predicts any file by their sum; without them there is no such predictor."""
    model = tmp_path / "model.onnx"
    model.write_bytes(small_network())
    code, _, told = nas("predictor", "predict", str(model), "--by", "layers", "--store", store)
    assert code == 2
    assert "nothing was measured" in told
    assert nas("profile", str(model), "--layers", "--store", store)[0] == 0
    space = ("--space", str(tmp_path / "job.yaml"), "--samples", "5")
    code, out, _ = nas("predictor", "fit", *space, "--store", store, "--json")
    assert code == 0
    assert any("layers" in row["on"] for row in json.loads(out)["scores"])
    code, out, _ = nas("predictor", "predict", str(model), "--by", "layers", "--store", store, "--json")
    assert code == 0
    guess = json.loads(out)
    assert 0 <= guess["low"] <= guess["predicted"] <= guess["high"]
    code, _, told = nas("predictor", "predict", str(model), "--by", "guesses", "--store", store)
    assert code == 2
    assert "graph or layers" in told


def test_other_devices_are_sources(store: str, tmp_path: Path) -> None:
    """What is known of one device helps with the next one of the same space."""
    job = tmp_path / "job.yaml"
    job.write_text(
        JOB.replace("strategy:", "  gpu: {kind: roofline, peak_macs_per_s: 9e+12, bandwidth_gb_s: 9}\nstrategy:")
    )
    for device in ("npu", "gpu"):
        code, _, _ = nas(
            *("predictor", "fit", "--space", str(job), "--device", f"{job}:{device}", "--samples", "10"),
            *("--store", store, "--json"),
        )
        assert code == 0
    code, out, _ = nas("predictor", "show", "gpu", "--space", "mobilenet_v3", "--store", store, "--json")
    assert (code, json.loads(out)["sources"]) == (0, "npu")


def small_network() -> bytes:
    """The smallest MobileNetV3 of the job's space, as a file."""
    space = MobileNetV3(resolutions=[32], stem_stride=1)
    graph = space.graph(space.smallest())
    return model_bytes(graph, {name: np.ones(p.shape, np.float32) for name, p in graph.parameters.items()})


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("fit", "--space", "nonsense"), "nonsense"),
        (("fit", "--space", "missing.yaml"), "missing.yaml"),
        (("fit", "--space", "mobilenet_v3", "--samples", "3"), "--samples must be 5"),
        (("fit", "--space", "mobilenet_v3", "--metric", "energy_mj"), "known: latency_ms"),
        (("fit", "--space", "mobilenet_v3", "--plot", "no/such/folder.png"), "no/such"),
        (("fit", "--space", "mobilenet_v3", "--device", "tpu"), "FILE:NAME"),
        (("show", "pi5"), "nothing was measured"),
        (("show", "../pi5"), "letters"),
        (("predict", "model.onnx", "--device", "pi5"), "nothing was measured"),
    ],
    ids=lambda value: "-".join(value).replace("/", "_") if isinstance(value, tuple) else "",
)
def test_bad_input_is_told(store: str, arguments: tuple[str, ...], words: str) -> None:
    """Before anything is measured, with exit code 2, in one line."""
    code, out, err = nas("predictor", *arguments, "--store", store)
    assert (code, out) == (2, "")
    assert words in err


def test_file_of_the_store_that_was_changed(tmp_path: Path) -> None:
    """A changed file is refused with its name; a renamed one is not taken for another device's."""
    x = np.random.default_rng(0).random((20, 3))
    features = FeatureSet.of("toy", ("a", "b", "c"), (Group("counts", 3, counts=True),), x)
    predictors = PredictorStore(tmp_path)
    path = predictors.save(Counts(features).fit(x, x.sum(axis=1)), "cpu", "latency_ms", {})
    path.rename(path.with_name("pi5.latency_ms.toy.predictor"))
    with pytest.raises(PredictorFileError, match="another device"):
        predictors.load("pi5", "latency_ms", "toy")
    path.write_bytes(b"no predictor")
    with pytest.raises(PredictorFileError, match=str(path)):
        predictors.load("cpu", "latency_ms", "toy")
    with pytest.raises(PredictorError, match="latency_ms@cpu for toy"):
        predictors.load("gpu", "latency_ms", "toy")
