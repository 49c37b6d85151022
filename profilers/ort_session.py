"""One model in ONNX Runtime: made into a session, run on prepared inputs, timed."""

import ctypes
import functools
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto

from profilers.errors import ModelRefused, ProfilingFailed, Reason
from profilers.host import OPTIMISATIONS
from profilers.layer_timing import LayerTime, read_trace
from profilers.model_inputs import InputShapes, make_inputs
from profilers.quantisation import is_quantised, quantise
from profilers.timing import Timing, TimingRule, take_timing

Inputs = Mapping[str, NDArray[np.generic]]

_FALLBACK = "fallback to CPU EP has been explicitly disabled"  # in ONNX Runtime's message
_OPTIMISED = "optimised.onnx"
_SILENT = 4  # only fatal messages: every error comes as an exception anyway


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The part of a device that ONNX Runtime is told; see `host.HostDevice`."""

    threads: int
    optimisation: str
    batch: int
    provider: str
    precision: str


@dataclass(frozen=True, slots=True)
class SessionTiming:
    """What was seen of one model."""

    timing: Timing
    session_ms: float
    peak_memory_bytes: int | None
    layers: tuple[LayerTime, ...]


class LoadedModel:
    """A checked model that ONNX Runtime has made a session of, with its inputs bound: all but the runs.

    Inputs are bound once and outputs stay where ONNX Runtime puts them, so a timed run is the network and no copies.

    Args:
        model_bytes: the ONNX file, in the precision of the settings.
        settings: what ONNX Runtime is told.
        shapes: the sizes of all axes of the inputs.
        inputs: input name -> data.

    Raises:
        ProfilingFailed: ONNX Runtime fails; the reason is load, run or memory.
    """

    def __init__(self, model_bytes: bytes, settings: SessionSettings, shapes: InputShapes, inputs: Inputs) -> None:
        self._source = model_bytes, settings, shapes, inputs
        self._before_bytes = _allocated_bytes()
        start = time.perf_counter_ns()
        session = _opened(model_bytes, settings, shapes)
        self._session_ms = (time.perf_counter_ns() - start) / 1e6
        self._run: Callable[[], object] | None = _run(session, inputs)

    def time(self, rule: TimingRule) -> SessionTiming:
        """Time its runs, once: then the session is gone.

        Args:
            rule: how many runs.

        Raises:
            ProfilingFailed: ONNX Runtime fails; the reason is load, run or memory.
        """
        assert self._run is not None
        try:
            timing = take_timing(self._run, rule)
        except Exception as error:
            raise _failure("the model fails when it runs", error, "run") from None
        after_bytes = _allocated_bytes()
        memory_bytes = None
        if self._before_bytes is not None and after_bytes is not None:
            memory_bytes = max(after_bytes - self._before_bytes, 0)
        layers: tuple[LayerTime, ...] = ()
        if rule.layer_runs:
            self._run = None
            layers = _layers(*self._source, rule)
        return SessionTiming(timing, self._session_ms, memory_bytes, layers)


def _layers(
    model_bytes: bytes, settings: SessionSettings, shapes: InputShapes, inputs: Inputs, rule: TimingRule
) -> tuple[LayerTime, ...]:
    """Time each operator, in a session of its own: looking at them makes the whole slower."""
    with tempfile.TemporaryDirectory() as folder:
        session = _opened(model_bytes, settings, shapes, Path(folder))
        run = _run(session, inputs)
        try:
            for _ in range(rule.warmup_window + rule.layer_runs):
                run()
        except Exception as error:
            raise _failure("the model fails when it runs", error, "run") from None
        trace = Path(session.end_profiling())
        return read_trace(trace, onnx.load_model(Path(folder, _OPTIMISED)), rule.warmup_window)


def _opened(
    model_bytes: bytes, settings: SessionSettings, shapes: InputShapes, trace: Path | None = None
) -> ort.InferenceSession:
    """Make a session that runs on the provider that was asked for, or fail.

    Args:
        model_bytes: the ONNX file.
        settings: what ONNX Runtime is told.
        shapes: the sizes of all axes of the inputs.
        trace: a folder for a trace of every operator and for the optimised model; None for neither.
    """
    try:
        session = _session(model_bytes, settings, shapes, trace)
    except Exception as error:  # ONNX Runtime's own exceptions have no common class
        if _FALLBACK in str(error):
            raise ProfilingFailed(f"{settings.provider} leaves a part of the model to the CPU", "load") from None
        raise _failure("ONNX Runtime cannot load the model", error, "load") from None
    if session.get_providers()[:1] != [settings.provider]:
        raise ProfilingFailed(
            f"ONNX Runtime fell back from {settings.provider} to {', '.join(session.get_providers())}", "load"
        )
    return session


def _run(session: ort.InferenceSession, inputs: Inputs) -> Callable[[], object]:
    """What runs a session once, on inputs that are bound now."""
    try:
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        for output in session.get_outputs():
            binding.bind_output(output.name, "cpu")
    except Exception as error:
        raise _failure("the inputs of the model cannot be given", error, "run") from None
    return lambda: session.run_with_iobinding(binding)


def _session(
    model_bytes: bytes, settings: SessionSettings, shapes: InputShapes, trace: Path | None
) -> ort.InferenceSession:
    """Make the session with every axis of the inputs fixed."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, OPTIMISATIONS[settings.optimisation])
    options.log_severity_level = _SILENT
    if settings.provider != "CPUExecutionProvider":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    for name, size in shapes.sizes.items():
        options.add_free_dimension_override_by_name(name, size)
    if trace is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(trace / "trace")
        options.optimized_model_filepath = str(trace / _OPTIMISED)
    session = ort.InferenceSession(model_bytes, options, providers=[settings.provider])
    session.disable_fallback()
    return session


