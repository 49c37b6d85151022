"""`nas predictor` for accuracy: learned from jobs of the store, for networks of their spaces and for any file."""

import json
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from nas.artifacts import artifact_folder
from nas.cli.main import app
from nas.jobspec.load import parse_job
from nas.prediction.predictor_store import PredictorStore
from search_spaces.costs.static import costs
from search_spaces.interchange.onnx_file import model_bytes
from search_spaces.joint_space import JointSpace
from search_spaces.recipe import SpaceRecipe
from search_spaces.space import SearchSpace
from search_spaces.supernet.supernet import Supernet
from storage.records import Architecture, Outcome
from storage.store import ResultStore

CELLS = {"name": "nasbench201", "resolution": 8, "cells": 1, "widths": [8, 16], "channels": 1}
BLOCKS = {
    "name": "mobilenet_v3", "resolutions": [8], "widths": [8, 16], "strides": [1, 2], "stem_stride": 1,
    "activations": ["relu", "h_swish"], "squeeze_excite": [False, True], "depths": [1, 2, 3], "expansions": [2, 3, 4],
    "stem_width": 8, "final_width": 32, "feature_width": 32,
}  # fmt: skip


def nas(*arguments: str) -> tuple[int, Any, str]:
    """Run a command; the exit code, what it printed as JSON, and stderr."""
    ran = CliRunner().invoke(app, [*arguments, "--json"])
    return ran.exit_code, json.loads(ran.stdout) if ran.exit_code == 0 else None, ran.stderr


def truth(space: SearchSpace, row: np.ndarray, least: float = 0.5) -> float:
    """A made-up accuracy that rises with the work, and where weights are averaged."""
    macs = costs(space.graph(row))["macs"] / 1e5
    best = 0.98 if space.choices(row).get("recipe.ema", 0.9) else 0.58
    return best - least * float(np.exp(-macs))


