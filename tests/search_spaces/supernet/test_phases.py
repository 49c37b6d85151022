"""Progressive shrinking: each phase trains its own networks, at its own rate, and resumes to the bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from search_spaces.decision import Condition, Decision
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.graph import Graph
from search_spaces.layers import conv_norm, global_pool, linear
from search_spaces.registry import SPACES
from search_spaces.space import Pick, SearchSpace
from search_spaces.supernet.phases import PhaseNetworks, largest_options
from search_spaces.training.settings import Phase, TrainingSettings
from search_spaces.training.trainer import SupernetTrainer

SHRINKING: dict[str, Any] = {
    "phases": [
        {"epochs": 1, "elastic": []},
        {"epochs": 2, "elastic": ["resolution", "kernel*"], "learning_rate": 0.02},
        {"epochs": 1, "elastic": ["resolution", "kernel*", "depth*"], "random_subnets": 3},
        {"epochs": 1, "order_channels": True},
    ],
    "batch_size": 16,
    "warmup_epochs": 0.5,
    "random_subnets": 1,
    "learning_rate": 0.01,
}


class Pooled(SearchSpace):
    """Convolution or pooling, whose size is a decision that the largest network, a convolution, does not have."""

    name = "pooled"

    def __init__(self) -> None:
        super().__init__(
            (
                Decision("pool", (2, 4), (Condition("kind", ("pool",)),)),
                Decision("after", ("none", "wide"), (Condition("kind", ("pool",)),)),
                Decision("kind", ("pool", "convolution")),
                Decision("width", (8, 16)),
            ),
            {},
        )

    def assemble(self, pick: Pick) -> Graph:
        """From `image` (1, 1, 8, 8) to `logits` (1, 4)."""
        g = Graph(self.name)
        x = conv_norm(g, g.input("image", (1, 1, 8, 8)), "stem", pick("width"), act="relu")
        if pick("kind") == "convolution":
            x = conv_norm(g, x, "large", pick("width"), 5)
        else:
            size = pick("pool")
            x = g.add("AveragePool", x, name="pooled", kernel_shape=[size, size], strides=[size, size])
            x = conv_norm(g, x, "wide", 8, 3) if pick("after") == "wide" else x
        g.output(linear(g, global_pool(g, x, "pool"), "logits", 4))
        return g


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    """Noise and labels: 48 images of 8 px, 4 classes."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((48, 1, 8, 8)).astype(np.float32), np.arange(48) % 4


def test_decisions_that_are_not_elastic_stay_at_their_largest(small_space: MobileNetV3) -> None:
    """In every phase, what is drawn differs from the largest network in elastic decisions alone, and in all of them."""
    largest = small_space.choices(small_space.largest())
    for elastic in (["kernel*"], ["depth*"], ["kernel[01]", "depth1"], ["expand*", "depth*"], ["resolution"]):
        phase = PhaseNetworks(small_space, elastic)
        drawn = phase.draw("sandwich", 300, np.random.default_rng(0))
        assert np.array_equal(drawn, small_space.canonical(drawn))
        seen = [small_space.choices(row) for row in drawn]
        kinds = {pattern.rstrip("*[]01") for pattern in elastic}
        differing = {name for choices in seen for name, option in choices.items() if option != largest[name]}
        assert {name.rstrip("0123456789") for name in differing} == kinds
        for decision in small_space.decisions:
            if decision.name in differing:
                options = {choices[decision.name] for choices in seen if decision.name in choices}
                assert options == set(decision.options), decision.name


def test_smallest_of_a_phase(small_space: MobileNetV3) -> None:
    """With kernels elastic every kernel is smallest at full depth; with everything elastic it is the space's own."""
    kernels = small_space.choices(PhaseNetworks(small_space, ["kernel*"]).smallest)
    assert kernels == {
        **small_space.choices(small_space.largest()),
        **{name: 3 for name in small_space.names if name.startswith("kernel")},
    }
    assert np.array_equal(PhaseNetworks(small_space, ["*"]).smallest, small_space.smallest())
    nothing = PhaseNetworks(small_space, [])
    assert np.array_equal(nothing.smallest, small_space.largest())
    assert np.array_equal(nothing.draw("sandwich", 5, np.random.default_rng(0)), small_space.largest()[None])


@pytest.mark.parametrize("name", ["mobilenet_v3", "resnet50", "vision_transformer", "transformer_lm", "nasbench201"])
def test_everything_elastic_is_the_plain_sandwich(name: str) -> None:
    """The same networks from the same randomness as without phases."""
    space = SPACES[name]()
    drawn = PhaseNetworks(space, ["*"]).draw("sandwich", 4, np.random.default_rng(3))
    plain = [space.largest()[None], space.smallest()[None], space.sample(4, np.random.default_rng(3))]
    assert np.array_equal(drawn, np.concatenate(plain))


def test_decisions_that_the_largest_network_lacks_have_a_largest_option() -> None:
    """By number, or by multiply-adds where they are words."""
    space = Pooled()
    assert space.choices(space.largest()) == {"kind": "convolution", "width": 16}
    assert largest_options(space).tolist() == [1, 1, 1, 1]
    phase = PhaseNetworks(space, ["kind"])
    assert space.choices(phase.smallest) == {"kind": "pool", "pool": 4, "after": "wide", "width": 16}
    kinds = {str(space.choices(row)) for row in phase.draw("sandwich", 20, np.random.default_rng(0))}
    assert len(kinds) == 2


