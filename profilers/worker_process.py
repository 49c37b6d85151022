"""The parent's hold on a worker: start it, ask it, and end it when it takes too long."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TypeVar

from profilers import frames
from profilers.errors import ProfilingFailed
from profilers.frames import Frame, FrameClosedError, FrameError, FrameTimeoutError
from profilers.limits import Limits

START_S = 120.0
"""Seconds that a worker may take to import ONNX Runtime, on a cold and busy machine."""

STOP_S = 5.0
"""Seconds that a worker may take to end after its input is closed."""

_SPARE_BYTES = 64 << 20  # memory of an earlier model that is kept, since fresh pages cost more than the copy

_HEAP = {"MALLOC_TRIM_THRESHOLD_": str(256 << 20), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
"""The C library keeps what a model frees for the next one, instead of asking the system for fresh pages each time."""

Result = TypeVar("Result")

_KEPT = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "TZ", "VIRTUAL_ENV")


class WorkerProcess:
    """A running `profilers.worker`.

    Raises:
        ProfilingFailed: the process does not start; the reason is start.
    """

    def __init__(self) -> None:
        # The log is a file and not a pipe, which would block the worker when nobody reads it.
        self._limits = Limits()
        self._left_s = self._limits.wall_s  # of the time that the model may take
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._model = _nameless_file()
        self._folder = tempfile.TemporaryDirectory(prefix="nas-worker-", ignore_cleanup_errors=True)
        arguments = [str(os.getpid()), str(self._model.fileno()), self._folder.name]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "profilers.worker", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env={**_environment(), "TMPDIR": self._folder.name},
                bufsize=0,
                pass_fds=[self._model.fileno()],
                start_new_session=True,  # an interrupt at the terminal is the parent's to handle
            )
        except OSError as error:
            self._log.close()
            self._model.close()
            self._folder.cleanup()
            raise ProfilingFailed(f"cannot start a process to run models: {error}", "start") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        os.set_blocking(self._in.fileno(), False)
        os.set_blocking(self._out.fileno(), False)
        try:
            frames.receive(self._out.fileno(), 0, time.monotonic() + START_S)
        except (FrameClosedError, FrameError, FrameTimeoutError) as error:
            death = self._death() if isinstance(error, FrameClosedError) else str(error)
            self.kill()
            raise ProfilingFailed(f"the process that runs models did not start: {death}", "start") from None
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def take(self, lock: Path | None, limits: Limits) -> None:
        """Wait until the worker answers and, where a lock is given, has the device of it for itself.

        Whatever this or what follows raises, the worker is in an unknown state and must be killed.

        Args:
            lock: of the device; None when another worker of ours has it.
            limits: the time in the queue is seen to here.

        Raises:
            ProfilingFailed: the reason is start when the worker is gone, which no model, not touched yet, has done; or
                queue, or protocol.
        """
        try:
            self._send({"ask": "take", "lock": None if lock is None else str(lock)}, limits.queue_s)
            answer = frames.receive(self._out.fileno(), 0, time.monotonic() + limits.queue_s)
        except FrameTimeoutError:
            message = f"the device was busy with other measurements for {limits.queue_s:g} s"
            raise ProfilingFailed(message, "queue") from None
        except FrameError as error:
            raise self._nonsense(error) from None
        except FrameClosedError:
            raise ProfilingFailed(f"the process that runs models is gone: {self._death()}", "start") from None
        self._expect(answer, "taken")

    def check(
        self, header: Mapping[str, object], model_bytes: bytes | memoryview, limits: Limits, max_payload_bytes: int = 0
    ) -> Frame:
        """Let the worker read a model; its time runs from now on.

        Args:
            header: the request, see `profilers.worker`, but for the size of the model.
            model_bytes: the model.
            limits: the wall-clock time is seen to here; the worker itself sees to the others.
            max_payload_bytes: the longest answer.

        Returns:
            The answer: checked, prepared, refused or failed.

        Raises:
            ProfilingFailed: no answer; the reason is wall_clock, cpu_time, memory, crash or protocol.
        """
        self._limits, self._left_s = limits, limits.wall_s
        if os.fstat(self._model.fileno()).st_size > len(model_bytes) + _SPARE_BYTES:
            self._model.truncate(len(model_bytes))
        self._model.seek(0)
        self._model.write(model_bytes)
        self._ask({**header, "ask": "check", "model_bytes": len(model_bytes)})
        return self._answer(max_payload_bytes)

    def load(self) -> None:
        """Let the worker make a session of the model, and do not wait for it.

        Raises:
            ProfilingFailed: as from `check`.
        """
        self._ask({"ask": "load"})

    def finish(self, max_payload_bytes: int) -> Frame:
        """Wait for the session, let the worker time its runs, and wait for what came of the model.

        Args:
            max_payload_bytes: the longest answer.

        Returns:
            The answer: measured, refused or failed.

        Raises:
            ProfilingFailed: as from `check`.
        """
        answer = self._answer(0)
        if answer.header.get("event") in ("refused", "failed"):
            return answer
        self._expect(answer, "loaded")
        self._ask({"ask": "time"})
        return self._answer(max_payload_bytes)

    def interrupt(self) -> None:
        """End the process from another thread; whatever waits for it then fails."""
        self._process.kill()

    def close(self) -> None:
        """End the process: politely, then by force."""
        self._in.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for file in (self._out, self._log, self._model):
            file.close()
        self._folder.cleanup()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self.close()

    def _ask(self, header: Mapping[str, object]) -> None:
        """Send a request while the time of a model runs."""
        self._answered(lambda: self._send(header, self._left_s))

    def _answer(self, max_payload_bytes: int) -> Frame:
        """Receive the answer while the time of a model runs."""
        start = time.monotonic()
        answer = self._answered(lambda: frames.receive(self._out.fileno(), max_payload_bytes, start + self._left_s))
        self._left_s -= time.monotonic() - start
        return answer

    def _send(self, header: Mapping[str, object], seconds: float) -> None:
        frames.send(self._in.fileno(), header, deadline=time.monotonic() + seconds)

    def _answered(self, exchange: Callable[[], Result]) -> Result:
        """What an exchange about a model gives, or why there is none."""
        try:
            return exchange()
        except FrameTimeoutError:
            message = f"the measurement did not end within {self._limits.wall_s:g} s"
            raise ProfilingFailed(message, "wall_clock") from None
        except FrameError as error:
            raise self._nonsense(error) from None
        except FrameClosedError:
            raise self._crash(self._limits) from None

    def _expect(self, answer: Frame, event: str) -> None:
        """Refuse an answer that is not what has to come now."""
        if answer.header.get("event") != event:
            raise self._nonsense(f"{event} is expected (got {answer.header!r:.80})")

    def _nonsense(self, what: object) -> ProfilingFailed:
        """Say that the answer makes no sense."""
        return ProfilingFailed(f"the process that ran the model answered nonsense: {what}", "protocol")

    def _crash(self, limits: Limits) -> ProfilingFailed:
        """Say how the process died in the middle of a model."""
        death = self._death()
        if self._process.returncode == -signal.SIGXCPU:
            message = f"the model used more than {limits.cpu_s:g} s of processor time"
            return ProfilingFailed(message, "cpu_time")
        if any(sign in death for sign in ("bad_alloc", "Failed to allocate", "MemoryError")):
            message = f"the model asks for more memory than {limits.memory_bytes:,} bytes: {death}"
            return ProfilingFailed(message, "memory")
        return ProfilingFailed(f"the process that ran the model died: {death}", "crash")

    def _death(self) -> str:
        """Describe the end of a process whose pipe is closed: its signal or exit code, and its last words."""
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            return "it closed its output without ending"
        how = f"exit code {code}"
        if code < 0:
            known = -code in signal.valid_signals()
            how = signal.Signals(-code).name if known and -code in set(signal.Signals) else f"signal {-code}"
        self._log.seek(max(self._log.seek(0, os.SEEK_END) - 2000, 0))
        words = " ".join(self._log.read().decode(errors="replace").split())[-300:]
        return f"{how}: {words}" if words else how


def _nameless_file() -> IO[bytes]:
    """Open a file that only its descriptor leads to, in memory where the system can."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("model"), "w+b", buffering=0)  # noqa: PTH123 - a descriptor has no path
    return tempfile.TemporaryFile(buffering=0)


def _environment() -> dict[str, str]:
    """Make a small environment: where things are, no credentials, one thread for every numeric library.

    ONNX Runtime takes its threads from the session and not from here.
    """
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    paths.append(str(Path(__file__).resolve().parents[1]))
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**kept, **threads, **_HEAP, "PYTHONPATH": os.pathsep.join(paths)}
