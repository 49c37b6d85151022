"""Mixture-of-supernets: shares for each architecture, mixtures of slices, and gradients to router and experts."""

import numpy as np
import pytest
import torch

from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.supernet.channel_order import order_channels
from search_spaces.supernet.experts import ROUTER
from search_spaces.supernet.settings import SupernetSettings
from search_spaces.supernet.supernet import Supernet

EXPERTS = SupernetSettings(experts=3)
WEIGHT = "stage0.block0.project.conv.weight"


@pytest.fixture(scope="module")
def supernet(small_space: MobileNetV3) -> Supernet:
    """Three experts."""
    return Supernet(small_space, 0, settings=EXPERTS)


def test_one_expert_is_the_plain_supernet(small_space: MobileNetV3) -> None:
    """The same tensors with the same bits."""
    plain, one = Supernet(small_space, 2), Supernet(small_space, 2, settings=SupernetSettings(experts=1))
    assert list(plain.shared) == list(one.shared)
    assert all(torch.equal(value, one.shared[name]) for name, value in plain.shared.items())


def test_experts_have_the_axes_of_their_weight(supernet: Supernet, small_space: MobileNetV3) -> None:
    """Weights of two axes or more have experts under names of their own; biases and scales are shared plainly."""
    for name, parameter in Supernet(small_space, 0).shared.items():
        stored = supernet.stored(name)
        assert len(stored) == (3 if parameter.dim() > 1 else 1)
        assert all(tensor.shape == parameter.shape for tensor in stored)
        assert all(not torch.equal(stored[0], other) for other in stored[1:])
    assert supernet.stored(WEIGHT)[1] is supernet.shared[f"{WEIGHT}@expert1"]
    assert WEIGHT not in supernet.shared


def test_weights_are_mixtures_of_slices(supernet: Supernet, small_space: MobileNetV3) -> None:
    """The shares of an architecture sum to 1, differ from another's, and are near even at first."""
    mixtures = []
    for genotype in small_space.sample(4, np.random.default_rng(0)):
        mixed = supernet.weights(genotype)[WEIGHT]
        parts = torch.stack([expert[tuple(map(slice, mixed.shape))].flatten() for expert in supernet.stored(WEIGHT)], 1)
        shares = torch.linalg.lstsq(parts, mixed.flatten()[:, None]).solution.flatten()
        torch.testing.assert_close(parts @ shares, mixed.flatten())
        assert shares.sum().item() == pytest.approx(1, abs=1e-4)
        assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.1)
        mixtures.append(tuple(shares.tolist()))
    assert len(set(mixtures)) > 1


def test_first_mixtures_keep_the_scale(supernet: Supernet, small_space: MobileNetV3) -> None:
    """A mixture has about the deviation that the plain weight begins with."""
    mixed, plain = supernet.weights(small_space.largest()), Supernet(small_space, 0).shared
    for name in ("feature.weight", "final.conv.weight"):
        assert mixed[name].std().item() == pytest.approx(plain[name].std().item(), rel=0.2)


def test_gradients_reach_router_and_experts(supernet: Supernet, small_space: MobileNetV3) -> None:
    """From the first step, every tensor of a network's weights and of the router learns."""
    supernet.zero_grad()
    supernet(torch.randn((8, 1, 8, 8)), small_space.largest()).square().mean().backward()
    for name, tensor in supernet.shared.items():
        assert tensor.grad is not None, name
        assert tensor.grad.any(), name
    assert set(ROUTER) <= set(supernet.shared)


def test_ordering_channels_moves_all_experts_alike(small_space: MobileNetV3) -> None:
    """The largest network stays the same function, and the channels of every expert are in another order."""
    supernet = Supernet(small_space, 0, settings=SupernetSettings(experts=2, kernel_transformation=True))
    images, genotype = torch.randn((8, 1, 8, 8)), small_space.largest()
    name = "stage0.block0.expand.conv.weight"
    before, first = supernet(images, genotype), [expert.detach().clone() for expert in supernet.stored(name)]
    order_channels(supernet, {}, [])
    torch.testing.assert_close(supernet(images, genotype), before, rtol=1e-4, atol=1e-5)
    for expert, old in zip(supernet.stored(name), first, strict=True):
        assert not torch.equal(expert, old)
        assert sorted(expert.flatten().tolist()) == sorted(old.flatten().tolist())
