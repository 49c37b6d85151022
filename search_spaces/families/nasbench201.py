"""The cell space of NAS-Bench-201 (Dong and Yang, arXiv 2001.00326)."""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import numpy as np

from search_spaces.decision import Decision
from search_spaces.families.cell_facts import cell_values, edge_code, read_nodes
from search_spaces.families.cell_operations import CELL_OPERATIONS, NONE, relu_conv_norm
from search_spaces.families.cells import Zeros, computed_zero, drop_dead
from search_spaces.graph import Graph, Value
from search_spaces.layers import activation, batch_norm, conv, conv_norm, global_pool, linear
from search_spaces.settings import check_distinct, check_flags, check_known, check_whole, check_wholes, plain
from search_spaces.space import Pick, Population, SearchSpace


class NasBench201(SearchSpace):
    """One cell, repeated: every node is the sum of one operation on each node before it.

    Stages of equal cells stand behind a stem, a residual block between two stages halves the size and takes the next
    width. A genotype's columns are `edge1_from_0`, `edge2_from_0`, `edge2_from_1`, ...; node 0 is the cell's input and
    the last node its output. The defaults are the published space for CIFAR-10.

    What is zero is left out, and so is what nobody reads: the network that is deployed. The published figures are
    those of the literal network, with every edge built; `literal` gives that one. A cell whose output is zero is
    computed as x times 0 in either case, so that the network stays one.

    Args:
        classes: number of classes.
        channels: channels of the input image.
        resolution: input size in pixels; the stages' halvings divide it.
        widths: channels of each stage.
        cells: cells in each stage.
        nodes: of a cell, the input included.
        operations: what an edge may be: `none` and `search_spaces.families.cell_operations.CELL_OPERATIONS`.
        literal: build zeros and dead edges like all others, as the published networks do.

    Raises:
        ValueError: an empty list, sizes that are not positive, fewer than two nodes, an unknown operation, a resolution
            that the halvings do not divide.
    """

    name: ClassVar[str] = "nasbench201"

    def __init__(
        self,
        *,
        classes: int = 10,
        channels: int = 3,
        resolution: int = 32,
        widths: Sequence[int] = (16, 32, 64),
        cells: int = 5,
        nodes: int = 4,
        operations: Sequence[str] = (NONE, "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"),
        literal: bool = False,
    ) -> None:
        settings = plain(locals())
        check_whole(settings, "classes", "channels", "resolution", "cells")
        check_whole(settings, "nodes", least=2)
        check_wholes(settings, "widths")
        check_known("operations", settings["operations"], (NONE, *CELL_OPERATIONS))
        check_distinct(settings, "operations")
        check_flags(settings, "literal")
        halvings = 2 ** (len(widths) - 1)
        if resolution % halvings:
            raise ValueError(
                f"resolution must be divisible by {halvings}, which {len(widths)} stages halve it to, got {resolution}"
            )
        self.classes, self.shape = classes, (1, channels, resolution, resolution)
        self.widths, self.cells, self.nodes = tuple(widths), cells, nodes
        self.operations, self.literal = tuple(operations), literal
        edges = [f"edge{target}_from_{source}" for target in range(1, nodes) for source in range(target)]
        super().__init__(tuple([Decision(edge, self.operations) for edge in edges]), settings)
        self.fact_sizes = (*range(3, nodes + 2), len(self.operations) + 1, *[2] * (nodes - 2))

    def assemble(self, pick: Pick) -> Graph:
        """The chosen network, from `image` (1, channels, r, r) to `logits` (1, classes)."""
        g = Graph(self.name)
        x = conv_norm(g, g.input("image", self.shape), "stem", self.widths[0], 3)
        for stage, width in enumerate(self.widths):
            if stage:
                x = _reduce(g, x, f"reduce{stage}", width)
            for cell in range(self.cells):
                x = self._cell(g, x, pick, f"stage{stage}.cell{cell}")
        x = activation(g, batch_norm(g, x, "final.bn"), "final.act", "relu")
        g.output(linear(g, global_pool(g, x, "pool"), "logits", self.classes))
        return drop_dead(g)

    def facts(self, population: Population) -> Population:
        """What the value of each node behind the input is, what made the last one, whether those before it are read."""
        codes = np.array([edge_code(option, literal=self.literal) for option in self.operations], np.int16)
        places = [(target, source) for target in range(1, self.nodes) for source in range(target)]
        options = {place: population[:, column] for column, place in enumerate(places)}
        edges = {place: codes[chosen] for place, chosen in options.items()}
        values = cell_values(edges, options, 1, self.nodes - 1)
        read = read_nodes(edges, values.same)[1:-1]
        return np.stack([*values.same[1:], values.makers[-1], *read], axis=1, dtype=np.int16)

    def _cell(self, g: Graph, x: Value, pick: Pick, name: str) -> Value:
        zeros = Zeros(g)
        nodes = [x]
        for target in range(1, self.nodes):
            terms = {}
            for source, value in enumerate(nodes):
                edge = f"edge{target}_from_{source}"
                build = partial(self._edge, g, value, zeros, f"{name}.{edge}")
                terms[f"{name}.{edge}"] = pick.op(edge, {option: partial(build, option) for option in self.operations})
            nodes.append(zeros.total(terms))
        return computed_zero(g, x, f"{name}.zero") if nodes[-1] in zeros else nodes[-1]

    def _edge(self, g: Graph, x: Value, zeros: Zeros, name: str, option: str) -> Value:
        if option == NONE:
            return computed_zero(g, x, f"{name}.{option}") if self.literal else zeros.zero(x.shape)
        return x if x in zeros else CELL_OPERATIONS[option](g, x, f"{name}.{option}", 1)


def _reduce(g: Graph, x: Value, name: str, width: int) -> Value:
    """Residual block with stride 2; its shortcut is average pooling and a 1x1 convolution without normalisation."""
    y = relu_conv_norm(g, x, f"{name}.first", width, 3, stride=2)
    y = relu_conv_norm(g, y, f"{name}.second", width, 3)
    x = g.add("AveragePool", x, name=f"{name}.shortcut.pool", kernel_shape=[2, 2], strides=[2, 2])
    return g.add("Add", y, conv(g, x, f"{name}.shortcut", width), name=f"{name}.add")
