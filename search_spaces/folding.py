"""What a graph is when it is deployed: dead nodes and identities gone, batch norm folded into what it follows.

The file, the costs and the hash all start from here, so that they agree about what a network is.
"""

from collections import Counter
from typing import NamedTuple

from search_spaces.graph import Graph, Node

FOLDABLE = ("Conv", "Gemm")


class Step(NamedTuple):
    """One operator of the deployed network, and the batch normalisations that were folded into it, in their order."""

    node: Node
    norms: tuple[Node, ...] = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """The values it makes; the normalised one where a batch norm was folded."""
        return self.norms[-1].outputs if self.norms else self.node.outputs


def live_nodes(graph: Graph) -> list[Node]:
    """The nodes that an output depends on, without `Identity`, in the graph's order.

    An `Identity` stays where it makes a graph output, which must keep its name.
    """
    outputs = {value.name for value in graph.outputs}
    needed = set(outputs)
    live = []
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.outputs):
            live.append(node)
            needed.update(node.inputs)
    live.reverse()
    source: dict[str, str] = {}
    kept = []
    for node in live:
        if source and not source.keys().isdisjoint(node.inputs):
            inputs = tuple([source.get(name, name) for name in node.inputs])
            node = Node(node.name, node.op, inputs, node.outputs, node.attributes)
        if node.op == "Identity" and node.outputs[0] not in outputs:
            source[node.outputs[0]] = node.inputs[0]
        else:
            kept.append(node)
    return kept


def fold(graph: Graph, *, dead: bool = False) -> list[Step]:
    """The steps of the deployed network, in topological order.

    A `BatchNormalization` is folded when it alone reads a `Conv` or a plain `Gemm` whose weight is a parameter, or what
    such an operator and folded norms make.

    Args:
        graph: the network.
        dead: keep nodes that no output depends on, as published tables of cell spaces count them.
    """
    nodes = graph.nodes if dead else live_nodes(graph)
    readers = Counter([name for node in nodes for name in node.inputs])
    readers.update([value.name for value in graph.outputs])
    steps: list[Step] = []
    places: dict[str, int] = {}
    for node in nodes:
        place = places.get(node.inputs[0]) if node.op == "BatchNormalization" else None
        if place is not None and readers[node.inputs[0]] == 1 and _takes_norm(graph, steps[place].node, node):
            steps[place] = steps[place]._replace(norms=(*steps[place].norms, node))
            places[node.outputs[0]] = place
            continue
        if node.op in FOLDABLE:
            places[node.outputs[0]] = len(steps)
        steps.append(Step(node))
    return steps


def _takes_norm(graph: Graph, node: Node, norm: Node) -> bool:
    parameters = graph.parameters
    if not all(name in parameters for name in (*node.inputs[1:], *norm.inputs[1:]) if name):
        return False
    return node.op != "Gemm" or (node.attributes.get("alpha", 1.0) == 1 and node.attributes.get("beta", 1.0) == 1)
