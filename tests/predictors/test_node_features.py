"""Node tables of networks from every source, and the predictor that works on any of them."""

from itertools import accumulate

import numpy as np
import onnx
import pytest

from predictors.errors import FeatureMismatch, PredictorError
from predictors.graph import Graph
from predictors.node_features import NODE_FEATURES, SUMS, node_features
from search_spaces.costs.static import costs
from search_spaces.interchange.onnx_file import model_bytes
from search_spaces.interchange.onnx_reader import read_graph, read_model
from search_spaces.node_table import COLUMNS, NodeTable, node_table
from search_spaces.registry import SPACES
from search_spaces.space import SearchSpace

SMALL: dict[str, dict[str, object]] = {
    "mobilenet_v3": {"resolutions": [32]},
    "nasbench201": {},
    "fbnet": {"resolution": 32},
    "vision_transformer": {},
}


def space(name: str) -> SearchSpace:
    """A space, small where it takes that."""
    return SPACES[name](**SMALL[name])  # type: ignore[arg-type]


def features(tables: list[NodeTable]) -> np.ndarray:
    """(n, f) features of n tables."""
    starts = np.array([0, *accumulate(len(table.operators) for table in tables)], np.intp)
    operators = np.concatenate([table.operators for table in tables])
    return node_features(operators, np.concatenate([table.numbers for table in tables]), starts, COLUMNS)


def file_of(made: SearchSpace, seed: int) -> bytes:
    """A random network of a space as ONNX."""
    graph = made.graph(made.sample(1, np.random.default_rng(seed))[0])
    weights = {name: np.ones(parameter.shape, np.float32) for name, parameter in graph.parameters.items()}
    return model_bytes(graph, weights)


@pytest.mark.parametrize("name", SMALL)
def test_file_has_the_table_of_its_graph(name: str) -> None:
    """What is read from a file, with or without its weights, is what was written."""
    made = space(name)
    genotype = made.sample(1, np.random.default_rng(3))[0]
    graph = made.graph(genotype)
    content = file_of(made, 3)
    own = features([node_table(graph)])
    for again in (read_graph(content), read_model(content).graph):
        np.testing.assert_allclose(features([node_table(again)]), own, rtol=1e-12)
    assert node_table(graph).numbers[:, COLUMNS.index("macs")].sum() == costs(graph)["macs"]
    assert node_table(graph).numbers[:, COLUMNS.index("bytes_moved")].sum() == costs(graph)["bytes_moved"]


def test_graph_alone_of_a_damaged_file() -> None:
    """Half a file, and bytes at random, are refused with an error of their own."""
    content = file_of(space("nasbench201"), 0)
    rng = np.random.default_rng(0)
    for length in rng.integers(0, len(content), 20).tolist():
        with pytest.raises(ValueError, match="model"):
            read_graph(content[:length])
    for _ in range(50):
        with pytest.raises(ValueError, match=r"ONNX|model"):
            read_graph(rng.bytes(200))


def test_graph_alone_keeps_small_constants() -> None:
    """A target shape stays what it is, and a large weight has its shape without its content."""
    weight = onnx.numpy_helper.from_array(np.ones((40, 30), np.float32), "w")
    shape = onnx.numpy_helper.from_array(np.array([0, 5, 6]), "s")
    nodes = [onnx.helper.make_node("MatMul", ["x", "w"], ["y"]), onnx.helper.make_node("Reshape", ["y", "s"], ["z"])]
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [info("x", 1, ["N", 40])],
        [info("z", 1, ["N", 5, 6])],
        [weight, shape],
    )
    found = read_graph(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)]).SerializeToString()
    )
    assert found.outputs[0].shape == (1, 5, 6)
    assert found.parameters["w"].shape == (40, 30)


def test_sums_add_up() -> None:
    """What kinds of operators count, multiply and move together is what the table holds; views cost nothing."""
    table = node_table(space("vision_transformer").graph(space("vision_transformer").smallest()))
    found = dict(zip(NODE_FEATURES.names, features([table])[0], strict=True))
    macs = sum(value for name, value in found.items() if name in SUMS and name.endswith("macs"))
    moved = sum(value for name, value in found.items() if name in SUMS and name.endswith("moved"))
    assert macs == pytest.approx(table.numbers[:, COLUMNS.index("macs")].sum() / 1e6)
    assert moved == pytest.approx(table.numbers[:, COLUMNS.index("bytes_moved")].sum() / 1e6)
    assert found["product count"] > 0


def test_table_that_does_not_fit() -> None:
    """Missing columns, shapes that differ, and numbers below zero are refused."""
    table = node_table(space("nasbench201").graph(space("nasbench201").largest()))
    starts = np.array([0, len(table.operators)], np.intp)
    with pytest.raises(FeatureMismatch, match="missing: kernel"):
        node_features(table.operators, table.numbers[:, 1:], starts, COLUMNS[1:])
    with pytest.raises(FeatureMismatch, match="shape"):
        node_features(table.operators[:-1], table.numbers, starts, COLUMNS)
    with pytest.raises(FeatureMismatch, match="negative"):
        node_features(table.operators, -table.numbers, starts, COLUMNS)


def test_space_that_was_never_seen() -> None:
    """Fitted on two spaces, the prices of a made-up device hold on a third, within 15 %."""
    rng = np.random.default_rng(0)
    tables = {}
    for name in ("mobilenet_v3", "nasbench201", "fbnet"):
        made = space(name)
        tables[name] = [node_table(made.graph(row)) for row in made.sample(25, rng)]

    def device(x: np.ndarray) -> np.ndarray:
        price = np.array([0.004 if name.endswith("count") else 0.02 for name in SUMS])
        price[[place for place, name in enumerate(SUMS) if name.startswith("fused")]] = 0.0
        return 0.1 + x[:, : len(SUMS)] @ price

    x = features(tables["mobilenet_v3"] + tables["nasbench201"])
    predictor = Graph().fit(x, device(x) * np.exp(0.01 * rng.normal(size=len(x))))
    other = features(tables["fbnet"])
    assert np.mean(np.abs(predictor.predict(other).mean / device(other) - 1)) < 0.15
    prices = predictor.node_prices()
    assert prices["fused count"] < prices["pointwise count"]
    with pytest.raises(PredictorError, match="above 0"):
        Graph().fit(x, device(x) - 10.0)
