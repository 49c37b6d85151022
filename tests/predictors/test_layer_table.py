"""Tables of layers: what is in them is looked up, what is not is priced, and real ones fit the networks they are of."""

import numpy as np
import pytest

from nas.features.operators import operators_of
from predictors.errors import FeatureMismatch, PredictorError
from predictors.layer_table import LAYER_FEATURES, UNSURE, LayerTable
from predictors.lookup import Lookup
from profilers.layer_timing import LayerTime
from profilers.measurement import Measurement
from profilers.registry import make_device, open_profiler
from profilers.series import Series
from profilers.timing import TimingRule
from search_spaces.graph import Graph
from search_spaces.interchange.onnx_file import model_bytes

DENSE = (
    "group=1 kernel_shape=3,3 pads=1,1,1,1 strides=1,1 float[1,8,16,16] float[24,8,3,3] float[24] -> float[1,24,16,16]"
)
LAYERS = {
    f"com.microsoft.nchwc.Conv activation=Relu {DENSE}": 2.0,
    "Flatten axis=1 float[1,24,1,1] -> float[1,24]": 0.5,
}


def network(channels: int, blocks: int = 1) -> Graph:
    """Convolutions of 3 x 3 with their activations, the first from 8 channels."""
    graph = Graph("network")
    value = graph.input("x", (1, 8, 16, 16))
    for place in range(blocks):
        weight = graph.parameter(f"{place}.w", (channels, value.shape[1], 3, 3))
        bias = graph.parameter(f"{place}.b", (channels,), "bias")
        value = graph.add("Conv", value, weight, bias, name=f"{place}.conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        value = graph.add("Relu", value, name=f"{place}.relu")
    graph.output(graph.add("GlobalAveragePool", value, name="pool"))
    return graph


def test_a_layer_that_was_measured_takes_that() -> None:
    """Runtime's names, fused activations and other signatures of the same work make no difference.

    What it takes to time a layer that does nothing is in all times and counts in none.
    """
    table = LayerTable({**LAYERS, f"FusedConv {DENSE}": 4.0})
    told = dict(zip(LAYER_FEATURES.names, table(*operators_of([network(24)]))[0], strict=True))
    assert table.timing == 0.5
    assert told["spatial ms"] == 3.0 - 0.5
    assert told["fused ms"] == 0.0


def test_prices_are_less_sure_than_measurements() -> None:
    """The error of lines is told for what was not measured, and intervals are as wide as that asks for."""
    signatures = {n: DENSE.replace("[24", f"[{n}").replace("1,24", f"1,{n}") for n in range(8, 72, 8)}
    noise = np.random.default_rng(0).uniform(0.5, 1.5, len(signatures))
    times = {f"Conv {signatures[n]}": 0.01 * n * factor for n, factor in zip(signatures, noise, strict=True)}
    pool = {f"GlobalAveragePool float[1,{n},16,16] -> float[1,{n},1,1]": 0.001 for n in range(8, 80, 8)}
    table = LayerTable(times | pool)
    known, priced = table(*operators_of([network(24), network(100)]))[:, LAYER_FEATURES.names.index(UNSURE)]
    assert known == 0.0
    assert priced > 0.1
    features = table(*operators_of([network(n) for n in signatures]))
    lookup = Lookup(LAYER_FEATURES).fit(features, features[:, :-1].sum(axis=1) * np.linspace(0.95, 1.05, len(features)))
    asked = table(*operators_of([network(64), network(100)]))
    low, high = lookup.interval(asked)
    near, far = (high - low) / lookup.predict(asked).mean
    assert far > 2 * near


def test_other_layers_are_priced_by_their_kind() -> None:
    """Twice the products take about twice as long where all that is known says so, and never less than nothing."""
    layers = {}
    for outputs in range(8, 72, 8):
        signature = DENSE.replace("[24", f"[{outputs}").replace("1,24", f"1,{outputs}")
        layers[f"Conv {signature}"] = 0.01 + 0.001 * outputs
    told = LayerTable(layers)(*operators_of([network(100), network(200)]))
    column = told[:, LAYER_FEATURES.names.index("spatial ms")]
    np.testing.assert_allclose(column, [0.11, 0.21], rtol=0.1)
    assert (told >= 0).all()


def test_matrices_that_are_not_told_are_moved_all_the_same() -> None:
    """The price of a byte is that of the matrix, which signatures of packed products leave out."""
    sizes = ((64, 10), (256, 10), (512, 100), (1024, 100), (1024, 1000), (512, 1000))
    layers = {
        f"Gemm alpha=1 beta=1 transA=0 transB=1 float[1,{k}] -> float[1,{n}]": 0.002 + 1e-7 * 4 * k * n
        for k, n in sizes
    }
    graph = Graph("head")
    weight = graph.parameter("w", (1280, 960))
    graph.output(graph.add("Gemm", graph.input("x", (1, 960)), weight, name="gemm", transB=1))
    told = LayerTable(layers)(*operators_of([graph]))[0]
    assert told.sum() == pytest.approx(0.002 + 1e-7 * 4 * 960 * 1280, rel=0.1)


@pytest.mark.parametrize(
    "layers, words",
    [
        ({}, "1 to 100000"),
        ({"Conv": 1.0}, "tells its shapes"),
        ({**LAYERS, "Relu float[1] -> float[1]": float("nan")}, "must be a number from 0"),
        ({**LAYERS, "Relu float[1] -> float[1]": -1.0}, "must be a number from 0"),
    ],
    ids=["empty", "no shapes", "nan", "negative"],
)
def test_tables_that_cannot_be(layers: dict[str, float], words: str) -> None:
    """Are refused, with what is wrong."""
    with pytest.raises(PredictorError, match=words):
        LayerTable(layers)


def test_operators_that_are_told_too_little_of() -> None:
    """A missing column is named."""
    given = operators_of([network(24)])
    with pytest.raises(FeatureMismatch, match="missing: kernel"):
        LayerTable(LAYERS)(given.operators, given.numbers[:, 1:], given.starts, given.columns[1:])


def test_layers_of_a_real_device() -> None:
    """ONNX Runtime's signatures are understood: the sum of a network is what its own products were measured to take."""
    graphs = [network(channels, blocks) for channels in (16, 32, 48) for blocks in (1, 2)]
    rng = np.random.default_rng(0)
    files = [
        model_bytes(graph, {n: rng.normal(size=p.shape).astype(np.float32) for n, p in graph.parameters.items()})
        for graph in graphs
    ]
    device = make_device({})
    with open_profiler(device, TimingRule(layer_runs=20)) as profiler:
        found = [each for each in Series(profiler, device).measure(files) if isinstance(each, Measurement)]
    assert len(found) == len(files)
    own = [each for each in found[-1].layers if isinstance(each, LayerTime)]
    convolutions = sum(each.latency_ms for each in own if each.op.endswith("Conv"))
    alone = LayerTable({each.signature: each.latency_ms for each in own})(*operators_of(graphs[-1:]))[0]
    assert alone[LAYER_FEATURES.names.index("spatial ms")] == pytest.approx(convolutions)
    layers = {e.signature: e.latency_ms for each in found for e in each.layers if isinstance(e, LayerTime)}
    sums = LayerTable(layers)(*operators_of(graphs))
    macs = [16, 16 * 3, 32, 32 * 5, 48, 48 * 7]
    lookup = Lookup(LAYER_FEATURES).fit(sums, np.array(macs, np.float64))
    assert np.corrcoef(lookup.predict(sums).mean, macs)[0, 1] > 0.8
