"""What every search space must do; runs over the registry, each space in a small setting."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.costs.static import METRICS, costs
from search_spaces.graph import Graph
from search_spaces.identity import graph_hash
from search_spaces.interchange.onnx_file import model_bytes
from search_spaces.interchange.onnx_reader import read_model
from search_spaces.interpreter.torch_graph import TorchGraph
from search_spaces.registry import SPACES
from search_spaces.space import SearchSpace
from search_spaces.supernet.settings import SupernetSettings
from search_spaces.supernet.supernet import Supernet

GENOTYPES = 50
SMALL: dict[str, dict[str, Any]] = {
    "darts": {"classes": 7, "resolution": 8, "width": 4, "layers": 3, "nodes": 2},
    "fbnet": {
        "classes": 10,
        "resolution": 16,
        "widths": [8, 16],
        "depths": [1, 2],
        "strides": [1, 2],
        "stem_width": 8,
        "stem_stride": 1,
        "final_width": 16,
    },
    "mobilenet_v3": {
        "classes": 10,
        "channels": 1,
        "resolutions": [16, 24, 32],
        "widths": [8, 16],
        "strides": [2, 2],
        "activations": ["relu", "h_swish"],
        "squeeze_excite": [False, True],
        "depths": [1, 2, 3],
        "stem_stride": 1,
        "stem_width": 8,
        "final_width": 32,
        "feature_width": 32,
    },
    "nasbench201": {"resolution": 8, "widths": [4, 8], "cells": 1},
    "proxyless": {
        "classes": 10,
        "resolution": 15,
        "widths": [8, 16],
        "depths": [2, 2],
        "strides": [1, 2],
        "stem_width": 8,
        "first_width": 4,
        "final_width": 16,
    },
    "resnet50": {
        "classes": 10,
        "resolutions": [32, 40, 47],
        "widths": [32, 64],
        "base_depths": [1, 2],
        "depths": [0, 1],
        "stem_width": 64,
    },
    "scaled": {"classes": 10, "depths": [0.25, 0.5, 0.75], "widths": [0.25, 0.5], "resolutions": [32, 40]},
    "transformer_lm": {
        "vocabulary": 11,
        "length": 16,
        "depths": [1, 2, 3],
        "widths": [16, 24],
        "heads": [1, 2],
        "feed_forwards": [1, 2.5],
        "head_dim": 8,
        "window": 4,
        "chunk": 4,
    },
    "vision_transformer": {
        "classes": 10,
        "resolutions": [16, 24],
        "patch": 8,
        "depths": [1, 2, 3],
        "widths": [16, 24],
        "heads": [1, 2],
        "mlp_ratios": [1, 2.5],
        "head_dim": 8,
    },
}
"""For each space the settings of a small one that has all its kinds of decisions."""


@pytest.fixture(scope="module", params=sorted(SPACES))
def space(request: pytest.FixtureRequest) -> SearchSpace:
    """One space of the registry."""
    name: str = request.param
    assert name in SMALL, f"give the new space {name!r} a small setting in SMALL"
    return SPACES[name](**SMALL[name])


@pytest.fixture(scope="module")
def population(space: SearchSpace) -> np.ndarray:
    """The extremes and random genotypes, (GENOTYPES, d)."""
    random = space.sample(GENOTYPES - 2, np.random.default_rng(0))
    return np.concatenate([space.largest()[None], space.smallest()[None], random])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks are slower on many threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def weights_of(graph: Graph, seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights that keep activations near one."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, value in graph.parameters.items():
        array = rng.standard_normal(value.shape).astype(np.float32)
        fan = max(1, int(np.prod(value.shape[1:]))) if value.role == "weight" else 1
        weights[name] = np.abs(array) + 0.5 if value.role == "variance" else array / np.float32(np.sqrt(fan))
    return weights


def inputs_of(graph: Graph, batch: int) -> list[np.ndarray]:
    """Random inputs; whole numbers are 0 or 1, which every vocabulary has."""
    rng = np.random.default_rng(1)
    shapes = [(batch, *value.shape[1:]) for value in graph.inputs]
    return [
        (rng.standard_normal(shape) if value.dtype == "float32" else rng.integers(0, 2, shape)).astype(value.dtype)
        for shape, value in zip(shapes, graph.inputs, strict=True)
    ]


def test_torch_agrees_with_onnx_runtime(space: SearchSpace, population: np.ndarray) -> None:
    """Every network passes the checker and gives the same outputs within 1e-4, batch norm folded, batch of two."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for row in population:
        graph = space.graph(row)
        weights = weights_of(graph)
        content = model_bytes(graph, weights, {"space": space.name})
        onnx.checker.check_model(content, full_check=True)
        inputs = inputs_of(graph, 2)
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        found = session.run(None, {value.name: array for value, array in zip(graph.inputs, inputs, strict=True)})
        tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
        with torch.no_grad():
            expected = TorchGraph(graph).run(tensors, [torch.from_numpy(array) for array in inputs])
        for mine, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(mine, theirs.numpy(), atol=1e-4, rtol=1e-4)
            assert np.isfinite(mine).all()


