"""The loop around a training actor: what is said, and that the finished training is on disk."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nas import supernet_training
from nas.evaluation.training_actor import TrainingActor
from nas.wall_time import OutOfTime
from search_spaces.recipe import SpaceRecipe
from search_spaces.training.checkpoint import read_notes
from search_spaces.training.settings import TrainingSettings

SPACE = {
    "classes": 4,
    "channels": 1,
    "resolutions": [8],
    "widths": [8],
    "strides": [1],
    "activations": ["relu"],
    "squeeze_excite": [False],
    "depths": [1, 2],
    "expansions": [1, 2],
    "stem_stride": 1,
    "final_width": 16,
    "feature_width": 16,
}


class Here:
    """An actor of Ray that is no process of its own: `actor.method.remote()` is a plain call."""

    def __init__(self, actor: TrainingActor) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self._actor, name)
        return SimpleNamespace(remote=method)


class Notes:
    """Progress that is written down."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def training(self, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        """An epoch."""
        self.lines.append(f"{epoch} of {epochs}")

    def searching(self, evaluations: int, budget: int) -> None:
        """Never."""
        raise AssertionError

    def say(self, message: str) -> None:
        """A message."""
        self.lines.append(message)


def test_progress_names_the_phase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each phase when it begins, also in a training that goes on within one."""
    monkeypatch.setattr(supernet_training, "ray", SimpleNamespace(get=lambda found: found))
    phases = [
        {"epochs": 1, "elastic": []},
        {"epochs": 2, "elastic": ["kernel*", "depth*"]},
        {"epochs": 1, "order_channels": True},
    ]
    settings = TrainingSettings(phases=phases, batch_size=8, warmup_epochs=0)
    recipe = SpaceRecipe("mobilenet_v3", SPACE)
    images = np.random.default_rng(0).standard_normal((8, 1, 8, 8)).astype(np.float32)
    labels, path, notes = np.arange(8) % 4, tmp_path / "supernet.safetensors", Notes()
    actor = TrainingActor(recipe, settings, images, labels, 1)
    supernet_training._epochs(Here(actor), None, settings, path, notes, lambda: "")
    names = [
        "training phase 1 of 3: 1 epoch, the largest network alone",
        "training phase 2 of 3: 2 epochs, elastic: kernel*, depth*",
        "training phase 3 of 3: 1 epoch, elastic: *, channels ordered first",
    ]
    assert notes.lines == ["0 of 4", names[0], "1 of 4", names[1], "2 of 4", "3 of 4", names[2], "4 of 4"]
    assert read_notes(path)["epoch"] == 4
    begun, later = TrainingActor(recipe, settings, images, labels, 1), Notes()
    begun.begin(None)
    begun.train_epoch()
    begun.train_epoch()
    again = TrainingActor(recipe, settings, images, labels, 1)
    supernet_training._epochs(Here(again), begun.checkpoint(), settings, path, later, lambda: "")
    assert later.lines == ["2 of 4", names[1], "3 of 4", names[2], "4 of 4"]


def test_a_training_without_time_left_says_so_and_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at after each epoch but the last, with which the search could begin."""
    monkeypatch.setattr(supernet_training, "ray", SimpleNamespace(get=lambda found: found))
    settings = TrainingSettings(epochs=3, batch_size=8, warmup_epochs=0)
    images = np.random.default_rng(0).standard_normal((8, 1, 8, 8)).astype(np.float32)
    path, notes, answers = tmp_path / "supernet.safetensors", Notes(), iter(["", "its time is over"])
    actor = TrainingActor(SpaceRecipe("mobilenet_v3", SPACE), settings, images, np.arange(8) % 4, 1)
    with pytest.raises(OutOfTime, match="its time is over: 2 of 3 epochs of its supernet are trained"):
        supernet_training._epochs(Here(actor), None, settings, path, notes, lambda: next(answers))
    assert read_notes(path)["epoch"] == 2
    supernet_training._epochs(Here(actor), path.read_bytes(), settings, path, notes, lambda: next(answers))
    assert notes.lines == ["0 of 3", "1 of 3", "2 of 3", "2 of 3", "3 of 3"]
