"""Spaces of existing PyTorch supernets: exported, read back, calibrated, never changed."""

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.costs.static import costs
from search_spaces.decision import Decision
from search_spaces.interchange.onnx_reader import read_model
from search_spaces.interchange.torch_export import export_module
from search_spaces.module_space import ModuleSpace

OPERATORS = {"Conv", "BatchNormalization", "Relu", "ReduceMean", "Gemm"}


class Slice(nn.Module):
    """A convolution and a batch norm of which a network uses the first channels, and a classifier."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, head: nn.Linear) -> None:
        super().__init__()
        self.conv, self.norm, self.head = conv, norm, head

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, S, S) -> (N, 4)."""
        y = functional.conv2d(x, self.conv.weight[: self.norm.num_features], padding=1)
        y = self.norm(y).relu().mean((2, 3))
        return functional.linear(y, self.head.weight[:, : y.shape[1]], self.head.bias)


class Small(ModuleSpace):
    """Two widths with a batch norm each, two resolutions, and a third choice that changes weights alone."""

    name, shape, input_name = "small", (1, 1, 8, 8), "image"

    def __init__(self) -> None:
        decisions = (Decision("width", (4, 8)), Decision("size", (6, 8)), Decision("head", ("first", "second")))
        super().__init__(decisions, {})
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 8, 3, bias=False)
        self.norms = {width: nn.BatchNorm2d(width) for width in (4, 8)}
        self.heads = {name: nn.Linear(8, 4) for name in ("first", "second")}

    def build(self, choices: Mapping[str, object]) -> nn.Module:
        """The network of some choices."""
        return Slice(self.conv, self.norms[choices["width"]], self.heads[choices["head"]])

    def input_shape(self, choices: Mapping[str, object]) -> tuple[int, ...]:
        """Resolution is a choice."""
        return (1, 1, choices["size"], choices["size"])


@pytest.fixture
def space() -> Small:
    """A fresh space."""
    return Small()


def test_the_file_is_the_small_network(space: Small) -> None:
    """Weights are written as they are used: sizes, costs and outputs are those of the subnet, for any batch."""
    rng = np.random.default_rng(0)
    batches = [torch.from_numpy(rng.standard_normal((16, 1, 8, 8), np.float32)) for _ in range(2)]
    for row in space.enumerate():
        choices = space.choices(row)
        module = space.module(row, batches)
        content = space.onnx(row, module, {"job": "x"})
        onnx.checker.check_model(content, full_check=True)
        model = read_model(content)
        width, size = choices["width"], choices["size"]
        assert model.metadata == {"job": "x"}
        assert costs(model.graph)["params"] == width * 9 + 2 * width + 4 * width + 4
        assert costs(model.graph)["macs"] == width * (9 * size * size + 4)
        assert {node.op for node in model.graph.nodes} == OPERATORS
        x = torch.from_numpy(rng.standard_normal((5, 1, size, size), np.float32))
        (found,) = onnxruntime.InferenceSession(content).run(None, {"image": x.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(found, module(x).numpy(), atol=1e-5)


def test_calibration_measures_and_changes_nothing_shared(space: Small) -> None:
    """Statistics are those of the batches, the supernet keeps its own, and weights are not copied."""
    row = space.genotype({"width": 8, "size": 8, "head": "first"})
    batch = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    module = space.module(row, [batch])
    with torch.no_grad():
        expected = functional.conv2d(batch, space.conv.weight, padding=1).mean((0, 2, 3))
    torch.testing.assert_close(module.norm.running_mean, expected)
    assert not module.training
    assert bool((space.norms[8].running_mean == 0).all())
    assert module.conv.weight is space.conv.weight
    assert bool((space.module(row).norm.running_mean == 0).all())


def test_costs_and_keys(space: Small) -> None:
    """Costs of a population are those of its graphs; choices of one structure are different networks."""
    rows = space.enumerate()
    found = space.costs(rows)
    assert [costs(space.graph(row))["macs"] for row in rows] == found["macs"].tolist()
    assert len({space.key(row) for row in rows}) == len(rows) == 8
    assert [space.key(row) for row in Small().enumerate()] == [space.key(row) for row in rows]
    assert space.choices(space.largest())["width"] == 8
    assert space.choices(space.smallest())["size"] == 6


def test_attention_is_exported_for_any_batch() -> None:
    """Arithmetic on shapes goes where it can, and what depends on the batch stays."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    module = nn.Sequential(nn.Embedding(10, 16), layer, nn.Linear(16, 10)).eval()
    content = export_module(module, torch.zeros(1, 8, dtype=torch.int64), input_name="tokens")
    tokens = torch.randint(0, 10, (3, 8))
    (found,) = onnxruntime.InferenceSession(content).run(None, {"tokens": tokens.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, module(tokens).numpy(), atol=1e-5)
    graph = read_model(content).graph
    assert costs(graph)["params"] == sum(parameter.numel() for parameter in module.parameters())
    assert [value.shape for value in graph.outputs] == [(1, 8, 10)]


def test_modules_that_cannot_be_used(space: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """No module, several outputs, inputs of the wrong kind."""
    row = space.smallest()
    monkeypatch.setattr(space, "build", lambda choices: None)
    with pytest.raises(ValueError, match="build of space 'small' must return a torch module, got NoneType"):
        space.module(row)

    class Pair(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    with pytest.raises(ValueError, match="must return one tensor of logits, got tuple"):
        export_module(Pair(), torch.zeros(1, 2), input_name="x")
    with pytest.raises(ValueError, match=r"takes inputs of \(N, 1, 6, 6\), got \(4, 3, 8, 8\)"):
        Small().module(row, [torch.zeros(4, 3, 8, 8)])
    with pytest.raises(ValueError, match="option index 9"):
        space.graph(np.array([9, 0, 0], np.int16))
