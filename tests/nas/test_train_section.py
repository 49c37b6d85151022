"""What is wrong between a job's `train` section, its data and its space is told before any work starts."""

from pathlib import Path
from typing import Any

import pytest

from nas.jobspec.load import parse_job
from nas.problem import prepare

JOB: dict[str, Any] = {
    "name": "trained",
    "space": {"name": "mobilenet_v3", "resolutions": [8]},
    "data": {"name": "digits", "limit": 200},
    "accuracy": {"from": "train"},
    "objectives": ["accuracy", "macs"],
    "strategy": "random",
    "budget": {"evaluations": 4},
}
EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_batch_larger_than_the_data() -> None:
    """The number of samples is said."""
    with pytest.raises(
        ValueError, match=r"train.batch_size is 500, but .* has 160 training samples; allowed: 2 to 160"
    ):
        prepare(parse_job({**JOB, "train": {"batch_size": 500}}))


def test_changes_of_images_that_are_text(tmp_path: Path) -> None:
    """Which option it is."""
    (tmp_path / "text.txt").write_text("abcd efgh " * 200)
    job = {
        **JOB, "space": "transformer_lm", "data": {"path": "text.txt", "length": 32}, "objectives": ["loss", "macs"],
        "train": {"shift": 1, "batch_size": 8},
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"train.shift changes images, but .* is text; leave it out"):
        prepare(parse_job(job, folder=tmp_path))


def test_augmentation_that_does_not_fit_the_channels() -> None:
    """As for supernets."""
    with pytest.raises(ValueError, match="only images of 3 channels have a hue"):
        prepare(parse_job({**JOB, "train": {"augmentation": {"color_jitter": {"hue": 0.1}}}}))


def test_weights_that_come_with_the_space() -> None:
    """They are not trained here."""
    job = {
        **JOB, "space": {"path": str(EXAMPLES / "my_supernet.py"), "name": "my_supernet"}, "train": {},
    }  # fmt: skip
    with pytest.raises(ValueError, match="train is given, but the weights of space 'my_supernet' come with it"):
        prepare(parse_job(job, allow_code=True), allow_code=True)


def test_recipes_are_searched_together_with_networks() -> None:
    """What is searched has both; the space of networks, its costs and its supernet stay as they are."""
    problem = prepare(parse_job({**JOB, "recipe": {"ema": [0.9, 0.0], "epochs": [20, 10]}}))
    assert problem.searched.names[-2:] == ("recipe.epochs", "recipe.ema")
    assert [each.options for each in problem.searched.decisions[-2:]] == [(20, 10), (0.0, 0.9)]  # the job's own first
    assert problem.searched.size() == 4 * problem.space.size()
    assert problem.searched.largest()[-2:].tolist() == [0, 0]
    proposed = problem.strategy().ask(30)
    assert {tuple(row[-2:]) for row in proposed.tolist()} == {(0, 0), (0, 1), (1, 0), (1, 1)}
