"""A browser that has joined: the models that wait for it, and the one that it holds on a lease."""

import hmac
import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from profilers.agent_protocol import transfer_s
from profilers.cancellation import Cancellation, cancelled
from profilers.device import Fact
from profilers.errors import DeviceLost, ProfilingFailed
from profilers.frames import Frame
from profilers.limits import Limits

SILENCE_S = 10.0
"""Seconds without a sign of life after which a browser has lost its lease, and the model waits again."""

AWAY_S = 60.0
"""Seconds without a sign of life after which a browser is given up, and its name is free."""

MAX_LOST = 3
"""Times that a model is lost in a browser, which crashed or was closed, before the model is blamed."""

GRACE_S = 5.0
"""Seconds beyond the wall-clock limit; the page ends a model on time by itself, unless it hangs."""

RUNTIME_BYTES = 32 << 20
"""What a page may have to fetch beside a model before it begins: ONNX Runtime Web."""

_TICK_S = 0.25


class NotJoined(Exception):
    """The key of a page is not, or no longer, that of a browser: it has joined anew, or the service has restarted."""


class LeaseOver(Exception):
    """What a page holds is no longer its to measure: it was silent for too long, or nobody waits for it any more."""


@dataclass(eq=False)
class Task:
    """A model to be measured in the browser.

    Attributes:
        header: what the page has to know, as a JSON object.
        content: the model, and the inputs one after the other.
        limits: what it may use.
        facts: what the browser is that it is meant for; no other one gets it.
    """

    header: dict[str, object]
    content: bytes
    limits: Limits
    facts: Mapping[str, Fact]
    asked_at: float = field(default_factory=time.monotonic)
    lost: int = 0
    queued_ms: float = 0.0
    answer: Frame | None = None


@dataclass
class Lease:
    """The right to measure a task, which ends with silence.

    Attributes:
        identity: another one each time that a task is handed out, so that a late answer is known as such.
        task: the task.
        given_at: when it was handed out.
        started_at: when the page had model and runtime and began; 0 before.
    """

    identity: str
    task: Task
    given_at: float
    started_at: float = 0.0


