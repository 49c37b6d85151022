"""Groups of nodes that are computed again in the backward pass: the same gradients, less that is kept."""

import numpy as np
import pytest
import torch

from search_spaces.graph import Graph
from search_spaces.interpreter.torch_graph import TorchGraph
from search_spaces.layers import conv_norm


def network() -> Graph:
    """Three convolutions in a row, of which the last two are in a group, and a value of the first is read again."""
    g = Graph("network")
    x = conv_norm(g, g.input("image", (1, 3, 8, 8)), "first", 16, 3, act="relu")
    y = conv_norm(g, x, "second", 16, 3, act="relu")
    z = conv_norm(g, y, "third", 16, 3, act="relu")
    g.output(g.add("Add", z, x, name="sum"))
    return g


def gradients(again: list[list[str]], inputs: torch.Tensor) -> tuple[list[torch.Tensor], int]:
    """Of the sum of squares, and the bytes that are kept between forward and backward."""
    graph = network()
    plan = TorchGraph(graph, again=again)
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.rand(graph.parameters[name].shape, generator=generator).requires_grad_() for name in plan.learned
    }
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        (output,) = plan.run(tensors, [inputs], batch_norm="batch")
        size = sum(kept.values())
    return list(torch.autograd.grad(output.square().sum(), list(tensors.values()))), size


def nodes(*prefixes: str) -> list[str]:
    """The names of nodes that begin so."""
    return [node.name for node in network().nodes if node.name.startswith(prefixes)]


def test_gradients_are_the_same_to_the_bit_with_less_kept() -> None:
    """With one group, with two, and with one for all."""
    inputs = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32))
    expected, most = gradients([], inputs)
    for again in (
        [nodes("second", "third")],
        [nodes("second"), nodes("third")],
        [nodes("first", "second", "third", "sum")],
    ):
        found, size = gradients(again, inputs)
        assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
        assert size < 0.8 * most


def test_values_that_others_read_keep_a_group_apart() -> None:
    """The first convolution is read by the sum, so a group that hides it is left as it is."""
    inputs = torch.ones(4, 3, 8, 8)
    expected, most = gradients([], inputs)
    found, size = gradients([nodes("first", "second")], inputs)
    assert size == most
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


@pytest.mark.parametrize("mode", ["batch", "stored"])
def test_without_gradients_nothing_changes(mode: str) -> None:
    """A group runs once and gives what the nodes give by themselves."""
    graph, inputs = network(), torch.ones(2, 3, 8, 8)
    tensors = {name: torch.ones(value.shape) for name, value in graph.parameters.items()}
    with torch.no_grad():
        plain = TorchGraph(graph).run(tensors, [inputs], batch_norm=mode)
        grouped = TorchGraph(graph, again=[nodes("second", "third")]).run(tensors, [inputs], batch_norm=mode)
    assert torch.equal(plain[0], grouped[0])