def evaluated(
    store: ResultStore, section: Mapping[str, Any], n: int, seed: int, *, limit: int = 400, least: float = 0.5,
    more: Mapping[str, Any] = types.MappingProxyType({}),
) -> str:  # fmt: skip
    """A job of the store that has evaluated n networks; the last two were predicted. Averages of weights help."""
    spec = parse_job(
        {
            "name": f"job{seed}", "space": dict(section), "data": {"name": "digits", "limit": limit},
            "objectives": ["accuracy", "macs"], "strategy": "random", "budget": {"evaluations": n}, **more,
        }
    )  # fmt: skip
    space = SpaceRecipe(section["name"], {k: v for k, v in section.items() if k != "name"}).make()
    if spec.recipe is not None:
        space = JointSpace(space, [], spec.recipe.decisions(spec.train))
    rows = np.unique(space.sample(4 * n, np.random.default_rng(seed)), axis=0)
    rows = np.random.default_rng(seed).permutation(rows)[:n]
    keys = [f"{seed:02d}{place:062x}" for place in range(n)]
    job = store.create_job(spec.name, spec.model_dump(mode="json"))
    lease = store.claim(job.id, "test")
    architectures = [
        Architecture(key, space.name, dict(space.choices(row)), costs(space.graph(row)))
        for key, row in zip(keys, rows, strict=True)
    ]
    store.add_proposals(lease, 0, architectures)
    outcomes = [
        Outcome(key, {"accuracy": truth(space, row, least), "accuracy deviation": 0.1 * (place >= n - 2)}, None, 0.1)
        for place, (key, row) in enumerate(zip(keys, rows, strict=True))
    ]
    store.add_evaluations(lease, outcomes, [])
    return job.id


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store in an empty folder."""
    monkeypatch.delenv("NAS_ARTIFACTS", raising=False)
    return f"sqlite:///{tmp_path / 'nas.db'}"


def test_fit_show_predict(url: str, tmp_path: Path) -> None:
    """From the evaluations of two spaces to the accuracy of a file; labels of other data come as a source only."""
    with ResultStore(url, create=True) as store:
        first, second = evaluated(store, BLOCKS, 42, 1), evaluated(store, CELLS, 32, 2)
        other = evaluated(store, BLOCKS, 60, 3, limit=800, least=0.9)
    common = ("predictor", "fit", "--metric", "accuracy", "--store", url)
    free = ("--statistic", "naswot", "--statistic", "params", "--unlabelled", "40")
    code, told, _ = nas(*common, "--job", first, "--job", second, "--source", other, "--tests", "10", *free)
    assert code == 0
    assert (told["metric"], told["device"]) == ("accuracy", "digits")
    assert [row["on"] for row in told["scores"]] == [
        "its 30 labels, left out", "10 other networks", "any network, from 60"
    ]  # fmt: skip
    assert min(row["spearman"] for row in told["scores"]) > 0.8

    code, shown, _ = nas(
        "predictor", "show", "digits", "--metric", "accuracy", "--space", "mobilenet_v3", "--store", url
    )
    assert code == 0
    assert (shown["predictor"], shown["samples"], shown["sources"]) == ("accuracy", 30, f"{other}, naswot, params")
    code, listed, _ = nas("predictor", "list", "--store", url)
    assert [(row["device"], row["metric"], row["for"]) for row in listed] == [
        ("digits", "accuracy", "graph"), ("digits", "accuracy", "mobilenet_v3")
    ]  # fmt: skip

    space = SpaceRecipe("mobilenet_v3", {k: v for k, v in BLOCKS.items() if k != "name"}).make()
    rows = space.sample(12, np.random.default_rng(9))
    predicted, supernet = [], Supernet(space, seed=0)
    for row in rows:
        graph, statistics = space.graph(row), {}
        for value in graph.parameters.values():
            if not value.trainable:
                statistics[value.name] = (
                    supernet.weights(row)[value.name.rsplit(".", 1)[0] + ".weight"].detach() * 0 + 1
                )
        path = tmp_path / "model.onnx"
        path.write_bytes(model_bytes(graph, supernet.subnet_state(row, statistics), {}))
        code, found, _ = nas(
            "predictor", "predict", str(path), "--device", "digits", "--metric", "accuracy", "--store", url
        )
        assert code == 0
        assert found["low"] <= found["predicted"] <= found["high"] <= 1.0
        predicted.append(found["predicted"])
    assert stats.spearmanr(predicted, [truth(space, row) for row in rows]).statistic > 0.6


def test_labels_of_several_recipes_know_them(url: str) -> None:
    """What was decided about trainings is seen; labels of other recipes do not mix, and one is told why."""
    own = {"accuracy": {"from": "train"}, "train": {"epochs": 8}}
    joint = own | {"recipe": {"ema": [0.0, 0.9], "optimiser": ["sgd", "lion"]}}
    with ResultStore(url, create=True) as store:
        decided = evaluated(store, BLOCKS, 42, 1, more=joint)
        alone, longer = (
            evaluated(store, BLOCKS, 12, seed, more=own | {"train": {"epochs": epochs}})
            for seed, epochs in ((2, 8), (3, 9))
        )
    common = ("predictor", "fit", "--metric", "accuracy", "--store", url)
    free = ("--statistic", "synflow", "--unlabelled", "20", "--tests", "10")
    code, told, _ = nas(*common, "--job", decided, *free)
    assert code == 0
    assert told["scores"][1]["spearman"] > 0.9
    stored = PredictorStore(artifact_folder(url)).load("digits", "accuracy", "mobilenet_v3")
    assert "recipe.ema=0.9" in stored.predictor.features.names
    for others, words in (
        ((alone, longer), (f"{alone} has train.epochs 8, and {longer} has train.epochs 9",)),
        ((alone, decided), ("recipe.ema null", "recipe.ema [0.0, 0.9]", f"--source {decided}")),
    ):
        code, _, said = nas(*common, "--job", others[0], "--job", others[1])
        assert code == 2
        assert [word for word in words if word not in " ".join(said.split())] == []


def test_bad_input_is_told(url: str) -> None:
    """Jobs that are missing, labels that do not mix or are too few, and options of devices."""
    with ResultStore(url, create=True) as store:
        first, few = evaluated(store, BLOCKS, 20, 1), evaluated(store, BLOCKS, 5, 2)
        other = evaluated(store, BLOCKS, 20, 3, limit=800)
    common = ("predictor", "fit", "--metric", "accuracy", "--store", url)
    for arguments, message in (
        (common, "give --job JOB"),
        ((*common, "--job", first, "--job", other), f"give {other} as a source"),
        ((*common, "--job", few), "3 networks of space 'mobilenet_v3' were evaluated; a predictor needs 5"),
        ((*common, "--job", first, "--tests", "15"), "beside the 15 that are kept apart"),
        ((*common, "--job", "nobody"), "nobody"),
        ((*common, "--job", first, "--statistic", "naswat"), "--statistic 'naswat' is not known; known: synflow"),
        ((*common, "--job", first, "--statistic", "zen", "--unlabelled", "1"), "must be 5 to 100000 (got 1)"),
        ((*common, "--job", first, "--space", "nasbench201"), "--space is for what devices measure"),
        (("predictor", "fit", "--store", url), "--space is missing"),
        (("predictor", "fit", "--space", "fbnet", "--job", first, "--store", url), "and --metric is latency_ms"),
    ):
        code, _, said = nas(*arguments)
        assert code == 2, said
        assert message in " ".join(said.split()), said
