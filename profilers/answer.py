"""What comes back of a model, as a frame between processes or machines.

{"event": "measured", "session_ms", "queued_ms", "peak_memory_bytes", "warmup_runs", "settled", "runs_per_sample",
 "layers_bytes"}
with the samples (float64) and then, as JSON, the layers as payload, or
{"event": "refused", "message"}                         the model may not be run, or
{"event": "failed", "message", "reason"}                it gave no measurement
"""

import json
from dataclasses import asdict, replace

import numpy as np

from profilers.errors import LOSSES, REASONS, DeviceLost, ModelRefused, ProfilingFailed, Reason
from profilers.frames import Frame
from profilers.layer_timing import LayerTime
from profilers.measurement import Measurement, summarise
from profilers.timing import TimingRule


def read_answer(answer: Frame, device: str, fingerprint: str, rule: TimingRule) -> Measurement:
    """Make the answer a measurement, or raise what it says. Nothing in it is taken on trust.

    Args:
        answer: measured, refused or failed.
        device: name of the device.
        fingerprint: fingerprint of the device.
        rule: how many runs were asked for.

    Raises:
        ModelRefused: the model was refused.
        ProfilingFailed: the model failed, or the answer is nonsense; as `DeviceLost` when there is no device any more.
    """
    header = answer.header
    event = header.get("event")
    message = str(header.get("message"))[:2000]
    if event == "refused":
        raise ModelRefused(message)
    if event == "failed":
        reason = read_reason(header.get("reason"))
        raise (DeviceLost if reason in LOSSES else ProfilingFailed)(message, reason)
    try:
        peak = header["peak_memory_bytes"]
        samples = len(answer.payload) - int(_number(header.get("layers_bytes", 0)))
        if samples < 0:
            raise ValueError(f"layers_bytes must be at most {len(answer.payload)} (got {header['layers_bytes']})")
        measured = summarise(
            np.frombuffer(answer.payload[:samples], dtype="<f8"),
            device=device,
            fingerprint=fingerprint,
            tolerance=rule.tolerance,
            settled=header["settled"] is True,
            warmup_runs=int(_number(header["warmup_runs"])),
            session_ms=_number(header["session_ms"]),
            queued_ms=_number(header["queued_ms"]),
            peak_memory_bytes=None if peak is None else int(_number(peak)),
            runs_per_sample=int(_number(header["runs_per_sample"])),
        )
        return replace(measured, layers=_layers(answer.payload[samples:]))
    except (KeyError, ValueError) as error:
        raise ProfilingFailed(f"the process that ran the model answered nonsense: {error}", "protocol") from None


def _layers(text: bytes) -> tuple[LayerTime, ...]:
    """Read what the layers take.

    Raises:
        ValueError: it is no such list.
    """
    given = json.loads(text) if text else []
    kinds = {"name": str, "op": str, "signature": str, "latency_ms": float, "provider": str}
    for each in given if isinstance(given, list) else [given]:
        if not isinstance(each, dict) or {key: type(value) for key, value in each.items()} != kinds:
            raise ValueError(f"a layer is expected (got {each!r:.80})")
        _number(each["latency_ms"])
    return tuple(LayerTime(**each) for each in given)


def measured_answer(measured: Measurement, queued_ms: float) -> Frame:
    """Write a measurement; `queued_ms` is added to the time that it was queued already."""
    layers = json.dumps([asdict(layer) for layer in measured.layers]).encode() if measured.layers else b""
    header = {
        "event": "measured",
        "layers_bytes": len(layers),
        "session_ms": measured.session_ms,
        "queued_ms": measured.queued_ms + queued_ms,
        "peak_memory_bytes": measured.peak_memory_bytes,
        "warmup_runs": measured.warmup_runs,
        "runs_per_sample": measured.runs_per_sample,
        "settled": measured.stable,  # the rest of what makes it stable is in the samples
    }
    return Frame(header, measured.samples_ms.astype("<f8").tobytes() + layers)


def error_answer(error: ModelRefused | ProfilingFailed) -> Frame:
    """Write why there is no measurement."""
    if isinstance(error, ModelRefused):
        return Frame({"event": "refused", "message": str(error)}, b"")
    return Frame({"event": "failed", "message": str(error), "reason": error.reason}, b"")


def read_reason(given: object) -> Reason:
    """Read the reason of a failure."""
    return next((reason for reason in REASONS if reason == given), "protocol")


def _number(value: object) -> float:
    """Read a number that counts or measures something."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**63:
        raise ValueError(f"a number is expected (got {value!r:.80})")
    return float(value)
