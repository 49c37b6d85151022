"""The process that runs models from outside: `python -m profilers.worker PARENT_PID MODEL_FD FOLDER`.

It speaks frames over its standard input and output, one model at a time:

    <- {"event": "ready"}                                     once, when everything is imported
    -> {"model_bytes", "lock", "limits", "session", "rule", "dimensions"}
    <- {"event": "started"}                                   the device is ours, the clock runs
    <- {"event": "measured", ...}                             with the samples as payload (float64), or
    <- {"event": "refused" | "failed", "message", ...}

With None as session, and a "batch" and a "precision" beside it, the model is checked and not run:

    <- {"event": "prepared", "sizes", "inputs"}               with the model as payload where it was changed

The model lies in a file without a name that both processes have open: through a pipe, a few megabytes take
several times longer than they take to check.

It ends when its input ends and, in the middle of a run as well, when its parent is gone. (The parent-death
signal of Linux would be less code, but it follows the thread that started the process and not the process.)
"""

import json
import os
import resource
import select
import shutil
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from onnx import ModelProto

from profilers import frames
from profilers.device_lock import device_lock
from profilers.errors import ModelRefused, ProfilingFailed
from profilers.frames import Frame, FrameClosedError
from profilers.layer_timing import TRACE_BYTES
from profilers.limits import Limits
from profilers.model_check import check_model
from profilers.model_inputs import fix_shapes
from profilers.ort_session import SessionSettings, in_precision, time_model
from profilers.timing import TimingRule

_LOG_BYTES = 1 << 20
_QUANTISING = 2  # size of the largest file that quantisation writes, in sizes of the model
_NO_MEMORY = "the model asks for more memory than it may have while it is read"


def main() -> None:
    """Answer requests until the parent closes the pipe or dies."""
    requests, replies = _take_pipes()
    parent, model_fd = (int(argument) for argument in sys.argv[1:3])
    folder = sys.argv[3]
    _die_with_parent(parent, requests, folder)
    frames.send(replies, {"event": "ready"})
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # of no use to anybody
    while True:
        try:
            request = frames.receive(requests, 0)
        except FrameClosedError:
            return
        _answer(request, model_fd, replies)


def _answer(request: Frame, model_fd: int, replies: int) -> None:
    """Measure one model and send what came of it."""
    with device_lock(Path(str(request.header["lock"]))) as queued_ms:
        frames.send(replies, {"event": "started"})
        try:
            header, payload = _measure(request, model_fd)
        except ModelRefused as error:
            header, payload = {"event": "refused", "message": str(error)}, b""
        except ProfilingFailed as error:
            header, payload = {"event": "failed", "message": str(error), "reason": error.reason}, b""
        except UnicodeDecodeError as error:
            header, payload = {"event": "refused", "message": f"a name in the model is not UTF-8 text: {error}"}, b""
        except MemoryError:
            header, payload = {"event": "failed", "message": _NO_MEMORY, "reason": "memory"}, b""
    frames.send(replies, {**header, "queued_ms": queued_ms}, payload)


def _measure(request: Frame, model_fd: int) -> tuple[dict[str, object], bytes]:
    """Check and time the model of a request under its limits."""
    limits = Limits(**_section(request, "limits"))
    settings = SessionSettings(**_section(request, "session")) if request.header["session"] else None
    size = int(str(request.header["model_bytes"]))
    rule = TimingRule(**_section(request, "rule")) if settings else TimingRule()
    precision = settings.precision if settings else str(request.header["precision"])
    written = _QUANTISING * size if precision == "int8" else 0
    _limit(limits, _LOG_BYTES + max(written, 2 * size + TRACE_BYTES if rule.layer_runs else 0))
    model_bytes = os.pread(model_fd, size, 0)
    model = check_model(model_bytes, limits)
    if settings is None:
        return _prepared(model, precision, int(str(request.header["batch"])), _section(request, "dimensions"))
    seen = time_model(
        model,
        model_bytes,
        settings,
        rule,
        _section(request, "dimensions"),
    )
    layers = json.dumps([asdict(layer) for layer in seen.layers]).encode() if seen.layers else b""
    header = {
        "event": "measured",
        "layers_bytes": len(layers),
        "session_ms": seen.session_ms,
        "peak_memory_bytes": seen.peak_memory_bytes,
        "warmup_runs": seen.timing.warmup_runs,
        "settled": seen.timing.settled,
        "runs_per_sample": 1,
    }
    return header, seen.timing.samples_ms.astype("<f8").tobytes() + layers


def _prepared(
    model: ModelProto, precision: str, batch: int, dimensions: dict[str, Any]
) -> tuple[dict[str, object], bytes]:
    """Say which inputs a checked model needs; where it has to be quantised or its axes named, it is written anew."""
    shapes = fix_shapes(model, batch, dimensions)
    inputs = [[given.name, given.data_type, given.shape] for given in shapes.inputs]
    header: dict[str, object] = {"event": "prepared", "sizes": shapes.sizes, "inputs": inputs}
    return header, in_precision(model, precision, shapes)


def _section(request: Frame, key: str) -> dict[str, Any]:
    """Read an object of a request."""
    section = request.header[key]
    assert isinstance(section, dict)
    return section


def _limit(limits: Limits, file_bytes: int) -> None:
    """Limit files, and memory and processor time to what the process uses now and the model's share on top."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY))
    memory = psutil.Process().memory_info().vms + limits.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (memory, resource.RLIM_INFINITY))
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = int(used.ru_utime + used.ru_stime + limits.cpu_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, resource.RLIM_INFINITY))


def _take_pipes() -> tuple[int, int]:
    """Keep standard input and output for frames alone; whatever else prints goes to standard error."""
    requests, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return requests, replies


def _die_with_parent(parent: int, requests: int, folder: str) -> None:
    """End this process, and remove its files, when the pipe from the parent is closed or the parent is gone."""
    poll = select.poll()
    poll.register(requests, 0)  # a hang-up is always reported
    if hasattr(os, "pidfd_open"):
        with suppress(OSError):  # an old kernel lacks it, and then the pipe alone has to do
            poll.register(os.pidfd_open(parent), select.POLLIN)
    if os.getppid() != parent:
        os._exit(1)

    def watch() -> None:
        poll.poll()
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
