"""Channels: what is one axis may be permuted, what is elastic is sorted, and trained networks stay what they are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from search_spaces.covering import covering_genotypes
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.families.resnet50 import ResNet50
from search_spaces.families.transformer_lm import TransformerLM
from search_spaces.families.vision_transformer import VisionTransformer
from search_spaces.graph import Graph, Value
from search_spaces.layers import conv, global_pool, layer_norm, squeeze_excite
from search_spaces.operators import OPERATORS
from search_spaces.registry import SPACES
from search_spaces.space import Genotype, SearchSpace
from search_spaces.supernet.channel_axes import RULES, axis_groups
from search_spaces.supernet.channel_order import State, elastic_channels, order_channels
from search_spaces.supernet.phases import PhaseNetworks
from search_spaces.supernet.supernet import Supernet
from search_spaces.training import trainer as training
from search_spaces.training.settings import TrainingSettings
from search_spaces.training.trainer import SupernetTrainer

LAYERS = {"depths": (1, 2), "widths": (16, 24), "heads": (1, 2), "head_dim": 8}
VISION = {**LAYERS, "classes": 4, "channels": 1, "resolutions": (16,), "patch": 4, "mlp_ratios": (1, 2)}
TEXT = {**LAYERS, "vocabulary": 10, "length": 8, "feed_forwards": (1, 2), "window": 4, "chunk": 4}


def elastic_spaces() -> dict[str, tuple[Callable[[], SearchSpace], list[str]]]:
    """Spaces of elastic widths with parameters whose channels must be sorted: by axis 0, the last in transformers."""
    return {
        "resnet50": (
            lambda: ResNet50(classes=4, resolutions=(32,), widths=(32, 64), base_depths=(1, 1), stem_width=16),
            ["stage0.block1.reduce.conv.weight", "stage1.block2.expand.conv.weight"],
        ),
        "vision_transformer": (
            lambda: VisionTransformer(**VISION),
            ["layer0.mlp.inner.weight", "layer1.mlp.inner.weight", "stem.convolution0.conv.weight"],
        ),
        "vision_transformer of means": (
            lambda: VisionTransformer(**VISION, pooling="mean"),
            ["layer0.mlp.inner.weight", "layer1.attention.output.weight", "stem.patch.weight", "norm.weight"],
        ),
        "transformer_lm": (
            lambda: TransformerLM(**TEXT),
            ["layer0.feed_forward.inner.weight", "layer1.feed_forward.inner.bias"],
        ),
        "transformer_lm with rotary": (
            lambda: TransformerLM(**TEXT, positions="rotary"),
            ["layer0.feed_forward.inner.weight", "embedding.weight", "layer1.attention.output.weight"],
        ),
    }


def shaken(space: SearchSpace, *, genotype: Genotype | None = None) -> Supernet:
    """A supernet, or one network, whose scales and biases are no constants."""
    supernet = Supernet(space, 0, genotypes=None if genotype is None else genotype[None])
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in supernet.shared.values():
            value += 0.1 * torch.randn(value.shape, generator=generator)
    return supernet


def inputs(space: SearchSpace, genotype: Genotype) -> Tensor:
    """Three inputs of a network, of more than one sample so that the batch is told from other axes."""
    generator = torch.Generator().manual_seed(2)
    (given,) = space.graph(genotype).inputs
    if given.dtype == "int64":
        return torch.randint(0, 10, (3, *given.shape[1:]), generator=generator)
    return torch.randn((3, *given.shape[1:]), generator=generator)


@pytest.mark.parametrize("name", ["mobilenet_v3", *elastic_spaces()])
def test_ordering_keeps_the_largest_network_and_changes_narrower_ones(name: str, small_space: MobileNetV3) -> None:
    """The same function to rounding, the same numbers in every tensor, in another order where widths are elastic."""
    make, sorted_ones = elastic_spaces().get(
        name, (lambda: small_space, ["stage0.block0.expand.conv.weight", "stage1.block1.gate.reduce.weight"])
    )
    space = make()
    supernet = shaken(space)
    x = inputs(space, space.largest())
    before = {key: value.detach().clone() for key, value in supernet.shared.items()}
    with torch.no_grad():
        largest, smallest = supernet(x, space.largest()), supernet(x, space.smallest())
        order_channels(supernet, {}, [])
        torch.testing.assert_close(supernet(x, space.largest()), largest, rtol=1e-4, atol=1e-4)
        assert (supernet(x, space.smallest()) - smallest).abs().max() > 0.01
    for key, value in supernet.shared.items():
        assert torch.equal(value.flatten().sort().values, before[key].flatten().sort().values), key
    assert not any(torch.equal(supernet.shared[key], before[key]) for key in sorted_ones)
    for group in elastic_channels(supernet, covering_genotypes(space, np.random.default_rng(0))):
        norms = sum(
            supernet.shared[key].double().abs().movedim(axis, 0).flatten(1).sum(1) for key, axis in group.readers
        )
        assert isinstance(norms, Tensor)
        assert (norms.diff() <= 1e-9).all(), group.axes


def test_channels_of_trained_networks_stay_theirs(small_space: MobileNetV3) -> None:
    """Whatever earlier phases could draw computes the same afterwards; what is new does not."""
    space = small_space
    for elastic, newer in ((["kernel*", "depth*"], True), (["expand*", "depth1"], False)):
        supernet = shaken(space)
        phase = PhaseNetworks(space, elastic)
        drawn = phase.draw("sandwich", 12, np.random.default_rng(0))
        x = inputs(space, space.largest())
        with torch.no_grad():
            before = [supernet(x, genotype) for genotype in drawn]
            other = supernet(x, space.smallest())
            order_channels(supernet, {}, [phase])
            for genotype, output in zip(drawn, before, strict=True):
                torch.testing.assert_close(supernet(x, genotype), output, rtol=1e-4, atol=1e-4)
            assert torch.allclose(supernet(x, space.smallest()), other, atol=1e-4) != newer


def test_optimiser_state_moves_along(small_space: MobileNetV3) -> None:
    """What belongs to a weight's entry follows it; counters stay."""
    supernet = shaken(small_space)
    state = {
        value: {"exp_avg": value.detach().clone(), "step": torch.tensor(3.0)} for value in supernet.shared.values()
    }
    order_channels(supernet, state, [])
    for value in supernet.shared.values():
        assert torch.equal(state[value]["exp_avg"], value)
        assert state[value]["step"] == 3


