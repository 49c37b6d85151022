"""Sparse weights in differentiable search: masks keep their share, learn, and are part of what is saved."""

from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces.families.nasbench201 import NasBench201
from search_spaces.gradient.masks import Masks
from search_spaces.gradient.registry import METHODS
from search_spaces.gradient.search import GradientSearch
from search_spaces.gradient.search_settings import SearchSettings
from search_spaces.space import SearchSpace
from search_spaces.supernet.supernet import Supernet

SPARSE = ("skip_connect", "sparse_sep_conv_3x3", "nor_conv_3x3")
SETTINGS = SearchSettings(rounds=3, batch_size=8, learning_rate=0.1, logits_learning_rate=0.05, seed=1)


@pytest.fixture(scope="module")
def space() -> NasBench201:
    """One cell of three nodes."""
    return NasBench201(resolution=8, widths=(8,), cells=1, nodes=3, classes=4, operations=SPARSE)


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    """Noise with labels."""
    return np.random.default_rng(0).standard_normal((32, 3, 8, 8)).astype(np.float32), np.arange(32) % 4


def test_masks_keep_the_largest_scores(space: SearchSpace) -> None:
    """At first those of the largest weights; weights and scores both get gradients."""
    supernet = Supernet(space, seed=0)
    masks = Masks(supernet, 0.25)
    assert set(masks.scores) == {name for name, role in supernet.roles.items() if role == "sparse_weight"}
    for name, value in masks.masked().items():
        weight = supernet.shared[name]
        kept = value != 0
        assert kept.sum() == round(0.25 * weight.numel())
        assert torch.equal(value[kept], weight[kept])
        assert weight[kept].abs().min() >= weight[~kept].abs().max()
        of_weight, of_score = torch.autograd.grad(value.sum(), [weight, masks.scores[name]])
        assert torch.equal(of_weight, kept.float())
        torch.testing.assert_close(of_score, weight.detach() * masks.scores[name].sign())


def test_relaxed_networks_run_with_masked_weights(space: SearchSpace, data: tuple[np.ndarray, np.ndarray]) -> None:
    """The output is that of a supernet whose sparse weights are masked by hand."""
    search = GradientSearch(space, METHODS["dass"](sparsity=0.5), SETTINGS, *data)
    assert search.masks is not None
    relaxation = search.method.relax(search.logits, search.structure, np.random.default_rng(0), 0.0, learns=True)
    x = torch.from_numpy(data[0][:4])
    found = search.relaxed(x, relaxation.paths, relaxation.weights, search.masks.masked())
    whole = search.relaxed(x, relaxation.paths, relaxation.weights)
    with torch.no_grad():
        for name, value in search.masks.masked().items():
            search.supernet.shared[name].copy_(value)
    assert torch.equal(found, search.relaxed(x, relaxation.paths, relaxation.weights))
    assert not torch.allclose(found, whole)


def test_masks_learn_and_resume_to_the_bit(
    space: SearchSpace, data: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    """Scores change, at the sparsity that is asked for, and a search that goes on ends as one that never stopped."""
    whole = GradientSearch(space, METHODS["dass"](sparsity=0.9), SETTINGS, *data)
    assert whole.masks is not None
    before = {name: value.detach().clone() for name, value in whole.masks.scores.items()}
    whole.round()
    whole.save(tmp_path / "search.safetensors")
    assert all(not torch.equal(value, before[name]) for name, value in whole.masks.scores.items())
    resumed = GradientSearch(space, METHODS["dass"](sparsity=0.9), SETTINGS, *data)
    resumed.load(tmp_path / "search.safetensors")
    for _ in range(2):
        expected, found = whole.round(), resumed.round()
    assert {**found, "seconds": 0} == {**expected, "seconds": 0}
    assert resumed.masks is not None
    for name, value in whole.masks.masked().items():
        assert torch.equal(value, resumed.masks.masked()[name])
        assert (value != 0).sum() == round(0.1 * value.numel())


def test_spaces_without_sparse_operations_are_refused(data: tuple[np.ndarray, np.ndarray]) -> None:
    """Before any work."""
    space = NasBench201(resolution=8, widths=(8,), cells=1, nodes=3, classes=4)
    with pytest.raises(ValueError, match=r"'nasbench201' has no sparse operations .* begin with 'sparse_'"):
        GradientSearch(space, METHODS["dass"](), SETTINGS, *data)


def test_dass_finds_the_operators_that_fit(sparse_directions: SearchSpace, correlated: tuple[np.ndarray, ...]) -> None:
    """With three quarters of their weights at zero."""
    settings = SearchSettings(
        rounds=16, batch_size=32, optimiser="adamw", learning_rate=0.02, logits_learning_rate=0.05, seed=1, candidates=1
    )
    search = GradientSearch(sparse_directions, METHODS["dass"](sparsity=0.75), settings, *correlated)
    metrics = [search.round() for _ in range(16)]
    assert sparse_directions.choices(search.derive()) == {"first": "row", "second": "column", "kernel": 3}
    assert metrics[-1]["validation_loss"] < metrics[0]["validation_loss"]
