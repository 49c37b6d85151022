"""The operators of networks as predictors take them that know any network."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from predictors.node_features import node_features
from search_spaces.graph import Graph
from search_spaces.node_table import COLUMNS, node_table

Array = NDArray[np.float64]


class Operators(NamedTuple):
    """The operators of n networks, one network after the other, as `node_features` and `LayerTable` take them."""

    operators: NDArray[np.str_]
    numbers: Array
    starts: NDArray[np.intp]
    columns: tuple[str, ...]


def operators_of(networks: Sequence[Graph]) -> Operators:
    """The tables of networks, one after the other."""
    tables = [node_table(network) for network in networks]
    starts = np.array([0, *accumulate(len(table.operators) for table in tables)], np.intp)
    operators = np.concatenate([table.operators for table in tables])
    return Operators(operators, np.concatenate([table.numbers for table in tables]), starts, COLUMNS)


def graph_features(networks: Sequence[Graph]) -> Array:
    """The (n, f) features of any networks."""
    return node_features(*operators_of(networks))
