"""Nested decisions as thresholds: masked networks are the smaller networks, and thresholds find the right size."""

from typing import Any

import numpy as np
import pytest
import torch

from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.families.transformer_lm import TransformerLM
from search_spaces.gradient.method import Relaxation
from search_spaces.gradient.registry import METHODS
from search_spaces.gradient.relaxed_supernet import RelaxedSupernet
from search_spaces.gradient.search import GradientSearch
from search_spaces.gradient.search_settings import SearchSettings
from search_spaces.gradient.single_path import Thresholds
from search_spaces.gradient.structure import Structure
from search_spaces.gradient.superkernels import Superkernels
from search_spaces.space import SearchSpace
from search_spaces.supernet.supernet import Supernet

TOKENS: dict[str, Any] = {"vocabulary": 20, "length": 8, "head_dim": 8, "window": 4, "chunk": 4}
TEXT = TransformerLM(depths=(1, 2), widths=(16,), heads=(2, 3), feed_forwards=(2, 3), **TOKENS)


def test_kinds_of_nested_decisions(small_space: MobileNetV3) -> None:
    """Kernels, expansions, heads and inner features; neither depths nor resolutions, nor widths that are normalised."""
    wide = TransformerLM(depths=(1,), widths=(16, 24), heads=(2,), **TOKENS)
    for space, kinds in (
        (small_space, ("kernel", "expand")),
        (TEXT, ("heads", "feed_forward")),
        (wide, ()),
    ):
        found = Superkernels(Supernet(space, seed=0), Structure(space)).found
        expected = [name for name in space.names if name.startswith(tuple(kinds))] if kinds else []
        assert [space.names[column] for column in found] == expected


@pytest.mark.parametrize("name", ["mobilenet_v3", "transformer_lm"])
def test_masked_networks_compute_what_smaller_ones_do(small_space: MobileNetV3, name: str) -> None:
    """Whatever the other decisions are."""
    space: SearchSpace = small_space if name == "mobilenet_v3" else TEXT
    supernet, structure = Supernet(space, seed=0), Structure(space)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in supernet.shared.values():
            value += 0.2 * torch.randn(value.shape, generator=generator)
    relaxed, superkernels = RelaxedSupernet(supernet), Superkernels(supernet, structure)
    x = torch.randn(4, 1, 8, 8, generator=generator) if space is small_space else torch.arange(32).view(4, 8) % 20
    for row in space.sample(6, np.random.default_rng(0)):
        largest, gates = row.copy(), {}
        for column, superkernel in superkernels.found.items():
            largest[column] = superkernel.order[-1]
            there = superkernel.order.index(int(row[column])) + 1
            gates[column] = torch.tensor([float(part < there) for part in range(len(superkernel.order))])
        factors = superkernels.factors(gates)
        replaced = {key: supernet.shared[key] * factor for key, factor in factors.items()}
        found = relaxed(x, structure.paths(largest, weighed=False), {}, replaced)
        torch.testing.assert_close(found, supernet(x, row), rtol=1e-3, atol=1e-4)


def test_thresholds_are_a_distribution(small_space: MobileNetV3) -> None:
    """Chances add up to 1 and follow the thresholds; what is derived is the network of the hard gates."""
    supernet = Supernet(small_space, seed=0)
    logits = Thresholds(supernet, Structure(small_space), seed=0)
    column = small_space.names.index("kernel0")
    assert logits.derive()[column] == 1
    first = logits.probabilities()[column]
    assert first.sum().item() == pytest.approx(1)
    with torch.no_grad():
        logits.values[column][1] = -10.0  # the larger kernel's part is not there
    assert logits.gates(column).tolist() == [1, 0]
    assert logits.probabilities()[column][0].item() > 0.99
    assert logits.derive()[column] == 0
    assert logits.entropies()["kernel0"] < 0.05
    gradient = torch.autograd.grad(logits.probabilities()[column][1], logits.values[column])[0]
    assert gradient[0] == 0
    assert gradient[1] > 0


def test_single_path_finds_the_kernel_that_fits(
    directions: SearchSpace, correlated: tuple[np.ndarray, np.ndarray]
) -> None:
    """And the operators, which it draws; a part that is taken away comes back."""
    settings = SearchSettings(
        rounds=16, batch_size=32, optimiser="adamw", learning_rate=0.02, logits_learning_rate=0.1, seed=1
    )
    search = GradientSearch(directions, METHODS["single_path"](), settings, *correlated)
    with torch.no_grad():
        search.logits.values[2][1] = -1.5
    assert search.derive()[2] == 0
    for _ in range(16):
        search.round()
    assert directions.choices(search.derive()) == {"first": "row", "second": "column", "kernel": 3}


def test_thresholds_get_no_score(directions: SearchSpace, correlated: tuple[np.ndarray, np.ndarray]) -> None:
    """Their gradient comes through the factors alone."""
    search = GradientSearch(directions, METHODS["single_path"](), SearchSettings(batch_size=32), *correlated)
    relaxation = search.method.relax(search.logits, search.structure, np.random.default_rng(0), 0.0, learns=True)
    assert isinstance(relaxation, Relaxation)
    assert relaxation.soft == {2}
    search.loss.baseline = 0.0
    assert not search.loss.score(search.logits, relaxation, 1.0).requires_grad
    assert torch.autograd.grad(relaxation.factors["third.conv.conv.weight"].sum(), search.logits.values[2])[0][1] > 0


def test_spaces_without_nested_decisions_are_refused() -> None:
    """Before any work."""
    space = NasBench201(resolution=8, widths=(8,), cells=1, nodes=3, classes=4)
    images, labels = np.zeros((16, 3, 8, 8), np.float32), np.arange(16) % 4
    with pytest.raises(ValueError, match=r"thresholds of nested decisions .* 'nasbench201' has none"):
        GradientSearch(space, METHODS["single_path"](), SearchSettings(batch_size=4), images, labels)
