"""What an agent measures with: one request at a time, each one once, and the memory of what came of them."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from profilers.answer import error_answer, measured_answer
from profilers.cancellation import Cancellation, cancelled
from profilers.device import Device
from profilers.errors import ModelRefused, ProfilingFailed
from profilers.frames import Frame
from profilers.host_profiler import HostProfiler
from profilers.limits import Limits
from profilers.profiler import Profiler
from profilers.timing import TimingRule

ABANDONED_S = 120.0
"""Seconds after which a measurement that no connection waits for is cancelled; clients give up before."""

REMEMBERED_S = 600.0
"""Seconds for which the answer to a request is kept for a client that lost its connection."""

REMEMBERED_BYTES = 32 << 20
"""Memory for those answers; the oldest go first."""

_ANSWER_BYTES = 1024  # of an answer without its samples, roughly


@dataclass(frozen=True, slots=True)
class Order:
    """What a client asks for, but for the model."""

    identity: str
    model_bytes: int
    rule: TimingRule
    limits: Limits
    dimensions: Mapping[str, int]


class Running:
    """A measurement under way or finished, and the connections that wait for it."""

    def __init__(self) -> None:
        self.cancellation = Cancellation()
        self.finished_at = 0.0
        self._answer: Frame | None = None
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._watchers = 0
        self._abandon: threading.Timer | None = None

    def finish(self, answer: Frame) -> None:
        """Say what came of it."""
        self._answer = answer
        self.finished_at = time.monotonic()
        self._done.set()

    def wait(self, seconds: float) -> Frame | None:
        """The answer, or None if it is not there in time."""
        self._done.wait(seconds)
        return self._answer

    @property
    def size(self) -> int:
        """Bytes that it takes to remember it."""
        return _ANSWER_BYTES + (len(self._answer.payload) if self._answer else 0)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Wait for it inside; when nobody has done so for long enough, it is cancelled."""
        with self._lock:
            self._watchers += 1
            if self._abandon:
                self._abandon.cancel()
                self._abandon = None
        try:
            yield
        finally:
            with self._lock:
                self._watchers -= 1
                if not self._watchers and not self._done.is_set():
                    self._abandon = threading.Timer(ABANDONED_S, self.cancellation.cancel)
                    self._abandon.daemon = True
                    self._abandon.start()


class Bench:
    """The device, the profiler that measures on it, the queue before it, and what came of earlier requests.

    Args:
        device: where models are measured.
        limits: what a model may use at most, whatever the client says.
        opened: opens the profiler that measures on the device.
    """

    def __init__(
        self, device: Device, limits: Limits, opened: Callable[[TimingRule, Limits], Profiler] = HostProfiler
    ) -> None:
        self.device = device
        self.limits = limits
        self._open = opened
        self._profiler: Profiler | None = None
        self._asked: tuple[TimingRule, Limits] | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()
        self._requests: OrderedDict[str, Running] = OrderedDict()
        self._cancelled: deque[str] = deque(maxlen=256)

    def find(self, identity: str) -> Running | None:
        """The measurement of a request, if it has begun."""
        with self._changed:
            self._forget()
            return self._requests.get(identity)

    @property
    def closed(self) -> bool:
        """Whether the agent ends, so that what came of a measurement may be its doing and not the model's."""
        return self._closed

    @contextmanager
    def turn(self, seconds: float, alive: Callable[[], None], every_s: float) -> Iterator["Turn"]:
        """Wait in the queue until the device is free; the turn is over on leaving, or when its measurement is.

        Args:
            seconds: how long to wait.
            alive: called now and then while waiting; what it raises ends the wait.
            every_s: seconds between two such calls.

        Raises:
            ProfilingFailed: it took too long; the reason is queue.
        """
        ticket, start = object(), time.monotonic()
        with self._changed:
            self._queue.append(ticket)
        turn = Turn(self, ticket)
        try:
            while not self._first(ticket, every_s):
                if time.monotonic() - start > seconds:
                    raise ProfilingFailed(f"the agent was busy with other measurements for {seconds:g} s", "queue")
                alive()
            turn.queued_ms = (time.monotonic() - start) * 1e3
            yield turn
        finally:
            if not turn.taken:
                self.leave(ticket)

    def cancel(self, identity: str) -> None:
        """End a measurement, or see to it that it never begins."""
        with self._changed:
            self._cancelled.append(identity)
            running = self._requests.get(identity)
        if running:
            running.cancellation.cancel()

    def begin(self, turn: "Turn", order: Order, model: memoryview) -> Running:
        """Start to measure in a thread of its own, which takes over the turn."""
        running = Running()
        with self._changed:
            if order.identity in self._cancelled:
                running.cancellation.cancel()
            self._requests[order.identity] = running
        turn.taken = True
        threading.Thread(target=self._measure, args=(turn, order, model, running), daemon=True).start()
        return running

    def close(self) -> None:
        """End the measurement under way and the worker."""
        with self._changed:
            self._closed = True
            under_way = list(self._requests.values())
        for running in under_way:
            running.cancellation.cancel()
        if self._profiler:
            self._profiler.close()

    def leave(self, ticket: object) -> None:
        """Give the turn, or the place in the queue, to the next."""
        with self._changed:
            self._queue.remove(ticket)
            self._changed.notify_all()

    def _first(self, ticket: object, seconds: float) -> bool:
        """Wait until a ticket is the first in the queue."""
        with self._changed:
            return self._changed.wait_for(lambda: self._queue[0] is ticket, seconds)

    def _measure(self, turn: "Turn", order: Order, model: memoryview, running: Running) -> None:
        """Measure a model, whatever comes of it."""
        try:
            profiler = self._opened(order.rule, order.limits)
            measured = profiler.profile(
                model, self.device, dimensions=order.dimensions, cancellation=running.cancellation
            )
            answer = measured_answer(measured, turn.queued_ms)
        except (ModelRefused, ProfilingFailed) as error:
            answer = error_answer(error)
        except Exception as error:  # the client must hear of it, and the device must be free for the next
            answer = error_answer(ProfilingFailed(f"the agent failed: {type(error).__name__}: {error}", "protocol"))
        running.finish(answer)
        self.leave(turn.ticket)

    def _opened(self, rule: TimingRule, limits: Limits) -> Profiler:
        """The profiler for this rule and these limits; its worker is kept while they stay the same."""
        if self._closed:
            raise cancelled()
        if self._profiler is None or self._asked != (rule, limits):
            if self._profiler:
                self._profiler.close()
            self._profiler, self._asked = self._open(rule, limits), (rule, limits)
        return self._profiler

    def _forget(self) -> None:
        """Drop answers that are old or too many."""
        kept = sum(running.size for running in self._requests.values())
        for identity, running in list(self._requests.items()):
            old = time.monotonic() - running.finished_at > REMEMBERED_S
            if not running.finished_at or not (old or kept > REMEMBERED_BYTES):
                break
            kept -= running.size
            del self._requests[identity]


class Turn:
    """The right to measure.

    Attributes:
        ticket: its place in the queue.
        queued_ms: how long it had to be waited for.
        taken: whether a measurement holds it now and gives it back.
    """

    def __init__(self, bench: Bench, ticket: object) -> None:
        self.bench = bench
        self.ticket = ticket
        self.queued_ms = 0.0
        self.taken = False