class JoinedBrowser:
    """One browser, under the name that was typed in it.

    The service's side, `measure`, waits in one thread for what the page's side (`take`, `watch`, `give_back`, `finish`)
    does in others. Each call of the page's side shows that it is there.

    Args:
        name: of the device.

    Attributes:
        facts: what the browser says of itself: agent, platform, cores, memory_gib, isolated, gpu, runtime.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.facts: Mapping[str, Fact] = {}
        self._key = ""
        self._heard_at = 0.0
        self._lease: Lease | None = None
        self._waiting: deque[Task] = deque()
        self._changed = threading.Condition()

    @property
    def silent_s(self) -> float:
        """Seconds since the last sign of life."""
        return time.monotonic() - self._heard_at

    @property
    def present(self) -> bool:
        """Whether a page speaks for it; one that was closed does not."""
        return bool(self._key)

    def join(self, facts: Mapping[str, Fact]) -> str:
        """Let a page speak for this browser from now on, in place of any page before it; its key."""
        with self._changed:
            self._return_task()
            self._key, self.facts = secrets.token_hex(32), dict(facts)
            self._hear(self._key)
            self._changed.notify_all()
            return self._key

    def is_key(self, key: str) -> bool:
        """Whether a page with this key speaks for this browser."""
        return bool(self._key) and hmac.compare_digest(key.encode(), self._key.encode())

    def leave(self, key: str) -> None:
        """Say that the page is closed: what it holds is handed out again as soon as the browser is back."""
        with self._changed:
            self._hear(key)
            self._return_task()
            self._key = ""
            self._changed.notify_all()

    def close(self) -> None:
        """Turn the page away: the service ends."""
        with self._changed:
            self._key = ""
            self._changed.notify_all()

    def take(self, key: str, seconds: float) -> Lease | None:
        """Hand out the next task, or None when there is none in time. A lease that was held before is over."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._hear(key)
            self._return_task()
            while (task := next((task for task in self._waiting if task.facts == self.facts), None)) is None:
                rest = deadline - time.monotonic()
                if rest <= 0 or not self._changed.wait(rest):
                    return None
                self._hear(key)
            now = time.monotonic()
            self._waiting.remove(task)
            task.queued_ms = (now - task.asked_at) * 1e3
            self._lease = Lease(secrets.token_hex(16), task, now)
            return self._lease

    def content(self, key: str, identity: str) -> bytes:
        """The model and inputs of the lease.

        Raises:
            LeaseOver: it is over.
        """
        with self._changed:
            return self._held(key, identity).task.content

    def watch(self, key: str, identity: str, running: bool, seconds: float) -> bool:
        """Show a sign of life, and wait a little for an end of the lease.

        Args:
            key: the page's.
            identity: the lease's.
            running: whether the model is there and the measurement has begun.
            seconds: how long to wait.

        Returns:
            Whether the lease is over, so that the measurement is to be broken off.
        """
        with self._changed:
            self._hear(key)
            lease = self._lease
            if lease is None or lease.identity != identity:
                return True
            if running and not lease.started_at:
                lease.started_at = time.monotonic()
            over = self._changed.wait_for(lambda: self._lease is not lease, seconds)
            self._hear(key)
            return over

    def give_back(self, key: str, identity: str) -> None:
        """Hand a task back that is not the model's fault, such as when the page is hidden."""
        with self._changed:
            self._held(key, identity)
            self._return_task()

    def finish(self, key: str, identity: str, answer: Frame) -> None:
        """Say what came of a task; it counts once.

        Raises:
            LeaseOver: it does not count, since the task is not this page's any more.
        """
        with self._changed:
            lease = self._held(key, identity)
            lease.task.answer, self._lease = answer, None
            self._changed.notify_all()

    def measure(self, task: Task, cancellation: Cancellation) -> Frame:
        """Wait until the browser has measured a task.

        Raises:
            ProfilingFailed: it was cancelled, took too long or was lost too often; as `DeviceLost` when the browser is.
        """
        with cancellation.calls(self._wake):
            with self._changed:
                self._waiting.append(task)
                self._changed.notify_all()
                try:
                    while task.answer is None:
                        if cancellation.cancelled:
                            raise cancelled()
                        self._judge(task)
                        self._changed.wait(_TICK_S)
                finally:
                    self._forget(task)
            return task.answer

    def _judge(self, task: Task) -> None:
        """See whether a task takes too long, wherever it is."""
        lease, limits, now = self._lease, task.limits, time.monotonic()
        if task.facts != self.facts:
            keys = [key for key in self.facts if self.facts[key] != task.facts.get(key)]
            changes = "; ".join(f"{key} was {task.facts.get(key)!r} and is {self.facts[key]!r}" for key in keys)
            raise DeviceLost(f"browser {self.name!r} is another one than before: {changes}", "changed")
        if lease is None or lease.task is not task:
            if self.silent_s > AWAY_S:
                raise DeviceLost(
                    f"browser {self.name!r} was silent for {AWAY_S:g} s: open the page there, in a visible tab", "lost"
                )
            if now - task.asked_at > limits.queue_s:
                raise ProfilingFailed(f"the browser was busy with other measurements for {limits.queue_s:g} s", "queue")
        elif self.silent_s > SILENCE_S:
            task.lost += 1
            if task.lost >= MAX_LOST:
                raise ProfilingFailed(f"the browser was lost {MAX_LOST} times while it had the model", "crash")
            self._return_task()
        elif lease.started_at and now - lease.started_at > limits.wall_s + GRACE_S:
            raise ProfilingFailed(f"the measurement did not end within {limits.wall_s:g} s", "wall_clock")
        elif not lease.started_at and now - lease.given_at > (seconds := transfer_s(len(task.content) + RUNTIME_BYTES)):
            raise ProfilingFailed(f"the browser did not begin with the model within {seconds:.0f} s", "start")

    def _hear(self, key: str) -> None:
        """Note a sign of life of the page that speaks for the browser."""
        if not self.is_key(key):
            raise NotJoined
        self._heard_at = time.monotonic()

    def _held(self, key: str, identity: str) -> Lease:
        """The lease of this identity."""
        self._hear(key)
        if self._lease is None or self._lease.identity != identity:
            raise LeaseOver
        return self._lease

    def _return_task(self) -> None:
        """Let the task of the lease, if there is one, be the next to be handed out."""
        if self._lease is not None:
            self._waiting.appendleft(self._lease.task)
            self._lease = None
            self._changed.notify_all()

    def _forget(self, task: Task) -> None:
        """Let go of a task that nobody waits for any more."""
        if self._lease is not None and self._lease.task is task:
            self._lease = None
        if task in self._waiting:
            self._waiting.remove(task)
        self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