def test_macs_agree_with_torch(space: SearchSpace, population: np.ndarray) -> None:
    """PyTorch counts two operations for every multiply-add; parameters are those of the graph."""
    for row in population[:10]:
        graph = space.graph(row)
        tensors = {name: torch.from_numpy(array) for name, array in weights_of(graph).items()}
        inputs = [torch.from_numpy(array) for array in inputs_of(graph, 1)]
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            TorchGraph(graph).run(tensors, inputs)
        found = costs(graph, dead=True)
        assert counter.get_total_flops() == 2 * found["macs"]
        learned = [name for name, value in graph.parameters.items() if value.trainable]
        assert sum(tensors[name].numel() for name in learned) == found["params"]


def test_tables_equal_graphs(space: SearchSpace, population: np.ndarray) -> None:
    """Costs of the population are those of each network, all positive."""
    found = space.costs(population)
    for place, row in enumerate(population):
        expected = costs(space.graph(row))
        assert {metric: found[metric][place] for metric in METRICS} == expected
        assert min(expected["peak_activation_bytes"], expected["bytes_moved"]) > 0
    assert found["macs"][0] == found["macs"].max()
    assert found["macs"][1] == found["macs"].min()


def test_file_reads_back(space: SearchSpace, population: np.ndarray) -> None:
    """A network that was written and read is written the same again."""
    for row in population[:10]:
        graph = space.graph(row)
        content = model_bytes(graph, weights_of(graph))
        again = read_model(content)
        assert not again.graph.foreign()
        assert model_bytes(*again) == content


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_networks_compute_in_half_precision(space: SearchSpace, population: np.ndarray, precision: str) -> None:
    """Under autocast outputs stay near those of float32, and every learned tensor gets a float32 gradient."""
    supernet = Supernet(space, seed=0)
    for row in population[:4]:
        (x,) = (torch.from_numpy(array) for array in inputs_of(space.graph(row), 8))
        expected = supernet(x, row)
        with torch.autocast("cpu", getattr(torch, precision)):
            found = supernet(x, row)
        assert (found - expected).abs().mean() <= 0.1 * expected.std() + 1e-3
        supernet.zero_grad()
        found.float().logsumexp(-1).mean().backward()
        for name in supernet.weights(row):
            gradient = supernet.shared[name].grad
            assert gradient is not None, name
            assert gradient.dtype == torch.float32
            assert gradient.isfinite().all(), name


def test_networks_live_where_their_weights_are(space: SearchSpace, population: np.ndarray) -> None:
    """On torch's `meta` device, which has no values, nothing that is left on the CPU goes unnoticed."""
    supernet = Supernet(space, seed=0, settings=SupernetSettings(experts=2)).to("meta")
    for row in population[:10]:
        (x,) = (torch.from_numpy(array).to("meta") for array in inputs_of(space.graph(row), 2))
        found = supernet(x, row)
        assert found.device.type == "meta"
        found.mean().backward()


