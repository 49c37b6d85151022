"""Features from graphs, against the graphs themselves."""

import numpy as np
import pytest

from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.graph_features import GraphFeatures
from search_spaces.probes import network, weight
from search_spaces.routes import count_paths


@pytest.fixture(scope="module")
def cells() -> NasBench201:
    """The cell space with two cells in each of two stages, quick to build."""
    return NasBench201(cells=2, widths=(8, 16))


@pytest.fixture(scope="module")
def features(cells: NasBench201) -> GraphFeatures:
    """Made once for all tests."""
    return GraphFeatures(cells)


def column(features: GraphFeatures, rows: np.ndarray, name: str) -> np.ndarray:
    """One feature by its name."""
    return features(rows)[:, features.names.index(name)]


def test_counts_are_those_of_the_deployed_graph(cells: NasBench201, features: GraphFeatures) -> None:
    """Operators on open paths, exactly: what an edge costs depends on whether its neighbours let it through."""
    rows = cells.sample(60, np.random.default_rng(0))
    alive = column(features, rows, "path 0") == 1
    assert alive.mean() > 0.9
    for name, operator, area in (("AveragePool 9", "AveragePool", 9), ("Conv", "Conv", 1), ("Conv 9", "Conv", 9)):
        counted = []
        for row in rows[alive]:
            kinds = list(network(cells.graph(row)).kinds.values())
            counted.append(kinds.count((operator, area, False)))
        fixed = np.array(counted) - column(features, rows[alive], name)
        assert (fixed == fixed[0]).all(), name  # the stem and the block between the stages


def test_costs_follow_the_exact_ones(cells: NasBench201, features: GraphFeatures) -> None:
    """MACs and parameters differ from the space's own by what all networks share."""
    rows = cells.sample(40, np.random.default_rng(1))
    rows = rows[column(features, rows, "path 0") == 1]
    exact = cells.costs(rows)
    for name in ("macs", "params"):
        fixed = exact[name] - column(features, rows, name)
        np.testing.assert_allclose(fixed, fixed[0])


def test_paths_are_those_of_the_graph(cells: NasBench201, features: GraphFeatures) -> None:
    """The number of paths, and the longest and shortest way counted in operators with MACs."""
    rows = cells.sample(40, np.random.default_rng(2))
    rows = rows[column(features, rows, "path 0") == 1]
    found = []
    for row in rows:
        deployed = network(cells.graph(row))
        longest: dict[str, float] = {}
        shortest: dict[str, float] = {}
        for name, sources in deployed.sources.items():
            own = weight(deployed.nodes[name])[0]
            longest[name] = own + max(longest.get(source, 0.0) for source in sources)
            shortest[name] = own + min(shortest.get(source, 0.0) for source in sources)
        (output,) = deployed.outputs
        found.append([longest[output], shortest[output], np.log(count_paths(deployed, frozenset()))])
    told = np.stack([column(features, rows, f"path {place}") for place in (1, 5, 9)], axis=1)
    fixed = np.array(found) - told
    np.testing.assert_allclose(fixed - fixed[0], 0, atol=1e-9)


def test_a_network_without_a_path_is_marked(cells: NasBench201, features: GraphFeatures) -> None:
    """Nothing on a closed path counts, but what is built does."""
    row = cells.genotype({name: "nor_conv_3x3" if name == "edge1_from_0" else "none" for name in cells.names})
    found = dict(zip(features.names, features(row[None])[0], strict=True))
    assert found["path 0"] == 0
    assert found["Conv 9"] == found["macs"] == 0
    assert found["built Conv 9"] > 0


def test_networks_that_are_one_have_one_description(cells: NasBench201, features: GraphFeatures) -> None:
    """A closed path makes its other edges irrelevant to all but what is built and the choices."""
    choices = dict.fromkeys(cells.names, "skip_connect") | {"edge3_from_2": "none", "edge3_from_0": "nor_conv_1x1"}
    rows = np.stack([cells.genotype(choices | {"edge2_from_0": edge}) for edge in cells.operations])
    live, _, paths, _ = np.split(features(rows), np.cumsum(features.groups)[:-1], axis=1)
    assert (live == live[0]).all()
    np.testing.assert_allclose(paths, np.repeat(paths[:1], 5, axis=0))


@pytest.mark.parametrize("make", [NasBench201, MobileNetV3])
def test_every_space_has_features(make: type[NasBench201] | type[MobileNetV3]) -> None:
    """As many as their groups and names say, finite, and a row depends on its genotype alone."""
    space = make()
    features = GraphFeatures(space)
    rows = space.sample(50, np.random.default_rng(0))
    found = features(rows)
    assert found.shape == (50, sum(features.groups)) == (50, len(features.names))
    assert len(features.groups) == len(features.lengths)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(features(rows[::-1])[::-1], found)
    assert {features.names[place] for place in features.costs} == {"bytes_moved", "macs", "params"}


def test_additive_counts_of_a_chain_are_exact() -> None:
    """Depth takes whole blocks away: convolutions of each kernel size are as many as in the graph."""
    space = MobileNetV3()
    features = GraphFeatures(space)
    rows = space.sample(8, np.random.default_rng(3))
    for area in (9, 25, 49):
        counted = [list(network(space.graph(row)).kinds.values()).count(("Conv", area, True)) for row in rows]
        fixed = np.array(counted) - column(features, rows, f"Conv {area} grouped")
        np.testing.assert_allclose(fixed, fixed[0])
