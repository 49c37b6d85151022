"""What is zero, the same or unread in a cell, for whole populations: the facts on which its costs depend."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces.families.cell_operations import NONE

ABSENT, IDENTITY, OPERATION = 0, 1, 2
"""What an edge of a cell is: not there or zero, its input itself, or something computed from it."""

Codes = NDArray[np.int16]
Edges = Mapping[tuple[int, int], Codes]
"""For edges (target, source) what they are in each of n genotypes, (n,)."""


def edge_code(option: str, *, stride: int = 1, literal: bool = False) -> int:
    """What an operation of a cell is; with `literal` a zero is computed."""
    if option == NONE:
        return OPERATION if literal else ABSENT
    return IDENTITY if option == "skip_connect" and stride == 1 else OPERATION


class Values(NamedTuple):
    """What the nodes of a cell are, the inputs first; a node is the sum of its edges, without those that are zero.

    Attributes:
        same: for each node (n,): 0 for zero, 1 + j for the value of node j.
        sums: for each node whether there is anything to add up, (n,).
        makers: for each node what made its value, (n,): 1 + option of an edge, 0 for a sum, an input and zero.
    """

    same: list[Codes]
    sums: list[NDArray[np.bool_]]
    makers: list[Codes]


def cell_values(edges: Edges, options: Edges, inputs: int, nodes: int) -> Values:
    """Follow values through the edges; `options` are the chosen ones of the edges."""
    n = len(next(iter(edges.values())))
    nothing = np.zeros(n, np.int16)
    values = Values(
        [np.full(n, 1 + node, np.int16) for node in range(inputs)], [nothing > 0] * inputs, [nothing] * inputs
    )
    for node in range(inputs, inputs + nodes):
        terms, only, maker = nothing, nothing, nothing
        for source in range(node):
            code = edges[node, source]
            there = (code != ABSENT) & (values.same[source] > 0)
            identity = code == IDENTITY
            terms = terms + there
            only = np.where(there, np.where(identity, values.same[source], np.int16(1 + node)), only)
            made = np.where(identity, values.makers[source], np.int16(1) + options[node, source])
            maker = np.where(there, made, maker)
        values.same.append(np.where(terms > 1, np.int16(1 + node), only))
        values.sums.append(terms > 1)
        values.makers.append(np.where(terms > 1, np.int16(0), maker))
    return values


def read_nodes(edges: Edges, values: Sequence[Codes]) -> list[NDArray[np.bool_]]:
    """For each node, the inputs first, whether the last one depends on it, (n,)."""
    read = [np.zeros(len(values[0]), np.bool_) for _ in values]
    read[-1] = values[-1] > 0
    for node in reversed(range(len(values))):
        for target in range(node + 1, len(values)):
            if (target, node) in edges:
                read[node] |= read[target] & (edges[target, node] != ABSENT) & (values[node] > 0)
    return read


def concatenated(edges: Edges, values: Values, inputs: int) -> tuple[list[Codes], list[Codes]]:
    """What matters in a cell that lays all its nodes side by side and computes zeros from its last input.

    Returns:
        For each node whether it is zero, whether it is a sum, and whether of one value with itself, then how many nodes
        are another value than those before them, less one; and for each input whether it is read.
    """
    same = values.same
    zero = [value == 0 for value in same[inputs:]]
    double = []
    for node in range(inputs, len(same)):
        found = np.zeros(len(same[0]), np.bool_)
        for first, second in combinations(range(node), 2):
            both = (edges[node, first] == IDENTITY) & (edges[node, second] == IDENTITY)
            found |= both & (same[first] == same[second]) & (same[first] > 0)
        double.append(found)
    read = []
    for place in range(inputs):
        found = np.any(zero, axis=0) & (place == inputs - 1)
        for (_, source), code in edges.items():
            found |= (code != ABSENT) & (same[source] == 1 + place)
        read.append(found)
    distinct = np.zeros(len(same[0]), np.int16) - 1
    for node in range(inputs, len(same)):
        known = np.zeros(len(same[0]), np.bool_)
        for other in same[inputs:node]:
            known |= other == same[node]
        distinct += ~known | (same[node] == 0)
    facts = [np.asarray(fact, np.int16) for fact in (*zero, *values.sums[inputs:], *double, distinct)]
    return facts, [np.asarray(fact, np.int16) for fact in read]
