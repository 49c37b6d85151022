"""What cell spaces share: sums that leave out what is zero, and graphs without what nobody reads."""

from collections.abc import Mapping

import numpy as np

from search_spaces.folding import live_nodes
from search_spaces.graph import Graph, Shape, Value


class Zeros:
    """The values of a graph under assembly that are known to be zero.

    They are constants, one for each shape, and are left out of sums; whoever applies an operation to one asks `in`
    first and passes it on. So an operation on a zero counts as zero, although its batch norm would still add its
    bias: this is how the published tables of cell spaces see it.

    Args:
        graph: the graph under assembly.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._names: set[str] = set()

    def __contains__(self, value: Value) -> bool:
        return value.name in self._names

    def zero(self, shape: Shape) -> Value:
        """The zero of a shape, of one sample."""
        name = "zero" + "x".join(map(str, shape[1:]))
        self._names.add(name)
        known = self._graph.constants.get(name)
        return known if known is not None else self._graph.constant(name, np.zeros(shape, np.float32))

    def total(self, terms: Mapping[str, Value]) -> Value:
        """The sum of the terms that are not zero; `terms` have names, after which the additions are named."""
        live = [(name, value) for name, value in terms.items() if value.name not in self._names]
        if not live:
            return next(iter(terms.values()))
        total = live[0][1]
        for name, value in live[1:]:
            total = self._graph.add("Add", total, value, name=f"{name}.add")
        return total


def computed_zero(g: Graph, x: Value, name: str, *, stride: int = 1) -> Value:
    """A zero that is computed from x, so that it has the size of the batch; `stride` 2 halves height and width."""
    if stride > 1:
        x = g.add("AveragePool", x, name=f"{name}.pool", kernel_shape=[1, 1], strides=[stride, stride])
    factor = g.constants.get("zero") or g.constant("zero", np.zeros((), np.float32))
    return g.add("Mul", x, factor, name=name)


def drop_dead(graph: Graph) -> Graph:
    """Take out, in place, every node that no output depends on, and the parameters and constants only they read."""
    graph.nodes = live_nodes(graph)
    needed = {name for node in graph.nodes for name in node.inputs}
    graph.parameters = {name: value for name, value in graph.parameters.items() if name in needed}
    graph.constants = {name: value for name, value in graph.constants.items() if name in needed}
    kept = needed.union(*[node.outputs for node in graph.nodes], [value.name for value in graph.inputs])
    graph.values = {name: value for name, value in graph.values.items() if name in kept}
    return graph
