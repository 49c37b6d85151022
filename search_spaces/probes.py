"""What each option of a decision does to the network, seen by changing one decision at a time."""

import math
from typing import Any, NamedTuple

import numpy as np

from search_spaces.costs.static import node_costs
from search_spaces.covering import activate
from search_spaces.folding import live_nodes
from search_spaces.graph import Graph, Node
from search_spaces.operators import OPERATORS
from search_spaces.space import Genotype, SearchSpace

Kind = tuple[str, int, bool]
"""Operator, kernel area, and whether it is grouped."""

Signature = tuple[str, Any]

_OF_SIZES = frozenset({"group", "pads", "shape", "sizes", "split"})
"""Attributes that follow from the shapes of others."""


class Network(NamedTuple):
    """The deployed network of one genotype.

    Attributes:
        nodes: live nodes by name, in topological order.
        signatures: what each of them does, sizes apart.
        sources: the values that each node reads and that are no parameters or constants; one read twice comes twice.
        kinds: the kind of each node.
        costs: for each node MACs, parameters, peak and bytes moved; a folded node has none.
        outputs: names of the graph's outputs.
    """

    nodes: dict[str, Node]
    signatures: dict[str, Signature]
    sources: dict[str, tuple[str, ...]]
    kinds: dict[str, Kind]
    costs: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]


class Probe(NamedTuple):
    """One decision in some surroundings: `networks[option]` with everything else as in `row`.

    Attributes:
        row: the surroundings, (d,); those of the largest network wherever the decision matters there.
        chosen: the option in `row`.
        networks: one for each option.
    """

    row: Genotype
    chosen: int
    networks: tuple[Network, ...]


def probes(space: SearchSpace) -> list[Probe]:
    """Change each decision of the largest network; one probe for each decision, in column order.

    A decision that does not matter in the largest network is tried in the nearest one in which it does.
    """
    base = space.largest()
    seen: dict[bytes, Network] = {}
    found = []
    for column, decision in enumerate(space.decisions):
        row = base.copy()
        activate(space, row, column)
        networks = []
        for option in range(len(decision.options)):
            row[column] = option
            canonical = space.canonical(row[None])[0]
            key = canonical.tobytes()
            if key not in seen:
                seen[key] = network(space.graph(canonical))
            networks.append(seen[key])
        row[column] = base[column]
        found.append(Probe(space.canonical(row[None])[0], int(base[column]), tuple(networks)))
    return found


def network(graph: Graph) -> Network:
    """What is looked at of a graph."""
    nodes = {node.outputs[0]: node for node in live_nodes(graph)}
    owner = {name: key for key, node in nodes.items() for name in node.outputs}
    owner.update({value.name: value.name for value in graph.inputs})
    sources: dict[str, tuple[str, ...]] = {}
    for key, node in nodes.items():
        sources[key] = tuple(owner[name] for name in node.inputs if name in owner)
    kinds = {key: _kind(node) for key, node in nodes.items()}
    first = {node.name: key for key, node in nodes.items()}
    names, rows = node_costs(graph)
    costs = {first[name]: tuple(row) for name, row in zip(names, rows.tolist(), strict=True)}
    outputs = tuple(owner[value.name] for value in graph.outputs if value.name in owner)
    signatures = {key: _signature(node) for key, node in nodes.items()}
    return Network(nodes, signatures, sources, kinds, costs, outputs)


def _kind(node: Node) -> Kind:
    return node.op, _kernel(node), node.op == "Conv" and node.attributes.get("group", 1) > 1


def weight(node: Node) -> tuple[float, float, float, float]:
    """What a node adds to a path's length: 1 if it has MACs, MACs and a kernel, a kernel, or either."""
    multiplies = node.op in OPERATORS and OPERATORS[node.op].has_macs
    reaches = _kernel(node) > 1
    return float(multiplies), float(multiplies and reaches), float(reaches), float(multiplies or reaches)


def _kernel(node: Node) -> int:
    shape = node.attributes.get("kernel_shape")
    return math.prod(shape) if shape else 1


def _signature(node: Node) -> Signature:
    kept = {name: value for name, value in node.attributes.items() if name not in _OF_SIZES}
    return node.op, sorted((name, repr(np.asarray(value).tolist())) for name, value in kept.items())
