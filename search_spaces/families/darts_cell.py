"""One cell of the DARTS space: nodes with two inputs each, all of them side by side as the output."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations

from search_spaces.decision import Option
from search_spaces.families.cell_operations import CELL_OPERATIONS, NONE, factorized_reduce, relu_conv_norm
from search_spaces.families.cells import Zeros, computed_zero
from search_spaces.graph import Graph, Value
from search_spaces.space import Pick

KINDS = ("normal", "reduce")
Candidates = dict[Option, Callable[[], Value]]


def pair_option(pair: Sequence[int]) -> str:
    """A pair of inputs as the option of a decision."""
    return f"{pair[0]},{pair[1]}"


class Cell:
    """A cell under assembly; `before` and `last` are the outputs of the two cells before it.

    Attributes:
        states: the values of the nodes so far, the two inputs first.
    """

    def __init__(
        self, g: Graph, pick: Pick, name: str, before: Value, last: Value, width: int, reduction: bool
    ) -> None:
        self.g, self.pick, self.name = g, pick, name
        self.kind, self.stride = (KINDS[1], 2) if reduction else (KINDS[0], 1)
        self.zeros = Zeros(g)
        same_size = before.shape[2] == last.shape[2]
        self.states = [
            (relu_conv_norm if same_size else factorized_reduce)(g, before, f"{name}.input0", width),
            relu_conv_norm(g, last, f"{name}.input1", width),
        ]
        self.shape = (1, width, last.shape[2] // self.stride, last.shape[3] // self.stride)

    def output(self, nodes: int, operations: tuple[str, ...]) -> Value:
        """Build all nodes and lay them side by side."""
        for node in range(2, 2 + nodes):
            edges: dict[int, Value] = {}
            build = partial(self._pair, node, operations, edges)
            pairs: Candidates = {pair_option(pair): partial(build, pair) for pair in combinations(range(node), 2)}
            self.states.append(build((0, 1)) if node == 2 else self.pick.op(f"{self.kind}_inputs{node}", pairs))
        parts = [
            computed_zero(self.g, self.states[1], f"{self.name}.zero{node}", stride=self.stride)
            if value in self.zeros
            else value
            for node, value in enumerate(self.states[2:], 2)
        ]
        return self.g.add("Concat", *parts, name=f"{self.name}.concat", axis=1)

    def _pair(self, node: int, operations: tuple[str, ...], edges: dict[int, Value], pair: Sequence[int]) -> Value:
        """The sum of two edges; `edges` holds those of the node that another pair has built."""
        for source in pair:
            if source not in edges:
                candidates: Candidates = {option: partial(self._edge, node, source, option) for option in operations}
                edges[source] = self.pick.op(f"{self.kind}_edge{node}_from_{source}", candidates)
        name = f"{self.name}.node{node}.from_{'_'.join(map(str, pair))}"
        return self.zeros.total({f"{name}.{source}": edges[source] for source in pair})

    def _edge(self, node: int, source: int, option: str) -> Value:
        x = self.states[source]
        if option == NONE or x in self.zeros:
            return self.zeros.zero(self.shape)
        stride = self.stride if source < 2 else 1
        return CELL_OPERATIONS[option](self.g, x, f"{self.name}.edge{node}_from_{source}.{option}", stride)
