"""Layers as ONNX Runtime runs them: what each takes, and which of them gain by integers."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from profilers.answer import read_answer
from profilers.errors import ProfilingFailed
from profilers.frames import Frame
from profilers.host import HostDevice
from profilers.host_profiler import HostProfiler
from profilers.layer_comparison import BETWEEN, Comparison, compare
from profilers.layer_timing import LayerTime
from profilers.timing import TimingRule
from tests.profilers import onnx_models

RULE = TimingRule(min_runs=30, max_runs=30, layer_runs=40)


def named(layers: int) -> bytes:
    """A stack of convolutions whose nodes have names."""
    model = onnx.load_from_string(onnx_models.conv_net(layers=layers))
    for node in model.graph.node:
        node.name = f"node.{node.output[0]}"
    return model.SerializeToString()


@pytest.fixture(scope="module")
def profiler(tmp_path_factory: pytest.TempPathFactory) -> HostProfiler:
    """A profiler that times layers as well."""
    with HostProfiler(RULE, directory=tmp_path_factory.mktemp("locks")) as opened:
        yield opened


def test_layers_add_up(profiler: HostProfiler) -> None:
    """The fused layers take together about as long as a run, and equal layers have the same signature."""
    seen = profiler.profile(named(6), HostDevice(optimisation="extended"))
    convolutions = [layer for layer in seen.layers if "Conv" in layer.op]
    assert len(convolutions) == 6
    assert {layer.op for layer in seen.layers} == {"com.microsoft.FusedConv", "GlobalAveragePool"}
    assert len({layer.signature for layer in convolutions}) == 2  # the first has three channels
    for part in ("activation=Relu", "pads=1,1,1,1", "float[1,32,32,32] float[32,32,3,3]", "-> float[1,32,32,32]"):
        assert part in convolutions[-1].signature
    total = sum(layer.latency_ms for layer in seen.layers)
    assert 0.3 < total / float(seen.samples_ms.min()) < 3
    assert {layer.provider for layer in seen.layers} == {"CPUExecutionProvider"}


def test_less_fusion_leaves_more_layers(profiler: HostProfiler) -> None:
    """Without optimisation each node is a layer."""
    seen = profiler.profile(named(3), HostDevice(optimisation="disable"))
    assert [layer.op for layer in seen.layers] == ["Conv", "Relu"] * 3 + ["GlobalAveragePool"]
    assert [layer.name for layer in seen.layers][:2] == ["node.conv0", "node.relu0"]


def test_layers_are_not_told_unasked(tmp_path: Path) -> None:
    """They cost another session and more runs, so only who wants them gets them."""
    with HostProfiler(TimingRule(min_runs=10, max_runs=10), directory=tmp_path) as profiler:
        assert profiler.profile(named(1), HostDevice()).layers == ()


def test_layers_gain_by_integers(profiler: HostProfiler) -> None:
    """Each layer of the original stands once, with its time in both formats, whatever was fused with it."""
    model = named(4)
    floats = profiler.profile(model, HostDevice())
    integers = profiler.profile(model, HostDevice(precision="int8"))
    rows = compare(onnx.load_from_string(model), floats.layers, integers.layers)
    by_name = {row.name: row for row in rows}
    assert len(by_name) == len(rows)
    for layer in range(1, 4):
        assert by_name[f"node.conv{layer}"].op == "Conv+Relu"
        assert by_name[f"node.conv{layer}"].fp32_ms > 0
        assert by_name[f"node.conv{layer}"].int8_ms > 0
    for format_, layers in (("fp32_ms", floats.layers), ("int8_ms", integers.layers)):
        assert sum(getattr(row, format_) for row in rows) == pytest.approx(sum(each.latency_ms for each in layers))


def test_names_lead_back() -> None:
    """Fused operators count for the node or the value that they are named after, what is new for none."""
    model = onnx.load_from_string(named(1))

    def layers(**times: float) -> list[LayerTime]:
        return [LayerTime(name.replace("__", "."), "op", "", time, "") for name, time in times.items()]

    floats = layers(relu0_nchwc=2.0, ReorderOutput=1.0, node__pooled=0.5)
    integers = layers(
        image_QuantizeLinear=0.25, node__conv0_token_3=0.5, conv0_DequantizeLinear_1=0.5, node__relu0=1.0, pooled=0.5
    )
    assert compare(model, floats, integers) == [
        Comparison("node.conv0", "Conv+Relu", 2.0, 2.0),
        Comparison("node.pooled", "GlobalAveragePool", 0.5, 0.5),
        Comparison(BETWEEN, "", 1.0, 0.25),
    ]
    assert [row.speedup for row in compare(model, floats, integers)] == [1.0, 1.0, 4.0]


@pytest.mark.parametrize(
    "layers",
    [b"[1]", b"{}", b"[{}]", b'[{"name": 1, "op": "", "signature": "", "latency_ms": 1.0, "provider": ""}]', b"{"],
)
def test_nonsense_from_the_process(layers: bytes) -> None:
    """What claims to be layers is not taken on trust."""
    header = {"event": "measured", "layers_bytes": len(layers), "session_ms": 1.0, "queued_ms": 0.0}
    header |= {"peak_memory_bytes": None, "warmup_runs": 1, "runs_per_sample": 1, "settled": True}
    answer = Frame(header, np.ones(30).tobytes() + layers)
    with pytest.raises(ProfilingFailed, match="nonsense"):
        read_answer(answer, "cpu", "f", RULE)
    too_long = Frame({**header, "layers_bytes": 1000}, np.ones(30).tobytes())
    with pytest.raises(ProfilingFailed, match="layers_bytes must be at most 240"):
        read_answer(too_long, "cpu", "f", RULE)
