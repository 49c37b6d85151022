"""Networks together with settings of what runs them and of how they are trained: one space of all."""

import json
from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from search_spaces.costs.static import METRICS
from search_spaces.decision import Decision, Option
from search_spaces.graph import Graph
from search_spaces.space import Genotype, Pick, Population, SearchSpace


class JointSpace(SearchSpace):
    """The decisions of a space of networks, and then those of settings, which change no network.

    Two genotypes are the same when they build the same network under the same settings (for devices: Jiang et al.,
    Hardware/software co-exploration of neural architectures, arXiv 1907.04650).

    Args:
        networks: what can be built.
        settings: decisions about what runs it.
        recipe: decisions about how it is trained; the extreme networks have the first option of each, whatever it is.
    """

    def __init__(self, networks: SearchSpace, settings: Sequence[Decision], recipe: Sequence[Decision] = ()) -> None:
        super().__init__((*networks.decisions, *settings, *recipe), networks.settings)
        self._usual = {decision.name for decision in recipe}
        self.networks = networks
        self.name = networks.name  # type: ignore[misc]  # that of the networks, as all that is derived from them
        self.trained_here = networks.trained_here  # type: ignore[misc]
        self.tabulated = networks.tabulated  # type: ignore[misc]
        self.fact_sizes = networks.fact_sizes

    def network(self, genotype: Genotype) -> Genotype:
        """The part of a genotype that says which network."""
        return genotype[: len(self.networks.decisions)]

    def chosen(self, genotype: Genotype) -> dict[str, Option]:
        """The settings of a genotype, by the names of their decisions."""
        start = len(self.networks.decisions)
        return {
            decision.name: decision.options[index]
            for decision, index in zip(self.decisions[start:], genotype[start:], strict=True)
        }

    def assemble(self, pick: Pick) -> Graph:
        """The network."""
        return self.networks.assemble(pick)

    def graph(self, genotype: Genotype) -> Graph:
        """The network of one genotype, a (d,) row."""
        self.validate(genotype[None])
        return self.networks.graph(self.network(genotype))

    def key(self, genotype: Genotype, graph: Graph | None = None) -> str:
        """The identity of a network under its settings."""
        network = self.networks.key(self.network(genotype), graph)
        settings = json.dumps(self.chosen(genotype), sort_keys=True)
        return sha256(f"{network} {settings}".encode()).hexdigest()

    def facts(self, population: Population) -> Population:
        """What follows from the decisions about the network."""
        return self.networks.facts(population[:, : len(self.networks.decisions)])

    def costs(self, population: Population, metrics: Sequence[str] = METRICS) -> dict[str, NDArray[np.float64]]:
        """Exact static costs of the networks of an (n, d) population."""
        self.validate(population)
        return self.networks.costs(population[:, : len(self.networks.decisions)], metrics)

    def extreme(self, *, largest: bool, held: Genotype | None = None) -> Genotype:
        """The largest or smallest network, numbers among the settings at their largest or smallest as well."""
        start = len(self.networks.decisions)
        free = np.full(len(self.decisions), -1, np.int16) if held is None else held
        network = self.networks.extreme(largest=largest, held=free[:start])
        settings = [
            (0 if decision.name in self._usual else _extreme(decision, largest)) if index < 0 else index
            for decision, index in zip(self.decisions[start:], free[start:], strict=True)
        ]
        return np.concatenate([network, np.array(settings, np.int16)])


def _extreme(decision: Decision, largest: bool) -> int:
    """The index of the largest or smallest number; the first option where they are not numbers."""
    numbers = [option for option in decision.options if isinstance(option, int | float)]
    if len(numbers) < len(decision.options):
        return 0
    return decision.options.index(max(numbers) if largest else min(numbers))
