"""Weight sharing: slices, gradients, statistics, against torch's own modules."""

from types import ModuleType

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from search_spaces.covering import covering_genotypes
from search_spaces.decision import Condition, Decision
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.families.vision_transformer import VisionTransformer
from search_spaces.graph import Graph
from search_spaces.interchange.onnx_file import model_bytes
from search_spaces.layers import conv, conv_norm, global_pool, linear
from search_spaces.space import Pick, SearchSpace
from search_spaces.supernet.supernet import CACHED_SUBNETS, Supernet


@pytest.fixture(scope="module")
def supernet(small_space: MobileNetV3) -> Supernet:
    """A supernet with weights away from their first values, so that nothing is equal by being zero."""
    net = Supernet(small_space, seed=3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return net


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Sixteen grey images of 8 px."""
    return torch.randn((16, 1, 8, 8), generator=torch.Generator().manual_seed(1))


def random_genotypes(space: SearchSpace, n: int = 6) -> np.ndarray:
    """The largest, the smallest and a few more."""
    return np.concatenate([space.largest()[None], space.smallest()[None], space.sample(n, np.random.default_rng(5))])


def test_every_option_is_covered(small_space: MobileNetV3) -> None:
    """The genotypes that the sizes are taken from use each option of each decision where it matters."""
    population = covering_genotypes(small_space, np.random.default_rng(0), random=0)
    active = small_space.active(population)
    for column, decision in enumerate(small_space.decisions):
        used = set(population[active[:, column], column].tolist())
        assert used == set(range(len(decision.options))), decision.name


def test_weights_are_views_of_shared_memory(supernet: Supernet, small_space: MobileNetV3) -> None:
    """No subnet copies a tensor, and the largest uses the shared tensors themselves."""
    for genotype in random_genotypes(small_space):
        for name, view in supernet.weights(genotype).items():
            assert view.untyped_storage().data_ptr() == supernet.shared[name].untyped_storage().data_ptr()
    weights = supernet.weights(small_space.largest())
    assert all(weights[name] is supernet.shared[name] for name in weights)
    assert set(weights) == set(supernet.shared)


def test_kernels_are_centred_and_channels_lead(supernet: Supernet, small_space: MobileNetV3) -> None:
    """A 3x3 kernel is the middle of the 5x5 one, fewer channels are the first ones."""
    weights = supernet.weights(small_space.smallest())
    name = "stage0.block0.depthwise.conv.weight"
    full = supernet.shared[name]
    assert full.shape == (24, 1, 5, 5)
    assert weights[name].shape == (16, 1, 3, 3)
    torch.testing.assert_close(weights[name], full[:16, :, 1:4, 1:4], rtol=0, atol=0)


def test_forward_is_the_network_written_by_hand(
    supernet: Supernet, small_space: MobileNetV3, images: torch.Tensor, torch_modules: ModuleType
) -> None:
    """Subnets equal ordinary modules with the same weights, in training and with recalibrated statistics."""
    for genotype in random_genotypes(small_space):
        choices = small_space.choices(genotype)
        peer = torch_modules.MobileNet(small_space.settings, choices)
        statistics = supernet.recalibrate(genotype, [images[:8], images[8:]])
        state = {**supernet.weights(genotype), **statistics}
        missing, unexpected = peer.load_state_dict(state, strict=False)
        assert not unexpected
        assert all(name.endswith("num_batches_tracked") for name in missing)
        x = nn.functional.interpolate(images, choices["resolution"], mode="bilinear", antialias=True)
        torch.testing.assert_close(supernet(images, genotype), peer(x), rtol=1e-3, atol=1e-4)
        peer.load_state_dict(state, strict=False)  # running the peer has moved its statistics
        torch.testing.assert_close(supernet(images, genotype, statistics), peer.eval()(x), rtol=1e-3, atol=1e-4)


def test_gradients_reach_the_subnet_and_nothing_else(
    supernet: Supernet, small_space: MobileNetV3, images: torch.Tensor
) -> None:
    """Every entry of a sampled subnet's tensors may learn; all other entries of the shared ones get nothing."""
    for genotype in random_genotypes(small_space):
        supernet.zero_grad()
        supernet(images, genotype).square().mean().backward()
        used = supernet.weights(genotype)
        for name, parameter in supernet.shared.items():
            if name not in used:
                assert parameter.grad is None, name
                continue
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name
            mask = torch.zeros_like(parameter)
            with torch.no_grad():
                view = used[name]
                mask.as_strided(view.shape, view.stride(), view.storage_offset()).fill_(1)
            assert not parameter.grad[mask == 0].any(), name
    supernet.zero_grad()


def test_recalibration_is_the_population_and_changes_nothing(
    supernet: Supernet, small_space: MobileNetV3, images: torch.Tensor, torch_modules: ModuleType
) -> None:
    """On one batch the statistics are those that `nn.BatchNorm2d` gathers, its bias correction taken back."""
    genotype = small_space.smallest()
    before = {name: value.clone() for name, value in supernet.shared.items()}
    statistics = supernet.recalibrate(genotype, [images])
    peer = torch_modules.MobileNet(small_space.settings, small_space.choices(genotype))
    peer.load_state_dict(supernet.weights(genotype), strict=False)
    counts = {}
    for name, module in peer.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # average over all batches since the start
            module.register_forward_hook(
                lambda module, inputs, output, name=name: counts.update({name: inputs[0].numel() // inputs[0].shape[1]})
            )
    peer(nn.functional.interpolate(images, 6, mode="bilinear", antialias=True))
    buffers = dict(peer.named_buffers())
    assert counts
    assert len(statistics) == 2 * len(counts)
    for name, count in counts.items():
        torch.testing.assert_close(
            statistics[f"{name}.running_mean"], buffers[f"{name}.running_mean"], rtol=1e-3, atol=1e-5
        )
        biased = buffers[f"{name}.running_var"] * (count - 1) / count
        torch.testing.assert_close(statistics[f"{name}.running_var"], biased, rtol=1e-3, atol=1e-5)
    assert all(torch.equal(before[name], value) for name, value in supernet.shared.items())


def test_exported_state_runs_alike_in_onnx_runtime(
    supernet: Supernet, small_space: MobileNetV3, images: torch.Tensor
) -> None:
    """The arrays of a subnet, folded into an ONNX file, give what the supernet gives with its statistics."""
    for genotype in random_genotypes(small_space, 2):
        statistics = supernet.recalibrate(genotype, [images])
        state = supernet.subnet_state(genotype, statistics)
        assert all(array.flags.c_contiguous for array in state.values())
        graph = small_space.graph(genotype)
        session = onnxruntime.InferenceSession(model_bytes(graph, state), providers=["CPUExecutionProvider"])
        size = graph.inputs[0].shape[2]
        x = images if size == 8 else nn.functional.interpolate(images, size, mode="bilinear", antialias=True)
        (logits,) = session.run(None, {"image": x.numpy()})
        with torch.no_grad():
            expected = supernet(x, genotype, statistics)
        np.testing.assert_allclose(logits, expected.numpy(), rtol=1e-3, atol=1e-4)


def test_exported_state_is_a_copy(supernet: Supernet, small_space: MobileNetV3, images: torch.Tensor) -> None:
    """Training on does not change what was exported."""
    genotype = small_space.largest()
    state = supernet.subnet_state(genotype, supernet.recalibrate(genotype, [images]))
    address = supernet.shared["logits.weight"].data_ptr()
    assert state["logits.weight"].ctypes.data != address


def test_statistics_of_another_subnet_are_refused(
    supernet: Supernet, small_space: MobileNetV3, images: torch.Tensor
) -> None:
    """Statistics belong to one subnet; those of another do not fit, and none at all are named as well."""
    statistics = supernet.recalibrate(small_space.smallest(), [images])
    with pytest.raises(ValueError, match=r"statistics 'stage0.block0.*recalibrate the subnet first"):
        supernet.subnet_state(small_space.largest(), statistics)
    with pytest.raises(ValueError, match="no tensor was given"):
        supernet(images, small_space.largest(), {})
    with pytest.raises(ValueError, match="at least one batch"):
        supernet.recalibrate(small_space.largest(), [])


def test_same_seed_same_values(small_space: MobileNetV3) -> None:
    """First values depend on the seed alone."""
    first, again, other = (Supernet(small_space, seed).shared for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["stem.conv.weight"], other["stem.conv.weight"])


def test_first_values_keep_the_scale(small_space: MobileNetV3) -> None:
    """Convolutions have variance 2 / fan-in, the classifier 1 / fan-in; scales are 1 and biases 0."""
    net = Supernet(small_space, 0)
    weight = net.shared["final.conv.weight"]
    assert weight.std().item() == pytest.approx((2 / weight.shape[1]) ** 0.5, rel=0.15)
    weight = net.shared["feature.weight"]
    assert weight.std().item() == pytest.approx(weight.shape[1] ** -0.5, rel=0.15)
    assert (net.shared["final.bn.weight"] == 1).all()
    assert (net.shared["logits.bias"] == 0).all()


def test_wrong_inputs_are_refused(supernet: Supernet, small_space: MobileNetV3) -> None:
    """Images of the wrong number of channels, and rows that are no genotype."""
    with pytest.raises(ValueError, match=r"takes inputs of \(N, 1, 8, 8\), got \(2, 3, 8, 8\)"):
        supernet(torch.zeros(2, 3, 8, 8), small_space.largest())
    with pytest.raises(ValueError, match="one column per decision"):
        supernet.weights(np.zeros(3, np.int16))


def test_few_plans_are_kept(small_space: MobileNetV3) -> None:
    """The cache of planned networks is bounded and answers with the same plan."""
    supernet, largest = Supernet(small_space, 0), small_space.largest()
    assert supernet.subnet(largest) is supernet.subnet(largest.copy())
    for genotype in small_space.sample(2 * CACHED_SUBNETS, np.random.default_rng(0)):
        supernet.subnet(genotype)
    assert len(supernet._subnets) == CACHED_SUBNETS


class Conditional(SearchSpace):
    """A space whose `wide` decision matters only beside the option that the largest network does not take."""

    name = "conditional"

    def __init__(self) -> None:
        decisions = (
            Decision("repeat", (1, 2)),
            Decision("wide", (8, 64), (Condition("repeat", (1,)),)),
        )
        super().__init__(decisions, {})

    def assemble(self, pick: Pick) -> Graph:
        """One wide layer or two narrow ones."""
        g = Graph(self.name)
        x = g.input("image", (1, 2, 4, 4))
        repeat = pick("repeat")
        x = conv_norm(g, x, "a", 16 if repeat == 2 else pick("wide"))
        if repeat == 2:
            x = conv_norm(g, x, "b", 16)
        g.output(linear(g, global_pool(g, x, "pool"), "logits", 2))
        return g


def test_sizes_behind_conditions_are_found() -> None:
    """A tensor that is large only where the largest network is not is allocated large."""
    assert Supernet(Conditional(), 0).shared["a.conv.weight"].shape == (64, 2, 1, 1)


class Product(SearchSpace):
    """A space whose width is the product of many decisions, which no option alone shows."""

    name = "product"

    def __init__(self) -> None:
        super().__init__(tuple(Decision(f"d{i}", (2, 1, -1)) for i in range(12)), {})

    def assemble(self, pick: Pick) -> Graph:
        """A convolution."""
        g = Graph(self.name)
        negative = sum(pick(f"d{i}") == -1 for i in range(12))
        g.output(conv(g, g.input("image", (1, 1, 4, 4)), "a", 8 if negative < 12 else 9))
        return g


def test_larger_than_allocated_is_a_clear_error() -> None:
    """A network that needs more than any covering one is refused by name and sizes."""
    space = Product()
    supernet = Supernet(space, 0)
    with pytest.raises(ValueError, match=r"needs 'a.weight' of \(9, 1, 1, 1\) .* holds \(8, 1, 1, 1\)"):
        supernet.weights(np.full(12, 2, np.int16))


def test_only_kernels_are_centred() -> None:
    """The features of a table of positions belong to those of all other tensors, the leading ones."""
    space = VisionTransformer(
        resolutions=(16,), patch=4, widths=(16, 32), heads=(2,), depths=(2,), stems=("patch",), classes=4
    )
    supernet = Supernet(space, seed=0)
    narrow = supernet.weights(space.smallest())
    cut = [name for name, tensor in narrow.items() if tensor.shape != supernet.shared[name].shape]
    assert {supernet.shared[name].dim() for name in cut} >= {1, 2, 3}
    for name in cut:
        leading = supernet.shared[name][tuple(map(slice, narrow[name].shape))]
        torch.testing.assert_close(narrow[name], leading, rtol=0, atol=0)
