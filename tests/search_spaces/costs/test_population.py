"""Compiled costs equal those of every graph, on spaces that make it hard as well."""

from collections.abc import Callable

import numpy as np
import pytest

from search_spaces import layers
from search_spaces.costs import discovery as cost_discovery
from search_spaces.costs import population as population_costs
from search_spaces.costs.population import PopulationCosts
from search_spaces.costs.static import METRICS, costs
from search_spaces.decision import Condition, Decision
from search_spaces.families.darts import Darts
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.graph import Graph, Value
from search_spaces.space import Pick, SearchSpace

OPERATIONS = ("none", "skip", "conv1", "conv3", "pool")


class Cell(SearchSpace):
    """NAS-Bench-201's cell: 6 edges, 5 operations; what is alive depends on all edges at once."""

    name = "cell"

    def __init__(self, cells: int = 1) -> None:
        self.cells = cells
        super().__init__(tuple(Decision(f"edge{i}", OPERATIONS) for i in range(6)), {"cells": cells})

    def assemble(self, pick: Pick) -> Graph:
        """Cells between a stem and a classifier."""
        g = Graph("cell")
        x = layers.conv_norm(g, g.input("image", (1, 3, 8, 8)), "stem", 4, 3)
        for cell in range(self.cells):
            nodes = [x]
            for target, edges in enumerate(((0,), (1, 2), (3, 4, 5)), 1):
                terms = [
                    self._edge(g, nodes[source], f"cell{cell}.edge{edge}", pick(f"edge{edge}"))
                    for source, edge in enumerate(edges)
                ]
                total = terms[0]
                for index, term in enumerate(terms[1:]):
                    total = g.add("Add", total, term, name=f"cell{cell}.node{target}.{index}")
                nodes.append(total)
            x = g.add("Add", x, nodes[-1], name=f"cell{cell}.out")
        g.output(layers.linear(g, layers.global_pool(g, x, "pool"), "logits", 2))
        return g

    @staticmethod
    def _edge(g: Graph, x: Value, name: str, operation: str) -> Value:
        if operation == "none":
            return g.constant(name, np.zeros(x.shape, np.float32))
        if operation == "skip":
            return x
        if operation == "pool":
            return g.add("AveragePool", x, name=name, kernel_shape=[3, 3], pads=[1] * 4)
        return layers.conv_norm(g, x, name, 4, int(operation[-1]))


class Entangled(SearchSpace):
    """Widths that follow from products of decisions, a rare combination that matters, and nested conditions."""

    name = "entangled"

    def __init__(self) -> None:
        deep = (Condition("depth", (2, 3)),)
        super().__init__(
            (
                Decision("extra", (False, True), (Condition("kind", ("wide",)),)),
                Decision("kind", ("narrow", "wide"), deep),
                Decision("depth", (1, 2, 3)),
                *[Decision(f"width{i}", (1, 2, 3, 4)) for i in range(4)],
                Decision("useless", tuple(range(5))),
            ),
            {},
        )

    def assemble(self, pick: Pick) -> Graph:
        """A few layers whose sizes depend on several decisions at once."""
        g = Graph("entangled")
        x = g.input("image", (1, 3, 8, 8))
        pick("useless")
        x = layers.conv(g, x, "first", pick("width0") * pick("width1"))
        if pick("depth") > 1:
            wide = pick("kind") == "wide"
            x = layers.conv(g, x, "second", pick("width2") * (2 if wide else 1))
            if wide and pick("extra"):
                x = g.add("Relu", x, name="extra")
        if pick("depth") == 3 and pick("width0") == 4 and pick("width3") == 4 and pick("width2") == 4:
            x = layers.conv(g, x, "rare", 9, 3)
        g.output(layers.conv(g, x, "last", pick("width3")))
        return g


SPACES: dict[str, Callable[[], SearchSpace]] = {
    "mobilenet": lambda: MobileNetV3(classes=10, channels=1, resolutions=(8, 12, 16), stem_stride=1),
    "entangled": Entangled,
}


def agree(space: SearchSpace, population: np.ndarray, found: dict[str, np.ndarray]) -> None:
    """Hold costs against those of each graph."""
    for place, row in enumerate(population):
        expected = costs(space.graph(row))
        assert {metric: values[place] for metric, values in found.items()} == {m: expected[m] for m in found}


@pytest.mark.parametrize("make", SPACES.values(), ids=SPACES.keys())
@pytest.mark.parametrize("seed", [0, 1])
def test_equal_to_every_graph(make: Callable[[], SearchSpace], seed: int) -> None:
    """All metrics compile, and equal those of 400 graphs that were not used for it."""
    space = make()
    tables = PopulationCosts(space, seed)
    tables.compile()
    assert tables.compiled == METRICS
    assert not tables.uncompiled
    population = space.sample(400, np.random.default_rng(1000 + seed))
    agree(space, population, tables.costs(population))


def test_all_of_a_small_space() -> None:
    """Every one of the genotypes of the entangled space, the rare combination included."""
    space = Entangled()
    population = space.enumerate()
    found = space.costs(population)
    assert space.population_costs.compiled == METRICS
    agree(space, population[::7], {metric: values[::7] for metric, values in found.items()})
    rare = space.genotype(
        {"depth": 3, "kind": "narrow", "width0": 4, "width1": 1, "width2": 4, "width3": 4, "useless": 0}
    )
    agree(space, rare[None], space.costs(rare[None]))