def mirrored(graph: Graph) -> Graph:
    """The same network with other names and, where its order leaves room, its nodes in another order."""
    other = Graph("mirrored")
    values = {value.name: other.input(f"{value.name}'", value.shape, value.dtype) for value in graph.inputs}
    for name in reversed(graph.parameters):
        parameter = graph.parameters[name]
        values[name] = other.parameter(f"{name}'", parameter.shape, parameter.role)
    for name, value in graph.constants.items():
        assert value.data is not None
        values[name] = other.constant(f"{name}'", value.data)
    waiting = list(graph.nodes)
    while waiting:
        node = next(node for node in reversed(waiting) if all(name in values for name in node.inputs if name))
        waiting.remove(node)
        inputs = [values[name] if name else None for name in node.inputs]
        names = [f"{name}'" for name in node.outputs]
        made = other.add_split(node.op, *inputs, name=f"{node.name}'", names=names, **node.attributes)
        values.update(zip(node.outputs, made, strict=True))
    for value in graph.outputs:
        other.output(values[value.name])
    return other


def test_hash_ignores_names_and_order(space: SearchSpace, population: np.ndarray) -> None:
    """A network that is renamed and reordered, or assembled again, is the same network."""
    for row in population:
        graph = space.graph(row)
        key = graph_hash(graph)
        assert len(key) == 64
        assert graph_hash(mirrored(graph)) == key
        assert graph_hash(space.graph(row)) == key


def test_equal_hashes_mean_equal_costs(space: SearchSpace) -> None:
    """Genotypes of one network have one price, whatever they are called."""
    population = space.sample(200, np.random.default_rng(3))
    found = space.costs(population)
    priced: dict[str, tuple[float, ...]] = {}
    for place, row in enumerate(population):
        price = tuple(found[metric][place] for metric in ("macs", "params", "bytes_moved"))
        assert priced.setdefault(graph_hash(space.graph(row)), price) == price


def test_gradients_reach_every_parameter(space: SearchSpace, population: np.ndarray) -> None:
    """Training the subnets changes all that they have; one with a cut in it (cells without operations) less."""
    supernet = Supernet(space, seed=0)
    asked, reached = set(), set()
    for row in population[:20]:
        subnet = supernet.subnet(row)
        inputs = torch.from_numpy(inputs_of(space.graph(row), 4)[0])
        supernet.zero_grad()
        (supernet(inputs, row) ** 2).sum().backward()
        for name, index in subnet.slices:
            gradient = supernet.shared[name].grad
            assert gradient is not None, name
            part = gradient if index is None else gradient[index]
            assert part.isfinite().all(), name
            asked.add(name)
            if part.any():
                reached.add(name)
    assert reached == asked


def test_canonical_is_idempotent(space: SearchSpace) -> None:
    """Canonical twice is canonical once, and does not change the network."""
    rng = np.random.default_rng(4)
    raw = rng.integers(0, space.cardinalities, (GENOTYPES, len(space.decisions)), np.int16)
    once = space.canonical(raw)
    np.testing.assert_array_equal(space.canonical(once), once)
    for before, after in zip(raw[:10], once[:10], strict=True):
        assert graph_hash(space.graph(before)) == graph_hash(space.graph(after))


def test_every_decision_matters(space: SearchSpace) -> None:
    """Every option of every decision is active in some network, and changing a decision changes some network."""
    population = space.sample(2000, np.random.default_rng(5))
    active = space.active(population)
    for column, decision in enumerate(space.decisions):
        seen = population[active[:, column], column]
        assert set(seen.tolist()) == set(range(len(decision.options))), decision.name
        if len(decision.options) == 1:
            continue
        for row in population[active[:, column]][:20]:
            changed = row.copy()
            changed[column] = (row[column] + 1) % len(decision.options)
            if graph_hash(space.graph(row)) != graph_hash(space.graph(space.canonical(changed[None])[0])):
                break
        else:
            pytest.fail(f"decision {decision.name!r} changed none of 20 networks")


def test_genotypes_survive_json(space: SearchSpace, population: np.ndarray) -> None:
    """A genotype's choices go through JSON and come back as the same row."""
    for row in population:
        np.testing.assert_array_equal(space.genotype(json.loads(json.dumps(space.choices(row)))), row)


def test_settings_make_the_space_again(space: SearchSpace) -> None:
    """Settings are plain JSON, and make a space of the same decisions."""
    again = SPACES[space.name](**json.loads(json.dumps(space.settings)))
    assert again.decisions == space.decisions
    assert graph_hash(again.graph(again.largest())) == graph_hash(space.graph(space.largest()))
