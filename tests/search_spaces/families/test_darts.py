"""The DARTS space against its published networks and notation."""

from typing import Any

import numpy as np
import pytest

from search_spaces.costs.static import costs
from search_spaces.families.cell_operations import CELL_OPERATIONS
from search_spaces.families.darts import PUBLISHED_OPERATIONS, Darts
from search_spaces.families.darts_notation import parse
from search_spaces.identity import graph_hash

DARTS_V1 = (
    "DARTS_V1 = Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 0), ('sep_conv_3x3', 1), "
    "('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', 0)], reduce_concat=[2, 3, 4, 5])"
)
DARTS_V2 = (
    "DARTS_V2 = Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
PC_DARTS = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), ('dil_conv_3x3', 1), "
    "('sep_conv_5x5', 0), ('sep_conv_3x3', 1), ('avg_pool_3x3', 0), ('dil_conv_3x3', 1)], normal_concat=range(2, 6), "
    "reduce=[('sep_conv_5x5', 1), ('max_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_5x5', 2), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2)], reduce_concat=range(2, 6))"
)
SPACE = Darts()
SMALL = Darts(resolution=8, width=4, layers=3)


def test_published_cifar10_networks() -> None:
    """3.349342 M parameters in the authors' read-me, and the 528 M MACs that papers quote for this network."""
    found = costs(SPACE.graph(SPACE.read(DARTS_V2)))
    assert found["params"] == 3_349_342
    assert round(found["macs"] / 1e6) == 528
    assert round(costs(SPACE.graph(SPACE.read(DARTS_V1)))["params"] / 1e6, 1) == 3.2
    assert round(costs(SPACE.graph(SPACE.read(PC_DARTS)))["params"] / 1e6, 1) == 3.6


def test_published_imagenet_network() -> None:
    """4.718752 M parameters; the MACs are 530 M, where the paper has 574 M and recounts of its code 523 M to 545 M."""
    space = Darts(classes=1000, resolution=224, width=48, layers=14, imagenet_stem=True)
    found = costs(space.graph(space.read(DARTS_V2)))
    assert found["params"] == 4_718_752
    assert round(found["macs"] / 1e6) == 530


def test_size() -> None:
    """A pair of inputs for each of three nodes, and an operation on each of eight edges, in two cells."""
    assert SPACE.size() == (3 * 6 * 10 * 8**8) ** 2
    assert Darts(operations=PUBLISHED_OPERATIONS[1:]).size() == (180 * 7**8) ** 2


@pytest.mark.parametrize("text", [DARTS_V1, DARTS_V2, PC_DARTS])
def test_notation_round_trip(text: str) -> None:
    """What was read is written with the edges of a node in order of their inputs, and read as the same."""
    genotype = SPACE.read(text)
    again = SPACE.write(genotype)
    np.testing.assert_array_equal(SPACE.read(again), genotype)
    given, found = parse(text), parse(again)
    for theirs, mine in ((given.normal, found.normal), (given.reduce, found.reduce)):
        assert [sorted(theirs[i : i + 2]) for i in range(0, 8, 2)] == [sorted(mine[i : i + 2]) for i in range(0, 8, 2)]


def test_every_genotype_has_a_notation() -> None:
    """Random genotypes, `none` included, go through the notation."""
    for genotype in SPACE.sample(50, np.random.default_rng(0)):
        np.testing.assert_array_equal(SPACE.read(SPACE.write(genotype)), genotype)


def test_order_of_a_pair_does_not_matter() -> None:
    """The two edges of a node in the other order are the same genotype."""
    swapped = DARTS_V2.replace("('skip_connect', 0), ('dil_conv_3x3', 2)]", "('dil_conv_3x3', 2), ('skip_connect', 0)]")
    assert swapped != DARTS_V2
    np.testing.assert_array_equal(SPACE.read(swapped), SPACE.read(DARTS_V2))


def test_every_operation_keeps_the_shape() -> None:
    """All operations, in both cells: sharp and sparse ones too."""
    for operation in CELL_OPERATIONS:
        space = Darts(resolution=8, width=4, layers=3, operations=[operation])
        graph = space.graph(np.zeros(len(space.decisions), np.int16))
        assert graph.values["cell2.concat"].shape == (1, 64, 2, 2)


def test_flooded_and_choked_blocks() -> None:
    """The channels between the two separable convolutions are four times the node's, or 32."""
    space = Darts(resolution=8, width=4, layers=3, operations=["flood_conv_3x3", "choke_conv_3x3"])
    for option, middle in enumerate((16, 32)):
        graph = space.graph(np.full(len(space.decisions), option, np.int16))
        name = f"cell0.edge2_from_0.{space.operations[option]}.first.pointwise.weight"
        assert graph.parameters[name].shape == (middle, 4, 1, 1)