@pytest.mark.parametrize("name", ["darts", "fbnet", "mobilenet_v3", "nasbench201", *elastic_spaces()])
def test_any_permutation_of_a_group_keeps_the_network(name: str, small_space: MobileNetV3) -> None:
    """Every group of every graph, elastic or not, permuted at random in one network: the same outputs."""
    makes: dict[str, Callable[[], SearchSpace]] = {key: make for key, (make, _) in elastic_spaces().items()}
    small = {"darts": {"layers": 3, "width": 4, "resolution": 16}, "nasbench201": {"cells": 1, "channels": 4}}
    makes["mobilenet_v3"] = lambda: small_space
    space = makes[name]() if name in makes else SPACES[name](**small.get(name, {}))
    rng = np.random.default_rng(0)
    for genotype in (space.largest(), *space.sample(2, rng)):
        supernet, x = shaken(space, genotype=genotype), inputs(space, genotype)[:2]
        with torch.no_grad():
            before = supernet(x, genotype)
            moved = 0
            for group in axis_groups(space.graph(genotype)):
                axes = [(key, axis) for key, axis in group.axes if key in supernet.shared]
                if group.fixed or not axes:
                    continue
                key, axis = axes[0]
                order = torch.from_numpy(rng.permutation(supernet.shared[key].shape[axis]))
                moved += len(order) > 1
                for key, axis in axes:
                    tensor = supernet.shared[key]
                    tensor.copy_(tensor.index_select(axis, order))
            torch.testing.assert_close(supernet(x, genotype), before, rtol=1e-3, atol=1e-3)
        assert moved > 1


def test_every_operator_has_a_rule_and_others_are_fixed() -> None:
    """The vocabulary is covered; of an operator from elsewhere nothing is assumed."""
    assert set(RULES) == set(OPERATORS)
    g = Graph("foreign")
    weight = g.parameter("weight", (4, 6))
    (y,) = g.add_foreign("Strange", weight, name="strange", outputs=[("y", (1, 6), "float32")], attributes={})
    g.output(g.add("MatMul", y, g.parameter("out", (6, 3)), name="z"))
    fixed = {axis: group.fixed for group in axis_groups(g) for axis in group.axes}
    assert all(fixed[axis] for axis in (("weight", 0), ("weight", 1), ("y", 1), ("out", 0), ("out", 1)))


def whole_numbers(g: Graph, *values: int) -> Value:
    """A constant of whole numbers."""
    return g.constant(f"whole{len(g.constants)}", np.array(values, np.int64))


def convolved(g: Graph, x: Value, groups: int) -> Value:
    """Eight channels from eight."""
    return conv(g, x, "next", 8, groups=groups)


