"""The process that runs models from outside: `python -m profilers.worker PARENT_PID MODEL_FD FOLDER`.

It speaks frames over its standard input and output, one model at a time. The parent says each step, so that a second
process may read the next model while this one makes its session, and nothing runs beside the timed runs:

    <- {"event": "ready"}                                     once, when everything is imported
    -> {"ask": "take", "lock"}                                before or after the model is checked; None for no device
    <- {"event": "taken"}                                     the device is ours
    -> {"ask": "check", "model_bytes", "limits", "session", "rule", "dimensions"}
    <- {"event": "checked"}                                   the model was read and may be run
    -> {"ask": "load"}
    <- {"event": "loaded"}                                    ONNX Runtime has a session of it
    -> {"ask": "time"}
    <- {"event": "measured", ...}                             with the samples as payload (float64)

In the place of any answer but the first two may come

    <- {"event": "refused" | "failed", "message", ...}

and that, or what was measured, is the end of the model: the device is free again. With None as session, and a "batch"
and a "precision" beside it, a model is checked and not run, and the end is

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
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray

from profilers import frames
from profilers.device_lock import device_lock
from profilers.errors import ModelRefused, ProfilingFailed
from profilers.frames import Frame, FrameClosedError
from profilers.layer_timing import TRACE_BYTES
from profilers.limits import Limits
from profilers.model_check import check_model
from profilers.model_inputs import InputShapes, fix_shapes, make_inputs
from profilers.ort_session import LoadedModel, SessionSettings, in_precision
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
    steps = _Steps(model_fd)
    while True:
        try:
            request = frames.receive(requests, 0)
        except FrameClosedError:
            return
        frames.send(replies, *steps.answer(request))


class _Steps:
    """Goes with one model after the other from step to step."""

    def __init__(self, model_fd: int) -> None:
        self._model_fd = model_fd
        self._device = ExitStack()
        self._queued_ms = 0.0
        self._checked: _Checked | None = None
        self._loaded: LoadedModel | None = None

    def answer(self, request: Frame) -> tuple[dict[str, object], bytes]:
        """Do one step; after the last one of a model nothing is left of it, and the device is free, when it is told."""
        step = {"take": self._take, "check": self._check, "load": self._load, "time": self._time}
        try:
            header, payload = step[str(request.header["ask"])](request)
        except ModelRefused as error:
            header, payload = {"event": "refused", "message": str(error)}, b""
        except ProfilingFailed as error:
            header, payload = {"event": "failed", "message": str(error), "reason": error.reason}, b""
        except UnicodeDecodeError as error:
            header, payload = {"event": "refused", "message": f"a name in the model is not UTF-8 text: {error}"}, b""
        except MemoryError:
            header, payload = {"event": "failed", "message": _NO_MEMORY, "reason": "memory"}, b""
        if header["event"] not in ("taken", "checked", "loaded"):
            header["queued_ms"] = self._queued_ms
            self._queued_ms, self._checked, self._loaded = 0.0, None, None
            self._device.close()
        return header, payload

    def _take(self, request: Frame) -> tuple[dict[str, object], bytes]:
        """Wait for the device."""
        if request.header["lock"] is not None:
            self._queued_ms = self._device.enter_context(device_lock(Path(str(request.header["lock"]))))
        return {"event": "taken"}, b""

    def _check(self, request: Frame) -> tuple[dict[str, object], bytes]:
        """Read a model, set its limits, and see whether it may be run."""
        limits = Limits(**_section(request, "limits"))
        settings = SessionSettings(**_section(request, "session")) if request.header["session"] else None
        rule = TimingRule(**_section(request, "rule")) if settings else TimingRule()
        precision = settings.precision if settings else str(request.header["precision"])
        batch = settings.batch if settings else int(str(request.header["batch"]))
        size = int(str(request.header["model_bytes"]))
        written = _QUANTISING * size if precision == "int8" else 0
        _limit(limits, _LOG_BYTES + max(written, 2 * size + TRACE_BYTES if rule.layer_runs else 0))
        model_bytes = os.pread(self._model_fd, size, 0)
        model = check_model(model_bytes, limits)
        shapes = fix_shapes(model, batch, _section(request, "dimensions"))
        rewritten = in_precision(model, precision, shapes)
        if settings is None:
            inputs = [[given.name, given.data_type, given.shape] for given in shapes.inputs]
            return {"event": "prepared", "sizes": shapes.sizes, "inputs": inputs}, rewritten
        self._checked = _Checked(rewritten or model_bytes, settings, shapes, make_inputs(shapes), rule)
        return {"event": "checked"}, b""

    def _load(self, request: Frame) -> tuple[dict[str, object], bytes]:
        """Make the session."""
        assert self._checked is not None
        model_bytes, settings, shapes, inputs, _ = self._checked
        self._loaded = LoadedModel(model_bytes, settings, shapes, inputs)
        return {"event": "loaded"}, b""

    def _time(self, request: Frame) -> tuple[dict[str, object], bytes]:
        """Take the timed runs."""
        assert self._checked is not None
        assert self._loaded is not None
        seen = self._loaded.time(self._checked.rule)
        layers = json.dumps([asdict(layer) for layer in seen.layers]).encode() if seen.layers else b""
        header: dict[str, object] = {
            "event": "measured",
            "layers_bytes": len(layers),
            "session_ms": seen.session_ms,
            "peak_memory_bytes": seen.peak_memory_bytes,
            "warmup_runs": seen.timing.warmup_runs,
            "settled": seen.timing.settled,
            "runs_per_sample": 1,
        }
        return header, seen.timing.samples_ms.astype("<f8").tobytes() + layers


class _Checked(NamedTuple):
    """A checked model, and how it is to be measured."""

    model_bytes: bytes
    settings: SessionSettings
    shapes: InputShapes
    inputs: dict[str, NDArray[np.generic]]
    rule: TimingRule


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
