"""Kernel transformation: it begins as plain slices, chains from size to size, learns, and is exported."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.supernet.kernel_transformation import chains
from search_spaces.supernet.settings import SupernetSettings
from search_spaces.supernet.supernet import Supernet

TRANSFORMED = SupernetSettings(kernel_transformation=True)
KERNEL = "stage0.block0.depthwise.conv.weight"


@pytest.fixture(scope="module")
def space() -> MobileNetV3:
    """One stage with kernels of 3, 5 and 7."""
    return MobileNetV3(
        classes=3, channels=1, resolutions=(8,), widths=(8,), strides=(1,), activations=("relu",),
        squeeze_excite=(False,), depths=(1,), expansions=(2, 3), kernels=(3, 5, 7), stem_width=8, stem_stride=1,
        final_width=16, feature_width=16,
    )  # fmt: skip


def genotypes(space: MobileNetV3) -> dict[int, np.ndarray]:
    """The largest network but for its kernel, by that."""
    rows = {}
    for option, kernel in enumerate((3, 5, 7)):
        rows[kernel] = space.largest()
        rows[kernel][space.names.index("kernel0")] = option
    return rows


def test_it_begins_as_plain_slices(space: MobileNetV3) -> None:
    """The same seed gives the same weights with and without, in every network."""
    plain, transformed = Supernet(space, 4), Supernet(space, 4, settings=TRANSFORMED)
    added = set(transformed.shared) - set(plain.shared)
    assert added == {f"{KERNEL}@5x5", f"{KERNEL}@3x3"}
    for genotype in space.sample(8, np.random.default_rng(0)):
        own = transformed.weights(genotype)
        for name, tensor in plain.weights(genotype).items():
            assert torch.equal(own[name], tensor), name


def test_a_kernel_comes_from_the_next_larger_one(space: MobileNetV3) -> None:
    """As published: 5x5 from the centre of 7x7, 3x3 from the centre of that 5x5, one matrix for all channels."""
    supernet = Supernet(space, 0, settings=TRANSFORMED)
    with torch.no_grad():
        for name, tensor in supernet.shared.items():
            if "@" in name:
                tensor += 0.1 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(1))
    seven = supernet.shared[KERNEL]
    channels = len(seven)
    five = functional.linear(seven[:, :, 1:6, 1:6].reshape(channels, 25), supernet.shared[f"{KERNEL}@5x5"])
    centre = five.view(channels, 5, 5)[:, 1:4, 1:4].reshape(channels, 9)
    three = functional.linear(centre, supernet.shared[f"{KERNEL}@3x3"])
    rows = genotypes(space)
    assert supernet.weights(rows[7])[KERNEL] is seven
    torch.testing.assert_close(supernet.weights(rows[5])[KERNEL], five.view(channels, 1, 5, 5))
    torch.testing.assert_close(supernet.weights(rows[3])[KERNEL], three.view(channels, 1, 3, 3))


def test_gradients_reach_the_matrices_on_the_way(space: MobileNetV3) -> None:
    """A 3x3 kernel trains both matrices, a 5x5 kernel one, and the 7x7 kernel none."""
    supernet, rows = Supernet(space, 0, settings=TRANSFORMED), genotypes(space)
    for kernel, reached in ((7, set()), (5, {"5x5"}), (3, {"5x5", "3x3"})):
        supernet.zero_grad()
        supernet(torch.randn((4, 1, 8, 8)), rows[kernel]).square().mean().backward()
        found = {name for name, tensor in supernet.shared.items() if "@" in name and tensor.grad is not None}
        assert found == {f"{KERNEL}@{size}" for size in reached}
        assert all(bool(supernet.shared[name].grad.any()) for name in found)


def test_chains_of_sizes_that_do_not_contain_each_other() -> None:
    """Each size is made of the smallest one around it."""
    found = chains("k", (5, 5), [(3, 3), (1, 3), (3, 1), (5, 5)])
    assert {size: [step[1] for step in chain] for size, chain in found.items()} == {
        (3, 3): [(3, 3)],
        (3, 1): [(3, 3), (3, 1)],
        (1, 3): [(3, 3), (1, 3)],
    }


def test_nothing_to_transform_is_an_error() -> None:
    """A space whose kernels have one size each says so."""
    with pytest.raises(ValueError, match="nothing to transform: no network of space 'nasbench201'"):
        Supernet(NasBench201(classes=3, channels=1, resolution=8), 0, settings=TRANSFORMED)