OPERATIONS: dict[str, tuple[bool, Callable[[Graph, Value], Value]]] = {
    "activation": (True, lambda g, x: g.add("HardSwish", x, name="y")),
    "dense": (True, lambda g, x: convolved(g, x, 1)),
    "depthwise": (True, lambda g, x: convolved(g, x, 8)),
    "groups": (False, lambda g, x: convolved(g, x, 2)),
    "multiplied channels": (False, lambda g, x: conv(g, x, "next", 16, groups=8)),
    "constants for channels": (False, lambda g, x: g.add("Mul", x, g.constant("c", np.ones((8, 1, 1))), name="y")),
    "gate": (True, lambda g, x: squeeze_excite(g, x, "gate", 4)),
    "pooling": (True, lambda g, x: g.add("MaxPool", x, name="y", kernel_shape=[2, 2])),
    "global pooling": (True, lambda g, x: global_pool(g, x, "y")),
    "flattened positions": (False, lambda g, x: g.add("Flatten", x, name="y", axis=1)),
    "joined positions": (True, lambda g, x: g.add("Reshape", x, whole_numbers(g, 0, 8, -1), name="y")),
    "heads": (False, lambda g, x: g.add("Reshape", x, whole_numbers(g, 0, 2, 4, -1), name="y")),
    "in the batch": (False, lambda g, x: g.add("Reshape", x, whole_numbers(g, -1, 16), name="y")),
    "channels last": (True, lambda g, x: layer_norm(g, g.add("Transpose", x, name="t", perm=[0, 2, 3, 1]), "y")),
    "concatenated": (False, lambda g, x: g.add("Concat", x, x, name="y", axis=1)),
    "concatenated rows": (True, lambda g, x: g.add("Concat", x, x, name="y", axis=-2)),
    "split": (False, lambda g, x: g.add_split("Split", x, name="y", names=("y", "z"), axis=1, num_outputs=2)[0]),
    "split rows": (True, lambda g, x: g.add_split("Split", x, name="y", names=("y", "z"), axis=2, num_outputs=2)[0]),
    "slice": (
        False,
        lambda g, x: g.add("Slice", x, whole_numbers(g, 0), whole_numbers(g, 4), whole_numbers(g, 1), name="y"),
    ),
    "slice of the first axes": (
        False,
        lambda g, x: g.add("Slice", x, whole_numbers(g, 0, 0), whole_numbers(g, 1, 4), name="y"),
    ),
    "slice of rows": (
        True,
        lambda g, x: g.add("Slice", x, whole_numbers(g, 0), whole_numbers(g, 2), whole_numbers(g, -2), name="y"),
    ),
    "padded": (False, lambda g, x: g.add("Pad", x, whole_numbers(g, 0, 1, 0, 0, 0, 0, 0, 0), name="y")),
    "padded rows": (True, lambda g, x: g.add("Pad", x, whole_numbers(g, 0, 0, 1, 0, 0, 0, 0, 0), name="y")),
    "gathered": (False, lambda g, x: g.add("Gather", x, whole_numbers(g, 2), name="y", axis=1)),
    "gathered rows": (True, lambda g, x: g.add("Gather", x, whole_numbers(g, 2), name="y", axis=2)),
    "running sum": (False, lambda g, x: g.add("CumSum", x, whole_numbers(g, 1), name="y")),
    "running sum of rows": (True, lambda g, x: g.add("CumSum", x, whole_numbers(g, 2), name="y")),
    "softmax": (True, lambda g, x: g.add("Softmax", x, name="y", axis=1)),
    "mean of channels": (True, lambda g, x: g.add("ReduceMean", x, whole_numbers(g, 1), name="y", keepdims=0)),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_where_the_order_of_channels_matters(operation: str) -> None:
    """The channels of a convolution behind which one operation and a sum of everything follow."""
    free, add = OPERATIONS[operation]
    g = Graph("one operation")
    y = add(g, conv(g, g.input("image", (1, 3, 4, 4)), "first", 8))
    g.output(g.add("ReduceSum", y, name="sum", keepdims=0))
    (group,) = (group for group in axis_groups(g) if ("first.weight", 0) in group.axes)
    assert group.fixed != free
    assert all(group.fixed for group in axis_groups(g) if {("first.weight", 1), ("first.weight", 2)} & group.axes)


def test_ordered_once_when_the_phase_begins(
    small_space: MobileNetV3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a training that is resumed just there, and not in one that is resumed within the phase."""
    rng = np.random.default_rng(0)
    data = rng.standard_normal((16, 1, 8, 8)).astype(np.float32), np.arange(16) % 4
    phases = [{"epochs": 1, "elastic": ["kernel*"]}, {"epochs": 2, "order_channels": True}]
    settings = TrainingSettings(phases=phases, batch_size=16, warmup_epochs=0)
    calls: list[int] = []

    def counted(supernet: Supernet, state: State, earlier: list[PhaseNetworks]) -> None:
        calls.append(len(earlier))
        order_channels(supernet, state, earlier)

    monkeypatch.setattr(training, "order_channels", counted)
    whole = SupernetTrainer(small_space, settings, *data)
    seen = []
    while not whole.finished:
        whole.save(tmp_path / f"{whole.epoch}.safetensors")
        whole.train_epoch()
        seen.append(len(calls))
    assert seen == [0, 1, 1]
    assert calls == [1]
    for epoch, expected in ((1, 2), (2, 2)):
        resumed = SupernetTrainer(small_space, settings, *data)
        resumed.load(tmp_path / f"{epoch}.safetensors")
        while not resumed.finished:
            resumed.train_epoch()
        assert len(calls) == expected
