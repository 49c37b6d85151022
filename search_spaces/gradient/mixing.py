"""The pick of a relaxed network: candidates of structural decisions are weighed and added up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from search_spaces.decision import Option
from search_spaces.gradient.partial_channels import PartialChannels
from search_spaces.graph import Graph, GraphError, Node, Value, started_graphs
from search_spaces.space import SearchSpace

WEIGHTS = "weights of "
"""Begins the name of the input that has the weights of a decision."""


@dataclass(frozen=True, slots=True)
class Paths:
    """What a relaxed network holds, decision by decision in the columns of the space.

    Attributes:
        row: the index of the option that each decision has where it is asked for by itself.
        built: for each structural decision the indices of the options whose candidates are built, for others nothing.
        watched: of those that are built, the options that run without gradients; only their weights get any.
        weighed: whether candidates are multiplied by their weights; only single ones can go without.
        partial: one in so many channels goes through the candidates (PC-DARTS); 1 for all.
        again: whether what candidates compute is computed again in the backward pass, and not kept for it.
    """

    row: tuple[int, ...]
    built: tuple[tuple[int, ...], ...]
    watched: tuple[tuple[int, ...], ...]
    weighed: bool = True
    partial: int = 1
    again: bool = False


class Mixing:
    """A pick for `SearchSpace.assemble` that builds several candidates of a decision.

    The weights of a decision are one more input of the graph, `weights of NAME` (1, k) for its k built candidates: so
    every place that asks for the same decision has the same weights, and gradients reach them as they reach any input.
    Candidates that are constant zeros add nothing and are left out, but for a place where all are.

    Args:
        space: what is assembled.
        paths: what of it.

    Attributes:
        weights: decisions that have an input of weights, in the order of the inputs behind the space's own.
        operators: structural decisions that were asked for, each with the options that are the identity somewhere.
        chosen: decisions that were asked for by themselves.
        still: nodes that weigh a watched candidate, each with the candidate's value, by name.
        groups: the names of the nodes of each place that holds candidates and no other place.
    """

    def __init__(self, space: SearchSpace, paths: Paths) -> None:
        self._space, self._paths = space, paths
        self._columns = {name: column for column, name in enumerate(space.names)}
        self._shares: dict[str, list[Value]] = {}
        self._places: dict[str, int] = {}
        self._graphs: list[Graph] = []
        self._calls = 0
        self.weights: list[str] = []
        self.operators: dict[str, set[Option]] = {}
        self.chosen: set[str] = set()
        self.still: dict[str, str] = {}
        self.groups: list[tuple[str, ...]] = []

    def assemble(self) -> Graph:
        """The relaxed network: the space's own input first, then the weights.

        Raises:
            GraphError: candidates of a decision whose shapes do not agree.
            ValueError: a candidate that is wanted and that the space does not offer there, or partial channels where
                candidates do not keep the channels of one value.
        """
        with started_graphs() as self._graphs:
            graph = self._space.assemble(self)
        given = {f"{WEIGHTS}{decision}" for decision in self.weights}
        graph.inputs.sort(key=lambda value: value.name in given)  # stable: the others keep their order
        return graph

    def __call__(self, decision: str) -> Option:
        """The option that a decision has."""
        self.chosen.add(decision)
        column = self._columns[decision]
        return self._space.decisions[column].options[self._paths.row[column]]

    def op(self, decision: str, candidates: Mapping[Option, Callable[[], Value]]) -> Value:
        """The weighed sum of the candidates that are built."""
        graph, identities = self._graphs[-1], self.operators.setdefault(decision, set())
        column = self._columns[decision]
        options = self._space.decisions[column].options
        wanted = [options[index] for index in self._paths.built[column]]
        if not wanted or any(option not in candidates for option in wanted):
            raise ValueError(
                f"decision {decision!r} of space {self._space.name!r} is to be built as {wanted or 'nothing'} in a "
                f"place that offers {list(candidates)}"
            )
        self._calls += 1
        place = self._places[decision] = self._places.get(decision, -1) + 1
        name, calls, start = f"{decision}@{place}", self._calls, len(graph.nodes)
        trial = PartialChannels(graph) if self._paths.partial > 1 else None
        values = {option: candidates[option]() for option in wanted}
        made = {output for node in graph.nodes[start:] for output in node.outputs}
        for option, value in values.items():
            if graph.values.get(value.name) is not value:
                raise GraphError(f"decision {decision!r}: the candidate {option!r} is no value of the assembled graph")
            if value.name not in made and not is_zero(value):
                identities.add(option)
        _check_shapes(decision, values)
        if trial is None or self._calls > calls:  # candidates that hold decisions are weighed whole
            total = self._total(graph, decision, name, values)
            if self._calls == calls:
                self.groups.append(tuple([node.name for node in graph.nodes[start:] if not _shares(node)]))
            return total
        live = {option: value for option, value in values.items() if not is_zero(value)}
        if not live:
            return values[wanted[0]]
        with trial.narrow(decision, name, self._paths.partial, live) as part:
            values = {option: part(candidates[option]()) for option in wanted}
        _check_shapes(decision, {option: values[option] for option in live})
        return trial.joined(self._total(graph, decision, name, values))

    def _total(self, graph: Graph, decision: str, name: str, values: Mapping[Option, Value]) -> Value:
        live = [(index, option) for index, option in enumerate(values) if not is_zero(values[option])]
        if not live:
            return next(iter(values.values()))
        if not self._paths.weighed:
            if len(values) > 1:
                raise ValueError(f"decision {decision!r}: {len(values)} candidates cannot go without weights")
            return values[live[0][1]]
        column, total = self._columns[decision], None
        options, watched = self._space.decisions[column].options, self._paths.watched[column]
        shares = self._shares_of(graph, decision, len(values))
        for index, option in live:
            term = graph.add("Mul", values[option], shares[index], name=f"{name}.{option}.weighed")
            if options.index(option) in watched:
                self.still[term.name] = values[option].name
            total = term if total is None else graph.add("Add", total, term, name=f"{name}.{option}.sum")
        assert total is not None
        return total

    def _shares_of(self, graph: Graph, decision: str, count: int) -> list[Value]:
        """The weights of a decision one by one, each (1, 1)."""
        if decision not in self._shares:
            vector = graph.input(f"{WEIGHTS}{decision}", (1, count))
            names = [f"{vector.name}.{index}" for index in range(count)]
            self._shares[decision] = [vector]
            if count > 1:
                self._shares[decision] = graph.add_split(
                    "Split", vector, name=f"{vector.name}.split", names=names, axis=1, num_outputs=count
                )
            self.weights.append(decision)
        return self._shares[decision]


def _shares(node: Node) -> bool:
    """Whether a node takes the weights of a decision apart, which other places read, too."""
    return node.op == "Split" and node.inputs[0].startswith(WEIGHTS)


def is_zero(value: Value) -> bool:
    """Whether a value is a constant of zeros, as cells hold for operations that are not there."""
    return value.data is not None and not np.any(value.data)


def _check_shapes(decision: str, values: Mapping[Option, Value]) -> None:
    shapes = {option: value.shape for option, value in values.items()}
    if len(set(shapes.values())) > 1:
        given = ", ".join(f"{option!r} {shape}" for option, shape in shapes.items())
        raise GraphError(f"the candidates of decision {decision!r} must have one shape to be mixed, got {given}")
