"""Zero-cost scores of networks that are small enough to work them out another way."""

import numpy as np
import pytest
import torch
from torch import nn

from search_spaces.families.nasbench201 import NasBench201
from search_spaces.graph import Graph
from search_spaces.layers import activation, linear
from search_spaces.zero_cost.network import Batch, FreshNetwork
from search_spaces.zero_cost.registry import ZERO_COST
from search_spaces.zero_cost.scoring import zero_cost_scores

N, INPUTS, HIDDEN, CLASSES = 6, 5, 24, 3


@pytest.fixture
def graph() -> Graph:
    """Two layers with a ReLU between."""
    g = Graph("two")
    x = linear(g, g.input("x", (1, INPUTS)), "first", HIDDEN)
    g.output(linear(g, activation(g, x, "act", "relu"), "second", CLASSES))
    return g


@pytest.fixture
def batch() -> Batch:
    """Random samples."""
    generator = torch.Generator().manual_seed(5)
    return Batch(torch.randn(N, INPUTS, generator=generator), torch.tensor([0, 1, 2, 0, 1, 2]))


@pytest.fixture
def module(graph: Graph) -> nn.Sequential:
    """The same network of torch's own modules."""
    weights = FreshNetwork(graph, 0).weights
    made = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    made.load_state_dict(
        {
            "0.weight": weights["first.weight"],
            "0.bias": weights["first.bias"],
            "2.weight": weights["second.weight"],
            "2.bias": weights["second.bias"],
        }
    )
    return made


def value(name: str, graph: Graph, batch: Batch) -> float:
    """A score that must be there."""
    found = zero_cost_scores(graph, [name], batch, 0)[name]
    assert found.cause is None
    return found.value


def gradients(module: nn.Sequential, batch: Batch) -> list[torch.Tensor]:
    """Of both weights."""
    module.zero_grad()
    nn.functional.cross_entropy(module(batch.inputs), batch.labels).backward()
    return [module[0].weight.grad.clone(), module[2].weight.grad.clone()]


def test_synflow_is_the_flow_through_all_paths(graph: Graph, batch: Batch, module: nn.Sequential) -> None:
    """In a chain without biases every layer sees the whole flow, ones times |W1| times |W2|."""
    first, second = (module[i].weight.detach().abs().double() for i in (0, 2))
    flow = float((second @ first @ torch.ones(INPUTS, dtype=torch.float64)).sum())
    assert value("synflow", graph, batch) == pytest.approx(2 * flow, rel=1e-6)


def test_gradient_scores_are_those_of_torch(graph: Graph, batch: Batch, module: nn.Sequential) -> None:
    """snip, grad_norm and zico from the gradients of torch's own modules."""
    found = gradients(module, batch)
    weights = [module[0].weight.detach(), module[2].weight.detach()]
    snip = sum(float((w * g).abs().sum()) for w, g in zip(weights, found, strict=True))
    assert value("snip", graph, batch) == pytest.approx(snip, rel=1e-5)
    assert value("grad_norm", graph, batch) == pytest.approx(sum(float(g.norm()) for g in found), rel=1e-5)
    halves = [gradients(module, Batch(batch.inputs[rows], batch.labels[rows])) for rows in (slice(3), slice(3, 6))]
    zico = 0.0
    for layer in zip(*halves, strict=True):
        sizes = np.abs(np.array([each.numpy() for each in layer], np.float64)).reshape(2, -1)
        mean, deviation = sizes.mean(axis=0), sizes.std(axis=0)
        zico += np.log((mean[deviation > 0] / deviation[deviation > 0]).sum())
    assert value("zico", graph, batch) == pytest.approx(zico, rel=1e-3)


def test_grasp_is_a_product_with_the_hessian(graph: Graph, batch: Batch, module: nn.Sequential) -> None:
    """The product is the change of the gradient along itself, by central differences."""
    module.double()
    exact = Batch(batch.inputs.double(), batch.labels)
    slopes, step = gradients(module, exact), 1e-5
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            for layer, slope in zip((0, 2), slopes, strict=True):
                module[layer].weight += sign * step * slope
        ends.append(gradients(module, exact))
        with torch.no_grad():
            for layer, slope in zip((0, 2), slopes, strict=True):
                module[layer].weight -= sign * step * slope
    change = [(up - down) / (2 * step) for up, down in zip(*ends, strict=True)]
    expected = -sum(float((module[i].weight.detach() * c).sum()) for i, c in zip((0, 2), change, strict=True))
    assert value("grasp", graph, batch) == pytest.approx(expected, rel=1e-3)


def test_fisher_is_of_the_outputs_of_layers(graph: Graph, batch: Batch, module: nn.Sequential) -> None:
    """Half the mean square of activation times gradient, summed."""
    hidden = module[0](batch.inputs).detach().requires_grad_()
    logits = module[2](torch.relu(hidden))
    slopes = torch.autograd.grad(nn.functional.cross_entropy(logits, batch.labels), [hidden, logits])
    expected = sum(
        float(((a.detach() * g) ** 2).mean(0).sum() / 2) for a, g in zip((hidden, logits), slopes, strict=True)
    )
    assert value("fisher", graph, batch) == pytest.approx(expected, rel=1e-5)


def test_naswot_counts_units_on_the_same_side(graph: Graph, batch: Batch, module: nn.Sequential) -> None:
    """Its matrix is the number of hidden units that agree."""
    active = (module[0](batch.inputs) > 0).numpy()
    alike = (active[:, None] == active[None]).sum(axis=2).astype(np.float64)
    sign, logarithm = np.linalg.slogdet(alike)
    assert sign > 0
    assert value("naswot", graph, batch) == pytest.approx(logarithm, rel=1e-6)


def test_jacov_is_from_the_correlations_of_slopes(graph: Graph, batch: Batch, module: nn.Sequential) -> None:
    """The formula of the paper's first version, with torch's own gradients of the inputs."""
    inputs = batch.inputs.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(module(inputs).sum(), [inputs])
    values = np.maximum(np.linalg.eigvalsh(np.corrcoef(slopes.double().numpy())), 0) + 1e-5
    assert value("jacov", graph, batch) == pytest.approx(-np.sum(np.log(values) + 1 / values), rel=1e-2)


def test_zen_does_not_see_the_scale_of_layers() -> None:
    """Normalisation takes the scale of a layer out of the features, and the score puts it back in: it adds up."""
    space = NasBench201(resolution=8, cells=1, widths=(4, 8))
    rows = [[3, 0, 0, 3, 0, 0], [3, 3, 0, 3, 3, 0], [3, 3, 3, 3, 3, 3]]
    found = [zero_cost_scores(space.graph(np.array(row, np.int16)), ["zen"], None, 0)["zen"].value for row in rows]
    assert found[0] < found[1] < found[2]


def test_cheap_ones_are_fast() -> None:
    """A network of NAS-Bench-201 of typical size: synflow and naswot of 16 images in 150 ms each, best of three."""
    generator = torch.Generator().manual_seed(0)
    samples = Batch(torch.randn(16, 3, 32, 32, generator=generator), torch.zeros(16, dtype=torch.int64))
    network = NasBench201().graph(np.array([2, 4, 1, 4, 3, 0], np.int16))
    runs = [zero_cost_scores(network, ["synflow", "naswot"], samples, 0) for _ in range(3)]
    for name in ("synflow", "naswot"):
        assert min(run[name].seconds for run in runs) < 0.15
    assert set(runs[0]) < set(ZERO_COST)