def test_sparse_weights_are_marked() -> None:
    """A sparse convolution costs what the dense one does, and is another network: its weights are to be masked."""
    space = Darts(resolution=8, width=4, layers=3, operations=["sep_conv_3x3", "sparse_sep_conv_3x3"])
    dense, sparse = (space.graph(space.read(chain(option, option))) for option in space.operations)
    assert costs(dense) == costs(sparse)
    assert graph_hash(dense) != graph_hash(sparse)
    for graph, role in ((dense, "weight"), (sparse, "sparse_weight")):
        convolutions = [
            value for name, value in graph.parameters.items() if "pointwise.w" in name or "depthwise.w" in name
        ]
        assert {value.role for value in convolutions} == {role}


def test_unread_cells_are_not_built() -> None:
    """A cell whose output nobody reads is left out."""
    graph = SMALL.graph(SMALL.read(chain("skip_connect", "none")))
    parts = {node.name.split(".")[0] for node in graph.nodes}
    assert parts == {"stem", "cell0", "cell2", "pool", "logits"}  # the last cell reads the last but one only


def test_cells_of_zeros_run() -> None:
    """Nodes without any input that is not zero are computed zeros: the network keeps its shape and its batch."""
    for first, second in (("none", "none"), ("none", "skip_connect")):
        graph = SMALL.graph(SMALL.read(chain(first, second)))
        assert graph.values["cell2.concat"].shape == (1, 64, 2, 2)
        assert [value.shape for value in graph.outputs] == [(1, 10)]


def chain(first: str, second: str) -> str:
    """Cells whose nodes all read the two inputs, each by one operation."""
    edges = [(first, 0), (second, 1)] * 4
    return f"Genotype({edges}, range(2, 6), {edges}, range(2, 6))"


BAD_TEXT: list[tuple[str, str]] = [
    ("", "not one expression"),
    ("Genotype(", "not one expression"),
    ("\0", "not one expression"),
    ("1; 2", "not one expression"),
    ("(" * 5000, "not one expression|nested"),
    (f"Genotype({'a.' * 900}a, [2], [], [2])", "nested|normal must be"),
    (f"Genotype([], [2], {'-' * 900}1, [2])", "nested|reduce must be"),
    ("x" * 10_001, "at most 10000 characters"),
    ("__import__('os').system('true')", "expected Genotype"),
    ("Genotype(normal=[])", "Genotype needs normal, normal_concat, reduce, reduce_concat, each once"),
    ("Genotype(*a, **b)", "Genotype needs"),
    ("Genotype([], [2], [], [2], normal=[])", "Genotype needs"),
    ("Genotype([('a', 0, 1)], [2], [], [2])", "normal must be a list of pairs"),
    ("Genotype(open('x'), [2], [], [2])", "normal must be a list, got"),
    ("Genotype([], range(2, 10 ** 9), [], [2])", "range of normal_concat must have whole numbers"),
    ("Genotype([], range(2, 999999999), [], [2])", "small range"),
    ("Genotype([], ['2'], [], [2])", "normal_concat must be a range or a list of nodes"),
    (DARTS_V2.replace("[2, 3, 4, 5]", "[3, 4, 5]"), "normal must have 8 edges and concatenate nodes 2 to 5"),
    (DARTS_V2.replace("('sep_conv_3x3', 0), ", "", 1), "normal must have 8 edges .* got 7 edges"),
    (DARTS_V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 0)"), "normal node 5 must have two distinct inputs"),
    (DARTS_V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)"), "normal node 5 must have two distinct inputs"),
    (DARTS_V2.replace("dil_conv_3x3", "magic"), "has no option 'magic'; allowed: "),
]


@pytest.mark.parametrize("text, message", BAD_TEXT)
def test_bad_notation(text: str, message: str) -> None:
    """Text that is not a genotype of the space is refused and never run."""
    with pytest.raises(ValueError, match=message):
        SPACE.read(text)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"resolution": 30}, "resolution must be divisible by the total stride of 4, got 30"),
    ({"resolution": 36, "imagenet_stem": True}, "divisible by the total stride of 32, got 36"),
    ({"width": 5}, "width must be even"),
    ({"layers": 2}, "layers must be a whole number of at least 3, got 2"),
    ({"nodes": 0}, "nodes must be a whole number of at least 1"),
    ({"operations": ["conv"]}, "operations 'conv' is not known; known: none, skip_connect"),
    ({"operations": []}, "operations must be a list with at least one entry"),
]


@pytest.mark.parametrize("settings, message", BAD)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    """A setting that describes no network is refused by name."""
    with pytest.raises(ValueError, match=message):
        Darts(**settings)
