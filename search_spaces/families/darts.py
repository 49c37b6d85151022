"""The cell space of DARTS (Liu et al., arXiv 1806.09055)."""

from collections.abc import Sequence
from itertools import combinations
from typing import ClassVar

import numpy as np

from search_spaces.decision import Condition, Decision, Option
from search_spaces.families.cell_facts import ABSENT, Codes, cell_values, concatenated, edge_code
from search_spaces.families.cell_operations import CELL_OPERATIONS, NONE, relu_conv_norm
from search_spaces.families.cells import drop_dead
from search_spaces.families.darts_cell import KINDS, Cell, pair_option
from search_spaces.families.darts_notation import CellPair, parse
from search_spaces.graph import Graph, Value
from search_spaces.layers import conv_norm, global_pool, linear
from search_spaces.settings import check_distinct, check_flags, check_known, check_whole, plain
from search_spaces.space import Genotype, Pick, Population, SearchSpace

PUBLISHED_OPERATIONS = (
    NONE,
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)


class Darts(SearchSpace):
    """A normal and a reduction cell, stacked; each node of a cell is the sum of two operations on two earlier nodes.

    Nodes 0 and 1 of a cell are the outputs of the two cells before it; its output is all the others side by side.
    The cells at one and two thirds of the depth reduce. A genotype says for each node its pair of inputs
    (`normal_inputs3`: `0,2`; node 2 has no choice), and for each edge an operation (`normal_edge3_from_0`), which is
    active when the edge is one of the pair. So every genotype is a cell, and no two differ by the order of a pair;
    published cells never hold `none`, so leave it out of `operations` to search what papers derive.

    The defaults are the published network for CIFAR-10; that for ImageNet is `imagenet_stem`, resolution 224, width
    48, 14 layers, 1,000 classes. The auxiliary head and drop-path belong to training and are not built.

    Args:
        classes: number of classes.
        channels: channels of the input image.
        resolution: input size in pixels; divisible by the total stride, 4 or with `imagenet_stem` 32.
        width: channels of a node in the first cells, even; reduction cells double it.
        layers: number of cells, at least 3.
        nodes: nodes of a cell without its two inputs.
        operations: what an edge may be: `none` and `search_spaces.families.cell_operations.CELL_OPERATIONS`.
        stem_multiplier: the stem for small images has this many times `width` channels.
        imagenet_stem: reduce the image eightfold by three convolutions before the first cell.

    Raises:
        ValueError: sizes that are not positive, an odd width, fewer than 3 layers, an unknown operation, a resolution
            that the strides do not divide.
    """

    name: ClassVar[str] = "darts"

    def __init__(
        self,
        *,
        classes: int = 10,
        channels: int = 3,
        resolution: int = 32,
        width: int = 36,
        layers: int = 20,
        nodes: int = 4,
        operations: Sequence[str] = PUBLISHED_OPERATIONS,
        stem_multiplier: int = 3,
        imagenet_stem: bool = False,
    ) -> None:
        settings = plain(locals())
        check_whole(settings, "classes", "channels", "resolution", "width", "nodes", "stem_multiplier")
        check_whole(settings, "layers", least=3)
        check_known("operations", settings["operations"], (NONE, *CELL_OPERATIONS))
        check_distinct(settings, "operations")
        check_flags(settings, "imagenet_stem")
        if width % 2:
            raise ValueError(f"width must be even, for a reduction takes half of the channels twice, got {width}")
        stride = 32 if imagenet_stem else 4
        if resolution % stride:
            raise ValueError(f"resolution must be divisible by the total stride of {stride}, got {resolution}")
        self.classes, self.shape = classes, (1, channels, resolution, resolution)
        self.width, self.layers, self.nodes = width, layers, nodes
        self.operations, self.stem_multiplier, self.imagenet_stem = tuple(operations), stem_multiplier, imagenet_stem
        super().__init__(_decisions(nodes, self.operations), settings)
        self.fact_sizes = (16, *[*[2] * (3 * nodes), nodes] * 2)

    def assemble(self, pick: Pick) -> Graph:
        """The chosen network, from `image` (1, channels, r, r) to `logits` (1, classes)."""
        g = Graph(self.name)
        before, last = self._stem(g, g.input("image", self.shape))
        width = self.width
        for layer in range(self.layers):
            reduction = self._reduces(layer)
            width *= 2 if reduction else 1
            cell = Cell(g, pick, f"cell{layer}", before, last, width, reduction)
            before, last = last, cell.output(self.nodes, self.operations)
        g.output(linear(g, global_pool(g, last, "pool"), "logits", self.classes))
        return drop_dead(g)

    def facts(self, population: Population) -> Population:
        """Which of their inputs the two kinds of cells read, then what `concatenated` says of either kind.

        The first decides which cells are read at all, for all cells of a kind read the same of the cells before them.
        """
        (normal, normal_reads), (reduction, reduction_reads) = [self._kind_facts(population, kind) for kind in KINDS]
        reads = np.sum([read << place for place, read in enumerate([*normal_reads, *reduction_reads])], axis=0)
        return np.stack([reads, *normal, *reduction], axis=1, dtype=np.int16)

    def read(self, text: str) -> Genotype:
        """The (d,) genotype of cells in the published notation.

        Raises:
            ValueError: not that notation, another number of nodes, an unknown operation, or a node that has the same
                input twice.
        """
        cells = parse(text)
        choices: dict[str, Option] = {}
        for kind, edges, nodes in zip(KINDS, (cells.normal, cells.reduce), cells[1::2], strict=True):
            if len(edges) != 2 * self.nodes or nodes != tuple(range(2, 2 + self.nodes)):
                raise ValueError(
                    f"{kind} must have {2 * self.nodes} edges and concatenate nodes 2 to {1 + self.nodes}, "
                    f"got {len(edges)} edges and nodes {list(nodes)}"
                )
            for node in range(2, 2 + self.nodes):
                pair = sorted(edges[2 * node - 4 : 2 * node - 2], key=lambda edge: edge[1])
                sources = [source for _, source in pair]
                if sources[0] == sources[1] or not all(0 <= source < node for source in sources):
                    raise ValueError(f"{kind} node {node} must have two distinct inputs below {node}, got {sources}")
                if node > 2:
                    choices[f"{kind}_inputs{node}"] = pair_option(sources)
                choices.update({f"{kind}_edge{node}_from_{source}": option for option, source in pair})
        return self.genotype(choices)

    def write(self, genotype: Genotype) -> str:
        """The published notation of a (d,) genotype."""
        choices = self.choices(genotype)
        edges: dict[str, list[tuple[str, int]]] = {kind: [] for kind in KINDS}
        for kind in KINDS:
            for node in range(2, 2 + self.nodes):
                for source in map(int, str(choices.get(f"{kind}_inputs{node}", "0,1")).split(",")):
                    edges[kind].append((str(choices[f"{kind}_edge{node}_from_{source}"]), source))
        nodes = tuple(range(2, 2 + self.nodes))
        return str(CellPair(tuple(edges["normal"]), nodes, tuple(edges["reduce"]), nodes))

    def _reduces(self, layer: int) -> bool:
        return layer in (self.layers // 3, 2 * self.layers // 3)

    def _kind_facts(self, population: Population, kind: str) -> tuple[list[Codes], list[Codes]]:
        active = self.active(population)
        edges, options = {}, {}
        for node in range(2, 2 + self.nodes):
            for source in range(node):
                stride = 2 if kind == KINDS[1] and source < 2 else 1
                codes = np.array([edge_code(option, stride=stride) for option in self.operations], np.int16)
                column = self.names.index(f"{kind}_edge{node}_from_{source}")
                options[node, source] = population[:, column]
                edges[node, source] = np.where(active[:, column], codes[population[:, column]], np.int16(ABSENT))
        return concatenated(edges, cell_values(edges, options, 2, self.nodes), 2)

    def _stem(self, g: Graph, x: Value) -> tuple[Value, Value]:
        """What the first cell takes for the outputs of two cells before it."""
        if not self.imagenet_stem:
            x = conv_norm(g, x, "stem", self.stem_multiplier * self.width, 3)
            return x, x
        x = conv_norm(g, x, "stem0", self.width // 2, 3, stride=2, act="relu")
        before = conv_norm(g, x, "stem1", self.width, 3, stride=2)
        return before, relu_conv_norm(g, before, "stem2", self.width, 3, stride=2)


def _decisions(nodes: int, operations: tuple[str, ...]) -> tuple[Decision, ...]:
    decisions = []
    for kind in KINDS:
        for node in range(2, 2 + nodes):
            pairs = list(combinations(range(node), 2))
            name = f"{kind}_inputs{node}"
            if len(pairs) > 1:
                decisions.append(Decision(name, tuple([pair_option(pair) for pair in pairs])))
            for source in range(node):
                needs = tuple([pair_option(pair) for pair in pairs if source in pair])
                when = (Condition(name, needs),) if len(pairs) > 1 else ()
                decisions.append(Decision(f"{kind}_edge{node}_from_{source}", operations, when))
    return tuple(decisions)
