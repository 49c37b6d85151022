"""Relaxed networks: a mixture is the weighted sum, a one-hot one the plain network, bad candidates are refused."""

from collections.abc import Callable
from itertools import combinations
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from search_spaces.decision import Decision
from search_spaces.families.darts import Darts
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.families.resnet50 import ResNet50
from search_spaces.families.transformer_lm import TransformerLM
from search_spaces.gradient.mixing import Paths
from search_spaces.gradient.relaxed_supernet import RelaxedSupernet
from search_spaces.gradient.structure import Structure
from search_spaces.graph import Graph, GraphError
from search_spaces.layers import conv, global_pool, linear
from search_spaces.space import Genotype, Pick, SearchSpace
from search_spaces.supernet.settings import SupernetSettings
from search_spaces.supernet.supernet import Supernet


class TwoConvolutions(SearchSpace):
    """One decision in two places: a 1x1 or a 3x3 convolution, or nothing at all; `odd` channels are added to one."""

    name: ClassVar[str] = "two_convolutions"

    def __init__(self, *, odd: int = 0) -> None:
        super().__init__((Decision("kernel", ("one", "three", "keep")),), {"odd": odd})
        self.odd = odd

    def assemble(self, pick: Pick) -> Graph:
        """From `image` (1, 4, 6, 6) to `logits` (1, 3)."""
        g = Graph(self.name)
        x = g.input("image", (1, 4, 6, 6))
        for place in range(2):
            before, name = x, f"place{place}"
            x = pick.op(
                "kernel",
                {
                    "one": lambda x=before, name=name: conv(g, x, f"{name}.one", x.shape[1]),
                    "three": lambda x=before, name=name: conv(g, x, f"{name}.three", x.shape[1] + self.odd, 3),
                    "keep": lambda x=before: x,
                },
            )
        g.output(linear(g, global_pool(g, x, "pool"), "logits", 3))
        return g


def whole(structure: Structure, row: Genotype, **how: int) -> Paths:
    """Every candidate of every structural decision."""
    space = structure.space
    return structure.paths(row, {c: tuple(range(len(space.decisions[c].options))) for c in structure.operators}, **how)


