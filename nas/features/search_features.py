"""What predictors inside a search see of what is searched."""

import numpy as np
from numpy.typing import NDArray

from nas.strategies.features import Choices, Features
from search_spaces.genotypes import Population
from search_spaces.graph_features import GraphFeatures
from search_spaces.joint_space import JointSpace
from search_spaces.space import SearchSpace


class JointFeatures:
    """Features of networks, and the choices of the settings beside them as a group of their own.

    A loss may change quickly with settings and slowly with networks, or not know settings at all, as MACs do not; with
    one lengthscale for both, a search is long in finding out.

    Args:
        space: what the genotypes belong to.
        networks: features of its networks.
    """

    def __init__(self, space: JointSpace, networks: Features) -> None:
        self._space, self._networks = space, networks
        self._width = len(space.networks.decisions)
        self._start = int(space.networks.cardinalities.sum())
        self.groups = (*networks.groups, int(space.cardinalities.sum()) - self._start)
        self.lengths = (*networks.lengths, *Choices.lengths)
        self.costs = tuple(networks.costs)

    def __call__(self, population: Population) -> NDArray[np.float64]:
        """Return the (n, f) features of an (n, d) canonical population."""
        networks = self._networks(np.ascontiguousarray(population[:, : self._width]))
        return np.concatenate([networks, self._space.encode(population)[:, self._start :]], axis=1)


def search_features(space: SearchSpace) -> Features:
    """Features of all that a job searches.

    Where decisions cut paths, they are those of the graph, because choices say little of what runs then; elsewhere, and
    where each network takes long to build, they are the choices.
    """
    networks = space.networks if isinstance(space, JointSpace) else space
    known: Features = Choices(networks)
    if networks.tabulated and (built := GraphFeatures(networks)).routes.gates:
        known = built
    return JointFeatures(space, known) if isinstance(space, JointSpace) else known
