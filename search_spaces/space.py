"""A search space: a list of decisions and one method that assembles a graph from them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from search_spaces.costs.population import PopulationCosts
from search_spaces.costs.static import METRICS
from search_spaces.decision import Decision, Option
from search_spaces.extremes import extreme
from search_spaces.genotypes import GenotypeSpace
from search_spaces.graph import Graph, Value
from search_spaces.identity import graph_hash

Genotype = NDArray[np.int16]
Population = NDArray[np.int16]


class Pick(Protocol):
    """How `assemble` asks for a choice."""

    def __call__(self, decision: str) -> Any:
        """The chosen option of a decision."""

    def op(self, decision: str, candidates: Mapping[Option, Callable[[], Value]]) -> Value:
        """Build the chosen candidate of a structural decision, or a mixture of all of them."""


class Chosen:
    """The pick of one architecture: every decision has one option."""

    __slots__ = ("choices",)

    def __init__(self, choices: Mapping[str, Option]) -> None:
        self.choices = choices

    def __call__(self, decision: str) -> Any:
        """The chosen option."""
        return self.choices[decision]

    def op(self, decision: str, candidates: Mapping[Option, Callable[[], Value]]) -> Value:
        """Build the chosen candidate only."""
        return candidates[self.choices[decision]]()


class SearchSpace(GenotypeSpace, ABC):
    """What can be built: decisions, and `assemble`, which turns choices into a graph.

    Subclasses set `name`, pass their decisions and settings up, and write `assemble`; everything else (files,
    modules, weight sharing, costs, features, identity) is derived.

    Args:
        decisions: the choices, in column order of a genotype.
        settings: the keyword arguments that make this space again, plain JSON values.

    Attributes:
        trained_here: whether a supernet of this space is trained; false where weights come with the space.
        fact_sizes: for each of the `facts` how many values it may take.
        tabulated: whether the costs of a population are look-ups; false where every network is built for them.
    """

    name: ClassVar[str]
    trained_here: ClassVar[bool] = True
    tabulated: ClassVar[bool] = True
    fact_sizes: tuple[int, ...] = ()

    def __init__(self, decisions: tuple[Decision, ...], settings: Mapping[str, Any]) -> None:
        super().__init__(decisions)
        self.settings = dict(settings)

    @abstractmethod
    def assemble(self, pick: Pick) -> Graph:
        """The network of the picked choices; only active decisions may be asked for."""

    def graph(self, genotype: Genotype) -> Graph:
        """The network of one genotype, a (d,) row.

        Raises:
            ValueError: a row of the wrong length or range.
        """
        self.validate(genotype[None])
        return self.assemble(Chosen(self.choices(genotype)))

    def key(self, genotype: Genotype, graph: Graph | None = None) -> str:
        """The identity of a network, 64 hex digits: equal where two genotypes build the same one.

        Args:
            genotype: a (d,) row.
            graph: its network, where it was built already.

        Raises:
            ValueError: a row of the wrong length or range.
        """
        return graph_hash(self.graph(genotype) if graph is None else graph)

    def largest(self) -> Genotype:
        """The (d,) canonical genotype with every number at its largest and named options by MACs."""
        return self._extremes[0].copy()

    def smallest(self) -> Genotype:
        """The (d,) canonical genotype with every number at its smallest and named options by MACs."""
        return self._extremes[1].copy()

    def extreme(self, *, largest: bool, held: Genotype | None = None) -> Genotype:
        """The (d,) largest or smallest genotype where `held` (d,) gives some options; -1 leaves a decision free."""

        def macs(population: Population) -> NDArray[np.float64]:
            return self.population_costs.assemble(population, ["macs"])["macs"]

        return extreme(self, macs, largest=largest, held=held)

    def facts(self, population: Population) -> Population:
        """What follows from several decisions at once and decides what is built, (n, f) int16, f being 0 by default.

        A space that leaves out what is zero or what nobody reads says here what that is, because costs of whole
        populations are found from how few decisions and facts the cost of each node depends on. Column j holds
        numbers below `fact_sizes[j]`. Only canonical genotypes are asked about.
        """
        return np.zeros((len(population), 0), np.int16)

    def costs(self, population: Population, metrics: Sequence[str] = METRICS) -> dict[str, NDArray[np.float64]]:
        """Exact static costs of an (n, d) population: each of the metrics -> (n,).

        The first few hundred genotypes are assembled one by one; then the metrics are compiled to tables, if they do
        (`population_costs.uncompiled` names those that do not).

        Raises:
            ValueError: not a population of this space, or an unknown metric; the known ones are named.
        """
        self.validate(population)
        return self.population_costs.costs(population, metrics)

    @cached_property
    def _extremes(self) -> tuple[Genotype, Genotype]:
        """The largest and the smallest; training asks for both in every step."""
        return self.extreme(largest=True), self.extreme(largest=False)

    @cached_property
    def population_costs(self) -> PopulationCosts:
        """What is known of the costs of this space."""
        return PopulationCosts(self)
