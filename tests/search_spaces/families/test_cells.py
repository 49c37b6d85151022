"""What cell spaces share, and what a mixing pick makes of structural choices."""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch

from search_spaces.decision import Option
from search_spaces.families.cells import Zeros, computed_zero, drop_dead
from search_spaces.families.darts import Darts
from search_spaces.families.fbnet import FBNet
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.families.proxyless import ProxylessNAS
from search_spaces.graph import Graph, Value
from search_spaces.interpreter.torch_graph import TorchGraph
from search_spaces.layers import conv
from search_spaces.space import SearchSpace


class Mixed:
    """A pick that builds every candidate and adds them up, each times a number of its own."""

    def __init__(self) -> None:
        self.graph: Graph | None = None
        self.built: dict[str, set[Option]] = {}
        self._numbers = count()

    def __call__(self, decision: str) -> Any:
        """No decision of these spaces is asked for by value."""
        raise AssertionError(f"{decision} is not structural")

    def op(self, decision: str, candidates: Mapping[Option, Callable[[], Value]]) -> Value:
        """The sum of 0.1 times each candidate."""
        self.built[decision] = set(candidates)
        values = [build() for build in candidates.values()]
        assert len({value.shape for value in values}) == 1
        return self._add(values)

    def _add(self, values: list[Value]) -> Value:
        assert self.graph is not None
        number = next(self._numbers)
        weight = self.graph.constant(f"mix{number}.weight", np.array(0.1, np.float32))
        parts = [self.graph.add("Mul", value, weight, name=f"mix{number}.{i}") for i, value in enumerate(values)]
        total = parts[0]
        for index, part in enumerate(parts[1:]):
            total = self.graph.add("Add", total, part, name=f"mix{number}.sum{index}")
        return total


SPACES: dict[str, SearchSpace] = {
    "nasbench201": NasBench201(widths=[4, 8], cells=1, resolution=8),
    "darts": Darts(width=4, layers=3, resolution=8),
    "fbnet": FBNet(widths=[8, 16], depths=[1, 2], strides=[1, 2], stem_width=8, final_width=8, resolution=8),
    "proxyless": ProxylessNAS(widths=[8, 16], depths=[1, 2], strides=[1, 2], final_width=8, resolution=8),
}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
def test_all_candidates_mix(space: SearchSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every decision is a structural one whose candidates have one shape; their mixture runs, with gradients."""
    pick = Mixed()
    made = Graph.__init__

    def remember(graph: Graph, name: str) -> None:
        made(graph, name)
        pick.graph = graph

    monkeypatch.setattr(Graph, "__init__", remember)
    graph = space.assemble(pick)
    assert pick.built == {decision.name: set(decision.options) for decision in space.decisions}
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.rand(value.shape, generator=generator).requires_grad_()
        for name, value in graph.parameters.items()
        if value.trainable
    }
    images = torch.randn(4, *graph.inputs[0].shape[1:], generator=generator)
    (logits,) = TorchGraph(graph).run(tensors, [images], batch_norm="batch")
    logits.square().sum().backward()
    assert logits.shape[0] == 4
    assert all(tensor.grad is not None for tensor in tensors.values())


def test_zeros_are_left_out_of_sums() -> None:
    """Only what is not zero is added; a sum of zeros is zero."""
    g = Graph("any")
    x = g.input("x", (1, 4, 6, 6))
    zeros = Zeros(g)
    zero = zeros.zero(x.shape)
    assert zero in zeros
    assert x not in zeros
    assert zeros.zero(x.shape) is zero
    assert zeros.total({"a": zero, "b": x, "c": zero}) is x
    assert zeros.total({"a": zero, "b": zero}) in zeros
    assert zeros.total({"a": x, "b": zero, "c": x}).name == "c.add"


def test_computed_zero_has_the_batch() -> None:
    """A zero from a batch is a batch of zeros, halved if asked."""
    g = Graph("any")
    x = g.input("x", (1, 4, 6, 6))
    g.output(computed_zero(g, x, "zero0"))
    g.output(computed_zero(g, x, "zero1", stride=2))
    same, halved = TorchGraph(g).run({}, [torch.randn(3, 4, 6, 6)])
    assert same.shape == (3, 4, 6, 6)
    assert halved.shape == (3, 4, 3, 3)
    assert not same.any()
    assert not halved.any()


def test_drop_dead() -> None:
    """Nodes that nobody reads go, with their parameters, constants and values."""
    g = Graph("any")
    x = g.input("x", (1, 4, 6, 6))
    kept = conv(g, x, "kept", 4)
    conv(g, conv(g, kept, "first", 4), "second", 4)
    g.constant("unread", np.zeros(2))
    g.output(kept)
    drop_dead(g)
    assert [node.name for node in g.nodes] == ["kept"]
    assert set(g.values) == {"x", "kept", "kept.weight"}
    assert set(g.parameters) == {"kept.weight"}
    assert not g.constants