def random_norms(supernet: Supernet) -> None:
    """Scales and biases that are not those of the beginning, so that nothing is zero by accident."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in supernet.shared.values():
            value += 0.2 * torch.randn(value.shape, generator=generator)


def test_a_mixture_is_the_weighed_sum_of_its_candidates() -> None:
    """Two places of one decision share its weights; output and gradients are those of the sum written by hand."""
    space = TwoConvolutions()
    supernet = Supernet(space, seed=0)
    relaxed, structure = RelaxedSupernet(supernet), Structure(space)
    x = torch.randn(5, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([0.5, 0.2, 0.3], requires_grad=True)
    shared = supernet.shared

    def by_hand(share: Tensor) -> Tensor:
        y = x
        for place in range(2):
            one = torch.conv2d(y, shared[f"place{place}.one.weight"])
            three = torch.conv2d(y, shared[f"place{place}.three.weight"], padding=1)
            y = share[0] * one + share[1] * three + share[2] * y
        return y.mean((2, 3)) @ shared["logits.weight"].T + shared["logits.bias"]

    found = relaxed(x, whole(structure, space.largest()), {"kernel": weights})
    torch.testing.assert_close(found, by_hand(weights))
    (gradient,) = torch.autograd.grad(found.square().sum(), [weights])
    (expected,) = torch.autograd.grad(by_hand(weights).square().sum(), [weights])
    torch.testing.assert_close(gradient, expected)


def test_gradients_of_weights_agree_with_finite_differences() -> None:
    """In float64, through batch norms and shared decisions."""
    space = NasBench201(resolution=4, widths=(4, 8), cells=1, nodes=3, classes=3)
    supernet = Supernet(space, seed=0).double()
    relaxed, structure = RelaxedSupernet(supernet), Structure(space)
    x = torch.randn(4, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    paths = whole(structure, space.largest())
    generator = torch.Generator().manual_seed(2)
    start = {name: torch.rand(5, dtype=torch.float64, generator=generator, requires_grad=True) for name in space.names}

    def loss(*vectors: Tensor) -> Tensor:
        return relaxed(x, paths, dict(zip(space.names, vectors, strict=True))).square().mean()

    assert torch.autograd.gradcheck(loss, tuple(start.values()), eps=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "space",
    [
        NasBench201(resolution=8, widths=(4, 8), cells=1, operations=("skip_connect", "nor_conv_1x1", "avg_pool_3x3")),
        Darts(resolution=8, width=4, layers=3, nodes=3, operations=("skip_connect", "sep_conv_3x3", "max_pool_3x3")),
    ],
    ids=["nasbench201", "darts"],
)
def test_one_hot_weights_give_the_plain_network_exactly(space: SearchSpace) -> None:
    """Every candidate is built, and all but the chosen ones weigh nothing."""
    supernet = Supernet(space, seed=0)
    random_norms(supernet)
    relaxed, structure = RelaxedSupernet(supernet), Structure(space)
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for row in space.sample(3, np.random.default_rng(0)):
        weights = {space.names[c]: torch.eye(len(space.decisions[c].options))[int(row[c])] for c in structure.operators}
        assert torch.equal(relaxed(x, whole(structure, row), weights), supernet(x, row))


@pytest.mark.parametrize(
    "space",
    [NasBench201(resolution=8, widths=(4, 8), cells=1), Darts(resolution=8, width=4, layers=3, nodes=2)],
    ids=["nasbench201", "darts"],
)
def test_single_candidates_give_the_plain_network_exactly(space: SearchSpace) -> None:
    """Zeros are handed on as in plain networks, with weights of 1 or without any."""
    supernet = Supernet(space, seed=0)
    random_norms(supernet)
    relaxed, structure = RelaxedSupernet(supernet), Structure(space)
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    ones = {name: torch.ones(1) for name in space.names}
    for row in space.sample(4, np.random.default_rng(0)):
        plain = supernet(x, row)
        assert torch.equal(relaxed(x, structure.paths(row), ones), plain)
        assert torch.equal(relaxed(x, structure.paths(row, weighed=False), {}), plain)


def test_watched_candidates_get_no_gradients_but_their_weights_do() -> None:
    """The output is that of the network that runs; what the other candidate would change is known all the same."""
    space = NasBench201(resolution=8, widths=(4,), cells=1, nodes=2, operations=("nor_conv_1x1", "nor_conv_3x3"))
    supernet = Supernet(space, seed=0)
    relaxed, structure = RelaxedSupernet(supernet), Structure(space)
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    row = np.zeros(1, np.int16)
    weights = torch.tensor([1.0, 0.0], requires_grad=True)
    both, watched = (
        relaxed(x, structure.paths(row, {0: (0, 1)}, seen), {"edge1_from_0": weights}) for seen in ({}, {0: (1,)})
    )
    assert torch.equal(both, watched)
    assert torch.equal(watched, supernet(x, row))
    kernels = [supernet.shared[f"stage0.cell0.edge1_from_0.nor_conv_{k}x{k}.conv.weight"] for k in (1, 3)]
    gradients = torch.autograd.grad(watched.square().sum(), [weights, *kernels], allow_unused=True)
    expected = torch.autograd.grad(both.square().sum(), [weights, kernels[0]])
    torch.testing.assert_close(gradients[:2], expected)
    assert gradients[2] is None


def test_an_edge_is_as_strong_as_the_pairs_that_hold_it() -> None:
    """Pairs of inputs are mixed with each edge built once: pairs with equal sums over each input give one network."""
    space = Darts(resolution=8, width=4, layers=3, nodes=3, operations=("skip_connect", "sep_conv_3x3"))
    supernet = Supernet(space, seed=0)
    relaxed, structure = RelaxedSupernet(supernet), Structure(space)
    assert structure.structural.all()
    assert structure.identity[space.names.index("normal_edge3_from_2")].tolist() == [True, False]
    assert not structure.identity[space.names.index("reduce_edge2_from_0")].any()
    assert not structure.identity[space.names.index("normal_inputs3")].any()
    weights = {decision.name: torch.full((len(decision.options),), 1 / 3) for decision in space.decisions}
    pairs = list(combinations(range(4), 2))
    moved = [0.1 if pair in ((0, 1), (2, 3)) else -0.1 if pair in ((0, 2), (1, 3)) else 0 for pair in pairs]
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    paths = whole(structure, space.largest())
    first = relaxed(x, paths, weights)
    second = relaxed(x, paths, {**weights, "normal_inputs4": weights["normal_inputs4"] + torch.tensor(moved)})
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("partial", [2, 4])
def test_partial_channels_go_through_the_candidates(partial: int) -> None:
    """The candidates see the leading channels through leading slices of their kernels; the others are shuffled in."""
    space = TwoConvolutions()
    supernet = Supernet(space, seed=0)
    relaxed, structure = RelaxedSupernet(supernet), Structure(space)
    x = torch.randn(5, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    share, shared, part = torch.tensor([0.5, 0.2, 0.3]), supernet.shared, 4 // partial
    y = x
    for place in range(2):
        seen, around = y[:, :part], y[:, part:]
        one = torch.conv2d(seen, shared[f"place{place}.one.weight"][:part, :part])
        three = torch.conv2d(seen, shared[f"place{place}.three.weight"][:part, :part], padding=1)
        y = torch.cat([share[0] * one + share[1] * three + share[2] * seen, around], 1)
        y = torch.nn.functional.channel_shuffle(y, partial)
    expected = y.mean((2, 3)) @ shared["logits.weight"].T + shared["logits.bias"]
    found = relaxed(x, whole(structure, space.largest(), partial=partial), {"kernel": share})
    torch.testing.assert_close(found, expected)


def test_partial_channels_that_cannot_be_are_refused() -> None:
    """Candidates must read one image and keep its channels."""
    space = TwoConvolutions()
    relaxed, structure = RelaxedSupernet(Supernet(space, seed=0)), Structure(space)
    with pytest.raises(ValueError, match=r"a multiple of 3; those of decision 'kernel' read 4 and make"):
        relaxed.network(whole(structure, space.largest(), partial=3))
    text = TransformerLM(length=8, depths=(1,), widths=(16,), heads=(2,), head_dim=8, window=4, chunk=4)
    relaxed, structure = RelaxedSupernet(Supernet(text, seed=0)), Structure(text)
    with pytest.raises(ValueError, match=r"read one image \(1, C, H, W\); those of decision 'attention0' read"):
        relaxed.network(whole(structure, text.largest(), partial=2))


def test_candidates_of_different_shapes_are_refused() -> None:
    """The message names the decision, the options and their shapes."""
    with pytest.raises(
        GraphError, match=r"'kernel' must have one shape to be mixed, got 'one' \(1, 4, 6, 6\), 'three'"
    ):
        Structure(TwoConvolutions(odd=4))


@pytest.mark.parametrize(
    ("make", "structural"),
    [
        (lambda: TransformerLM(length=32), "attention"),
        (lambda: ResNet50(), "stem_block"),
        (lambda: MobileNetV3(), "nothing"),
    ],
    ids=["transformer_lm", "resnet50", "mobilenet_v3"],
)
def test_kinds_of_decisions(make: Callable[[], SearchSpace], structural: str) -> None:
    """Decisions are told apart by how they are asked for, those of deep layers included."""
    space = make()
    found = Structure(space).structural
    assert found.tolist() == [name.startswith(structural) for name in space.names]


def test_skips_are_counted_where_there_is_a_choice() -> None:
    """The share is over active decisions that have an identity among their options."""
    space = NasBench201(resolution=8, widths=(4,), cells=1)
    structure = Structure(space)
    skip = space.operations.index("skip_connect")
    row = np.array([skip, skip, 0, 2, 2, skip], np.int16)
    assert structure.skip_share(row) == 0.5
    assert Structure(MobileNetV3()).skip_share(MobileNetV3().largest()) == 0


def test_experts_are_refused() -> None:
    """Their router reads one genotype."""
    space = TwoConvolutions()
    with pytest.raises(ValueError, match="experts must be 1"):
        RelaxedSupernet(Supernet(space, seed=0, settings=SupernetSettings(experts=2)))


def test_weights_that_are_missing_are_named() -> None:
    """A relaxed network does not run without them."""
    space = TwoConvolutions()
    relaxed, structure = RelaxedSupernet(Supernet(space, seed=0)), Structure(space)
    with pytest.raises(ValueError, match=r"needs weights for \['kernel'\]"):
        relaxed(torch.zeros(2, 4, 6, 6), whole(structure, space.largest()), {})
