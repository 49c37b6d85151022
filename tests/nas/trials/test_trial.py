"""The trial of one network, set up and stepped here as Ray Tune does it elsewhere."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.evaluation.scores import EvaluationData
from nas.trials.trial import NetworkTrial, TrialData, checkpoint_file, scored
from search_spaces.recipe import SpaceRecipe
from search_spaces.supernet.supernet import Supernet
from search_spaces.supernet.weights import SupernetWeights
from search_spaces.training.network_settings import NetworkSettings
from search_spaces.training.network_trainer import load_network

SPACE = {
    "classes": 4, "channels": 1, "resolutions": [8], "widths": [8], "strides": [1], "activations": ["relu"],
    "squeeze_excite": [False], "depths": [1, 2], "expansions": [1, 2], "stem_stride": 1, "final_width": 16,
    "feature_width": 16,
}  # fmt: skip
RECIPE = SpaceRecipe("mobilenet_v3", SPACE)


@pytest.fixture(scope="module")
def data() -> TrialData:
    """Random images of four classes, and a supernet's random weights."""
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((48, 1, 8, 8)).astype(np.float32), np.arange(48) % 4
    weights = SupernetWeights.of(Supernet(RECIPE.make(), seed=7))
    return TrialData(RECIPE, images, labels, EvaluationData(images[:16], images, labels), weights, 1, "cpu")


def begun(data: TrialData, config: dict[str, Any]) -> NetworkTrial:
    """A trial as Ray Tune makes it, but in this process."""
    trial = NetworkTrial.__new__(NetworkTrial)
    trial.setup(config, data)
    return trial


def figures(result: dict[str, Any]) -> dict[str, float]:
    """What does not depend on time."""
    return {name: result[name] for name in ("epoch", "accuracy", "loss")}


def config(folder: Path, **more: Any) -> dict[str, Any]:
    """What a trial is told."""
    space = RECIPE.make()
    settings = NetworkSettings(epochs=3, batch_size=16, warmup_epochs=0, seed=2, ema=0.5).model_dump(mode="json")
    genotype = space.choices(space.smallest())
    result = str(folder / "one.safetensors")
    return {"key": "k", "genotype": genotype, "settings": settings, "init": "scratch", "result": result, **more}


def test_a_trial_goes_on_where_it_was(data: TrialData, tmp_path: Path) -> None:
    """Set up again after an epoch, it ends with the figures and the weights of one that was not disturbed."""
    folders = [tmp_path / "whole", tmp_path / "again"]
    for folder in folders:
        folder.mkdir()
    whole = begun(data, config(folders[0]))
    told = [whole.step() for _ in range(3)]
    assert [(each["epoch"], each["done"]) for each in told] == [(1, False), (2, False), (3, True)]
    first = begun(data, config(folders[1])).step()
    again = begun(data, config(folders[1]))
    assert figures(again.step()) == figures(first)  # perhaps nobody heard of it
    rest = [again.step() for _ in range(2)]
    assert [figures(each) for each in (first, *rest)] == [figures(each) for each in told]
    # After the last epoch, and before anybody heard of it: scored again, not trained again.
    last = begun(data, config(folders[1])).step()
    assert figures(last) == figures(told[2])
    assert last["done"]
    space = RECIPE.make()
    path = folders[1] / "one.safetensors"
    assert checkpoint_file(path).exists()
    network = load_network(path, space, space.smallest())
    assert all(torch.equal(value, whole._trainer.result.shared[name]) for name, value in network.shared.items())


def test_a_worker_goes_over_to_the_next_trial(data: TrialData, tmp_path: Path) -> None:
    """With its own network, and with the weights of the supernet where it asks for them."""
    trial = begun(data, config(tmp_path))
    trial.step()
    space = RECIPE.make()
    largest = space.largest()
    assert trial.reset_config(
        config(tmp_path, genotype=space.choices(largest), init="supernet", result=str(tmp_path / "two.safetensors"))
    )
    assert data.weights is not None
    expected = data.weights.supernet(space).weights(largest)
    assert all(torch.equal(value, expected[name]) for name, value in trial._trainer.supernet.shared.items())
    assert trial.step()["epoch"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"genotype": {"nothing": 1}}, "unknown decision 'nothing'"),
        ({"settings": {"batch_size": 49}}, "batch_size 49 is more than the 48"),
        ({"settings": {"learning_rate": 1e30, "gradient_clip": None, "batch_size": 16}}, "the loss became"),
    ],
)
def test_what_cannot_be_trained_is_said(data: TrialData, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """As a result, so that nobody takes it for a lost worker and tries again."""
    trial = begun(data, config(tmp_path, **change))
    for _ in range(40):
        told = trial.step()
        if told["done"]:
            break
    assert message in told["failure"]
    assert "epoch" not in told


def test_another_networks_checkpoint_is_refused(data: TrialData, tmp_path: Path) -> None:
    """It is a failure and not a fresh start."""
    begun(data, config(tmp_path)).step()
    space = RECIPE.make()
    told = begun(data, config(tmp_path, genotype=space.choices(space.largest()))).step()
    assert "belongs to another training: its genotype" in told["failure"]


def test_a_language_model_is_trained_too(tmp_path: Path) -> None:
    """Tokens in, the loss of the next ones out, and the weights are those that were scored."""
    settings = {
        "vocabulary": 5, "length": 8, "depths": [1], "widths": [8], "heads": [1], "head_dim": 8, "feed_forwards": [1],
        "window": 4, "chunk": 4,
    }  # fmt: skip
    recipe, tokens = SpaceRecipe("transformer_lm", settings), np.arange(24)[:, None] + np.arange(9)
    inputs, labels = (tokens % 5)[:, :-1], (tokens % 5)[:, 1:]
    shared = TrialData(recipe, inputs, labels, EvaluationData(inputs[:4], inputs, labels), None, 1, "cpu")
    space = recipe.make()
    recipe_of_it = NetworkSettings(epochs=6, batch_size=8, warmup_epochs=0, optimiser="adamw", learning_rate=0.02)
    genotype = space.smallest()
    trial = begun(
        shared,
        config(tmp_path, genotype=space.choices(genotype), settings=recipe_of_it.model_dump(mode="json")),
    )
    told = [trial.step() for _ in range(6)]
    assert told[-1]["loss"] < told[0]["loss"] - 0.3
    network = load_network(tmp_path / "one.safetensors", space, genotype)
    assert scored(network, genotype, shared.evaluation)["loss"] == pytest.approx(told[-1]["loss"], rel=1e-6)
