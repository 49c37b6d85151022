"""Which operations lie on the open paths of a network, for whole populations.

C. White et al., "BANANAS: Bayesian optimization with neural architectures for neural architecture search", AAAI 2021,
have a feature for each sequence of operations from input to output. Here a feature counts the open paths with a set of
operations in whatever order, so that cells that are the same but for the names of their values are the same.
"""

from itertools import combinations_with_replacement
from math import comb

import numpy as np
from numpy.typing import NDArray

from search_spaces.decision import Decision
from search_spaces.genotypes import Population
from search_spaces.routes import Routes, Segment

Array = NDArray[np.float64]

MOST_PATHS = 256
"""Of a segment; one with more has no features."""
MOST_FEATURES = 256
"""Of all paths of one length; longer ones have none where they would have more."""


class PathEncoding:
    """(n, d) genotypes -> (n, f) numbers of open paths, by the operations on them.

    Args:
        routes: the paths of a space.
        decisions: of that space.

    Attributes:
        names: (f,) what the features say.
    """

    def __init__(self, routes: Routes, decisions: tuple[Decision, ...]) -> None:
        options = [decisions[gate.column].options for gate in routes.gates]
        words = list(dict.fromkeys(str(option) for each in options for option in each))
        self._gates = routes.gates
        self._codes = [np.array([words.index(str(option)) for option in each]) for each in options]
        crossed = {words.index(str(each[i])) for each, g in zip(options, routes.gates, strict=True)
                   for i in np.flatnonzero(~g.closed)}  # fmt: skip
        paths = [path for segment, _ in routes.segments for path in _paths(segment)]
        self._paths = [
            path
            for path in dict.fromkeys(paths)
            if path and comb(len(crossed) + len(path) - 1, len(path)) <= MOST_FEATURES
        ]
        self._base = len(words)
        self._columns: dict[int, int] = {}
        names: list[str] = []
        for length in sorted({len(path) for path in self._paths}):
            for chosen in combinations_with_replacement(sorted(crossed), length):
                self._columns[self._key(np.array([chosen]))[0]] = len(names)
                names.append("path of " + " + ".join(words[code] for code in chosen))
        self.names = tuple(names)

    def __call__(self, population: Population) -> Array:
        """Return the (n, f) numbers of an (n, d) population."""
        found = np.zeros((len(population), len(self.names)))
        for path in self._paths:
            gates = [self._gates[gate] for gate in path]
            taken = [population[:, gate.column] for gate in gates]
            closed = np.any([gate.closed[each] for gate, each in zip(gates, taken, strict=True)], axis=0)
            codes = np.stack([self._codes[gate][each] for gate, each in zip(path, taken, strict=True)], axis=1)
            rows = np.flatnonzero(~closed)
            unique, inverse = np.unique(self._key(np.sort(codes[rows], axis=1)), return_inverse=True)
            columns = np.array([self._columns[int(key)] for key in unique], np.intp)
            np.add.at(found, (rows, columns[inverse.reshape(-1)]), 1.0)
        return found

    def _key(self, codes: NDArray[np.intp]) -> NDArray[np.int64]:
        """(n,) numbers that tell sorted (n, length) codes apart, those of other lengths too."""
        powers = (self._base + 1) ** np.arange(codes.shape[1])
        key: NDArray[np.int64] = ((codes + 1) * powers).sum(axis=1)
        return key


def _paths(segment: Segment) -> list[tuple[int, ...]]:
    """The gates on each path through a segment; none where there are too many paths."""
    ways: list[list[tuple[int, ...]]] = [[()]]
    for edges in segment:
        ways.append([path if edge.gate < 0 else (*path, edge.gate) for edge in edges for path in ways[edge.source]])
        if len(ways[-1]) > MOST_PATHS:
            return []
    return ways[-1]
