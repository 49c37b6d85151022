"""Every method of differentiable search finds known operators, and advances every space that it can."""

from typing import Any

import numpy as np
import pytest
import torch

from search_spaces.families.darts import Darts
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.families.transformer_lm import TransformerLM
from search_spaces.gradient.logits import Logits
from search_spaces.gradient.registry import METHODS
from search_spaces.gradient.search import GradientSearch
from search_spaces.gradient.search_settings import SearchSettings
from search_spaces.space import SearchSpace

Data = tuple[np.ndarray, np.ndarray]
DENSE = {name: method for name, method in METHODS.items() if name != "dass"}  # which has a test file of its own
MIXING = [name for name, method in METHODS.items() if method.mixes]
ALL = [*[(name, {}) for name in DENSE], ("darts", {"order": 2})]


@pytest.mark.parametrize(("name", "options"), ALL, ids=[f"{name}{options or ''}" for name, options in ALL])
def test_methods_find_the_operators_that_fit(
    directions: SearchSpace, correlated: Data, name: str, options: dict[str, Any]
) -> None:
    """The row where rows tell the classes, the column where columns do, and the kernel that sees neighbours."""
    rounds = 18 if name in ("sharp_darts", "proxyless") else 8
    settings = SearchSettings(
        rounds=rounds,
        batch_size=32,
        optimiser="adamw",
        learning_rate=0.02,
        logits_learning_rate=0.05,
        seed=1,
        candidates=1,
    )
    search = GradientSearch(directions, METHODS[name](**options), settings, *correlated)
    assert search.logits.derive().tolist() != [2, 3, 1]
    metrics = [search.round() for _ in range(rounds)]
    assert search.finished
    assert directions.choices(search.derive()) == {"first": "row", "second": "column", "kernel": 3}
    assert metrics[-1]["validation_loss"] < metrics[0]["validation_loss"]
    assert metrics[-1]["entropy"] < metrics[0]["entropy"]
    assert metrics[-1]["gap"] == metrics[-1]["validation_loss"] - metrics[-1]["loss"]


SPACES: list[SearchSpace] = [
    Darts(
        resolution=8,
        width=8,
        layers=3,
        nodes=2,
        classes=4,
        operations=("none", "skip_connect", "max_pool_3x3", "dil_conv_3x3"),
    ),
    NasBench201(resolution=8, widths=(8, 16), cells=1, classes=4),
    MobileNetV3(
        classes=4,
        resolutions=(6, 8),
        widths=(8, 16),
        strides=(1, 2),
        activations=("relu", "h_swish"),
        squeeze_excite=(False, True),
        depths=(1, 2),
        expansions=(2, 3),
        kernels=(3, 5),
        stem_width=8,
        stem_stride=1,
        final_width=32,
        feature_width=32,
    ),
    TransformerLM(
        vocabulary=20,
        length=8,
        depths=(1, 2),
        widths=(16,),
        heads=(2,),
        feed_forwards=(2, 3),
        head_dim=8,
        window=4,
        chunk=4,
    ),
]


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("space", SPACES, ids=[space.name for space in SPACES])
def test_every_method_advances_every_space_that_it_can(space: SearchSpace, name: str) -> None:
    """A round ends with a genotype of the space; methods that cannot search it say why before they start."""
    rng = np.random.default_rng(0)
    images: np.ndarray = rng.standard_normal((16, 3, 8, 8)).astype(np.float32)
    labels = np.arange(16) % 4
    if space.name == "transformer_lm":
        images, labels = rng.integers(0, 20, (16, 8)), rng.integers(0, 20, (16, 8))
    arguments = (space, METHODS[name](), SearchSettings(rounds=1, batch_size=4), images, labels)
    if space.name == "mobilenet_v3" and name in MIXING:
        with pytest.raises(ValueError, match=rf"{name} mixes .* 'mobilenet_v3' has none.*use gdas, fbnet or proxyless"):
            GradientSearch(*arguments)
        return
    if space.name == "transformer_lm" and name == "pc_darts":
        with pytest.raises(ValueError, match="read one image"):
            GradientSearch(*arguments)
        return
    if space.name in ("darts", "nasbench201") and name == "single_path":
        with pytest.raises(ValueError, match="nested decisions"):
            GradientSearch(*arguments)
        return
    search = GradientSearch(*arguments)
    before = [value.detach().clone() for value in search.logits.values]
    metrics = search.round()
    assert np.isfinite(list(metrics.values())).all()
    assert 0 < metrics["entropy"] <= 1
    space.validate(search.derive()[None])
    assert any(not torch.equal(*pair) for pair in zip(before, search.logits.values, strict=True))


def test_expected_encoding_is_the_mean_over_drawn_genotypes() -> None:
    """Conditions included, in the layout of the space's encoding."""
    space = SPACES[0]
    logits = Logits(space, seed=0)
    rng = np.random.default_rng(0)
    for value in logits.values:
        value.data = torch.from_numpy(rng.standard_normal(len(value)))
    population = np.stack(
        [rng.choice(len(p), 40_000, p=p.detach().numpy()) for p in logits.probabilities()], axis=1
    ).astype(np.int16)
    mean = space.encode(space.canonical(population)).mean(axis=0)
    np.testing.assert_allclose(logits.expected().detach().numpy(), mean, atol=0.012)
    assert logits.log_odds(logits.derive()[None])[0] >= logits.log_odds(space.canonical(population)).max()