def test_what_does_not_compile_is_still_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a node depends on too much, it is named and every graph is assembled, once."""
    monkeypatch.setattr(cost_discovery, "MOST_KEYS", 200)
    space = Cell()
    tables = PopulationCosts(space)
    tables.compile()
    assert tables.uncompiled["peak_activation_bytes"]
    assert not tables.compiled
    population = space.sample(60, np.random.default_rng(0))
    population[10:20] = population[:10]
    before = tables.assembled
    agree(space, population, tables.costs(population))
    assert tables.assembled <= before + len(np.unique(population, axis=0))
    before = tables.assembled
    tables.costs(population)
    assert tables.assembled == before


def test_graphs_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Discovery gives up after a number of graphs, and tables stop growing after another; values stay exact."""
    monkeypatch.setattr(cost_discovery, "MOST_STEPS", -1)
    space = Cell(cells=2)
    tables = PopulationCosts(space)
    tables.compile()
    assert tables.uncompiled
    population = space.sample(50, np.random.default_rng(0))
    agree(space, population, tables.costs(population))
    monkeypatch.setattr(population_costs, "MOST_GRAPHS", 150)
    elastic = MobileNetV3(classes=10, channels=1, resolutions=(8, 12, 16), stem_stride=1)
    tables = PopulationCosts(elastic)
    population = elastic.sample(700, np.random.default_rng(0))
    found = tables.costs(population, ["macs"])
    agree(elastic, population[::10], {"macs": found["macs"][::10]})


def test_few_are_assembled_and_many_are_compiled() -> None:
    """Tables are made when enough was asked for; each distinct genotype counts once."""
    space = MobileNetV3(classes=10, channels=1, resolutions=(8, 12, 16), stem_stride=1)
    rng = np.random.default_rng(0)
    few = space.sample(8, rng)
    for _ in range(200):
        found = space.costs(few)
    agree(space, few, found)
    assert not space.population_costs.compiled
    assert space.population_costs.assembled == 8
    many = space.sample(population_costs.COMPILED_AFTER, rng)
    agree(space, many[:20], {metric: values[:20] for metric, values in space.costs(many, ["macs"]).items()})
    assert space.population_costs.compiled == ("macs",)
    again = space.costs(few)
    assert all((found[metric] == again[metric]).all() for metric in METRICS)
    with pytest.raises(ValueError, match="'latency' is no static cost; known: macs, params"):
        space.costs(few, ["latency"])


def test_published_cells() -> None:
    """NAS-Bench-201 in its own size: what is zero, the same or unread is known, so all but the peak compiles."""
    space = NasBench201()
    population = space.sample(2000, np.random.default_rng(0))
    metrics = ["macs", "params", "bytes_moved"]
    found = space.costs(population, metrics)
    assert set(space.population_costs.compiled) == set(metrics)
    assert space.population_costs.assembled <= 1500
    agree(space, population[::40], {metric: values[::40] for metric, values in found.items()})


@pytest.mark.parametrize("rows", [50, 3000])
def test_darts_cells(rows: int) -> None:
    """Rare zeros and unread cells are exact, and far fewer graphs are assembled than there are genotypes."""
    space = Darts(width=4, layers=5)
    population = space.sample(rows, np.random.default_rng(rows))
    found = space.costs(population, ["macs", "params"])
    assert space.population_costs.assembled <= min(rows, 2000)
    # Those with most facts that are rare are the likeliest to be wrong.
    facts = space.facts(population)
    rare = -np.log(np.stack([(facts == row).mean(axis=0) for row in facts])).sum(axis=1)
    for place in [*np.argsort(-rare)[:50], *range(0, rows, max(1, rows // 50))]:
        expected = costs(space.graph(population[place]))
        assert (found["macs"][place], found["params"][place]) == (expected["macs"], expected["params"])


@pytest.mark.parametrize(
    "space", [NasBench201(), NasBench201(literal=True), Darts(layers=4, width=4)], ids=["cell", "literal", "darts"]
)
def test_facts_are_in_range(space: SearchSpace) -> None:
    """Facts of any genotype lie below their sizes, and each of them varies."""
    facts = space.facts(space.sample(5000, np.random.default_rng(0)))
    assert facts.dtype == np.int16
    assert facts.shape == (5000, len(space.fact_sizes))
    assert (facts >= 0).all()
    assert (facts < np.array(space.fact_sizes)).all()


def test_genotypes_that_are_not_canonical() -> None:
    """Inactive decisions do not count."""
    space = Entangled()
    population = np.zeros((2, 8), np.int16)
    population[1, 0] = 1
    assert all(found[0] == found[1] for found in space.costs(population).values())
    with pytest.raises(ValueError, match="option index 5"):
        space.costs(population + np.int16(5))


def test_empty_population() -> None:
    """No rows, no costs."""
    space = Entangled()
    assert all(found.shape == (0,) for found in space.costs(np.zeros((0, 8), np.int16)).values())
    space.population_costs.compile()
    assert all(found.shape == (0,) for found in space.costs(np.zeros((0, 8), np.int16)).values())


def test_largest_and_smallest() -> None:
    """Numbers by value, names by MACs; canonical."""
    space = MobileNetV3()
    assert (space.largest() == space.cardinalities - 1).all()
    assert not space.smallest().any()
    cell = Cell()
    assert set(cell.choices(cell.largest()).values()) == {"conv3"}
    macs = cell.costs(np.stack([cell.largest(), cell.smallest(), *cell.sample(50, np.random.default_rng(0))]))["macs"]
    assert macs[0] == macs.max()
    assert macs[1] == macs.min()
    entangled = Entangled()
    assert entangled.choices(entangled.largest())["kind"] == "wide"
    assert (entangled.canonical(entangled.smallest()[None])[0] == entangled.smallest()).all()