def test_the_rate_rises_and_falls_in_each_phase(small_space: MobileNetV3, data: tuple[np.ndarray, np.ndarray]) -> None:
    """Steps of each phase: the warm-up to its peak and the way down; sampled networks are those of the phase."""
    trainer = SupernetTrainer(small_space, TrainingSettings(**SHRINKING), *data)
    assert trainer.settings.epochs == 5
    assert [trainer.settings.place(epoch) for epoch in range(5)] == [(0, 0), (1, 0), (1, 1), (2, 0), (3, 0)]
    rates, sizes = [], []
    networks = trainer._networks

    def recorded(rng: np.random.Generator) -> np.ndarray:
        rates.append(trainer.optimiser.param_groups[0]["lr"])
        sizes.append(len(drawn := networks(rng)))
        return drawn

    trainer._networks = recorded  # type: ignore[method-assign]
    while not trainer.finished:
        trainer.train_epoch()
    short = np.array([0.4, 0.8, 0.5 * (1 + np.cos(np.pi / 3))])
    long = np.array([0.4, 0.8, *(0.5 * (1 + np.cos(np.pi * (np.arange(2, 6) - 1.5) / 4.5)))])
    np.testing.assert_allclose(rates, np.concatenate([short, 2 * long, short, short]) * 0.01)
    assert sizes == [1] * 3 + [3] * 6 + [5] * 3 + [3] * 3


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_resumed_at_any_border_training_ends_with_the_same_bits(
    small_space: MobileNetV3, data: tuple[np.ndarray, np.ndarray], tmp_path: Path, optimiser: str
) -> None:
    """In the middle of phases, between them, and where channels are about to be ordered."""
    settings = TrainingSettings(**SHRINKING, optimiser=optimiser)
    whole = SupernetTrainer(small_space, settings, *data)
    while not whole.finished:
        whole.save(tmp_path / f"{whole.epoch}.safetensors")
        whole.train_epoch()
    for epoch in range(settings.epochs):
        resumed = SupernetTrainer(small_space, settings, *data)
        resumed.load(tmp_path / f"{epoch}.safetensors")
        while not resumed.finished:
            resumed.train_epoch()
        for name, value in whole.supernet.shared.items():
            assert torch.equal(value, resumed.supernet.shared[name]), (epoch, name)


def test_one_phase_of_everything_is_a_training_without_phases(
    small_space: MobileNetV3, data: tuple[np.ndarray, np.ndarray]
) -> None:
    """To the bit."""
    common = {"batch_size": 16, "warmup_epochs": 0.5, "learning_rate": 0.01}
    trainers = [
        SupernetTrainer(small_space, TrainingSettings(**given, **common), *data)
        for given in ({"epochs": 2}, {"phases": [{"epochs": 2}]})
    ]
    for trainer in trainers:
        while not trainer.finished:
            trainer.train_epoch()
    plain, phased = (trainer.supernet.shared for trainer in trainers)
    assert all(torch.equal(value, phased[name]) for name, value in plain.items())


@pytest.mark.parametrize(
    "change, message",
    [
        ({"epochs": 7}, "epochs is 7 and the phases have 5; leave epochs out or correct it"),
        ({"warmup_epochs": 1}, r"warmup_epochs must be less than the epochs of phases\[0\] \(1\), got 1.0"),
        ({"phases": [{"epochs": 0}]}, "greater than or equal to 1"),
        ({"phases": [{"elastic": []}]}, "Field required"),
        ({"phases": [{"epochs": 2, "elastic": "kernel*"}]}, "valid tuple"),
        ({"phases": [{"epochs": 2, "epoch": 2}]}, "Extra inputs are not permitted"),
    ],
)
def test_phases_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    """What disagrees is named."""
    with pytest.raises(ValidationError, match=message):
        TrainingSettings(**{**SHRINKING, **change})


def test_settings_survive_json() -> None:
    """What a checkpoint notes and a job stores makes the same settings again."""
    settings = TrainingSettings(**SHRINKING)
    assert TrainingSettings(**settings.model_dump(mode="json")) == settings
    assert TrainingSettings(**{**SHRINKING, "epochs": 5}) == settings
    assert settings.phases[3] == Phase(epochs=1, elastic=("*",), order_channels=True)


def test_unknown_patterns_are_refused(small_space: MobileNetV3, data: tuple[np.ndarray, np.ndarray]) -> None:
    """A pattern without a decision names the known ones, as patterns."""
    settings = TrainingSettings(phases=[{"epochs": 3, "elastic": ["depth*", "kernal*"]}], batch_size=16)
    with pytest.raises(
        ValueError, match=r"'kernal\*' matches no decision of space 'mobilenet_v3'; known: kernel\*, ex"
    ):
        SupernetTrainer(small_space, settings, *data)


def test_fair_steps_train_all_options_as_often() -> None:
    """Each option of the widest decision is in one network of a step, and without a sandwich no network is special."""
    space = NasBench201(resolution=8, widths=(4, 8), cells=1)
    networks, rng = PhaseNetworks(space, ["*"]), np.random.default_rng(0)
    steps = [networks.draw("fair", 0, rng) for _ in range(20)]
    assert all((np.sort(rows, axis=0) == np.arange(5)[:, None]).all() for rows in steps)
    assert len({row.tobytes() for rows in steps for row in rows}) > 90
    held = PhaseNetworks(space, ["edge1*"])
    for sampling in ("fair", "uniform"):
        rows = held.draw(sampling, 40, rng)
        assert (rows[:, 1:] == space.largest()[1:]).all()
        assert set(rows[:, 0]) == set(range(5))
    with pytest.raises(ValueError, match="random_subnets must be at least 1 where sampling is 'uniform'"):
        TrainingSettings(sampling="uniform", random_subnets=0)