def in_precision(model: ModelProto, precision: str, shapes: InputShapes) -> bytes:
    """Write a model anew where its precision or the names of its axes have to change; empty where it may stay.

    Raises:
        ModelRefused: it is quantised, and the precision is fp32.
        ProfilingFailed: ONNX Runtime cannot quantise it.
    """
    if precision == "int8" and not is_quantised(model):
        return _quantised(model, shapes)
    if precision == "fp32" and is_quantised(model):
        raise ModelRefused("the model is quantised, but the device measures in fp32; measure it with precision int8")
    return model.SerializeToString() if shapes.renamed else b""


def _quantised(model: ModelProto, shapes: InputShapes) -> bytes:
    """Quantise a model that comes without calibration data: the ranges do not matter for its latency."""
    try:
        return quantise(model, [make_inputs(shapes)])
    except Exception as error:
        raise _failure("ONNX Runtime cannot quantise the model", error, "load") from None


def _failure(what: str, error: Exception, reason: Reason) -> ProfilingFailed:
    """Turn an exception of ONNX Runtime into a failure with its reason."""
    text = " ".join(str(error).split())
    signs = ("failed to allocate", "bad_alloc", "bad allocation", "unable to allocate", "out of memory")
    if isinstance(error, MemoryError) or any(sign in text.lower() for sign in signs):
        return ProfilingFailed(f"the model asks for more memory than it may have: {text[-300:]}", "memory")
    return ProfilingFailed(f"{what}: {text[:500] or type(error).__name__}", reason)


class _HeapFigures(ctypes.Structure):
    """`struct mallinfo2` of the GNU C library."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in [
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        ]
    ]


@functools.cache
def _heap_call() -> Callable[[], _HeapFigures] | None:
    """Find the C library's account of the heap; only the GNU C library from 2.33 has one that is wide enough."""
    call = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if call is None:
        return None
    call.restype = _HeapFigures
    found: Callable[[], _HeapFigures] = call
    return found


def _allocated_bytes() -> int | None:
    """Count the bytes that this process has allocated and not freed; None where nobody counts them."""
    call = _heap_call()
    if call is None:
        return None
    figures = call()
    return int(figures.uordblks) + int(figures.hblkhd)
