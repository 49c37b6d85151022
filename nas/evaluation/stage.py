"""A queue of work served by a pool of Ray actors of one kind, which survives the loss of any of them."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nas.cluster import ray


@dataclass(slots=True)
class Work:
    """One call of an actor's method; `attempts` counts the actors that were lost under it."""

    key: Any
    arguments: tuple[Any, ...]
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a piece of work: its object references, the first one resolved in `value`, or an error."""

    key: Any
    value: Any
    rest: tuple[Any, ...]
    error: str | None


class Stage:
    """Actors, the queue they share, and the calls that are under way.

    Work goes only to an actor that has answered a ping: work that is sent to an actor that is being placed again
    after its node was lost can wait for ever. An actor that is lost is replaced and its work queued again.

    Args:
        name: for messages.
        make: makes one actor; it has a method `ping` and the method `method`.
        size: the number of actors.
        method: the method that does the work.
        returns: the number of objects it returns; the first is resolved, the others stay in the object store.
        attempts: how many lost actors a piece of work survives before it is given up as failed.
        group: pieces of work that are handed out at once, if there are as many; the method takes the arguments of all
            then and answers with a list. What was under way when an actor was lost goes alone.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Any],
        size: int,
        *,
        method: str,
        returns: int = 1,
        attempts: int = 3,
        group: int | None = None,
    ) -> None:
        self.name = name
        self._make = make
        self._size = size
        self._method = method
        self._returns = returns
        self._attempts = attempts
        self._group = group
        self._queue: deque[Work] = deque()
        self._idle: list[Any] = []
        self._waking: dict[Any, Any] = {}
        self._running: dict[Any, tuple[Any, list[Work], tuple[Any, ...]]] = {}
        self._lost_in_a_row = 0

    @property
    def queued(self) -> int:
        """Pieces of work that no actor has taken yet."""
        return len(self._queue)

    @property
    def busy(self) -> bool:
        """Whether an actor is starting or at work."""
        return bool(self._waking or self._running)

    def submit(self, key: Any, *arguments: Any) -> None:
        """Queue a call; `key` comes back with its result."""
        self._queue.append(Work(key, arguments))

    def dispatch(self) -> None:
        """Hand queued work to idle actors, starting actors while there are too few for the queue."""
        actors = len(self._idle) + len(self._waking) + len(self._running)
        for _ in range(min(self._size - actors, len(self._queue) - len(self._idle) - len(self._waking))):
            self._start()
        while self._queue and self._idle:
            actor, works = self._idle.pop(), self._take()
            call = getattr(actor, self._method).options(num_returns=self._returns)
            answer = call.remote(*(argument for work in works for argument in work.arguments))
            first, *rest = answer if self._returns > 1 else [answer]
            self._running[first] = (actor, works, tuple(rest))

    def references(self) -> list[Any]:
        """What to wait for: answers of running calls and of waking actors."""
        return [*self._running, *self._waking]

    def collect(self, reference: Any) -> list[Done]:
        """Take in one finished reference of this stage.

        Raises:
            RuntimeError: actors cannot be started at all.
        """
        if reference in self._waking:
            return self._woken(reference)
        actor, works, rest = self._running.pop(reference)
        try:
            value = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            self._idle.append(actor)
            return [Done(work.key, None, (), _reason(error)) for work in works]
        except ray.exceptions.RayError as error:
            ray.kill(actor)
            return [done for work in reversed(works) for done in self._lost(work, error)]
        self._idle.append(actor)
        values = [value] if self._group is None else value
        return [Done(work.key, each, rest, None) for work, each in zip(works, values, strict=True)]

    def stop(self) -> None:
        """End all actors; queued work is dropped."""
        for actor in [*self._idle, *self._waking.values(), *(entry[0] for entry in self._running.values())]:
            ray.kill(actor)
        self._idle, self._waking, self._running = [], {}, {}
        self._queue.clear()

    def _take(self) -> list[Work]:
        """The next work for one actor."""
        works = [self._queue.popleft()]
        while self._queue and len(works) < (self._group or 1) and not works[0].attempts + self._queue[0].attempts:
            works.append(self._queue.popleft())
        return works

    def _start(self) -> None:
        actor = self._make()
        self._waking[actor.ping.remote()] = actor

    def _woken(self, reference: Any) -> list[Done]:
        actor = self._waking.pop(reference)
        try:
            ray.get(reference)
        except ray.exceptions.RayError as error:
            self._lost_in_a_row += 1
            ray.kill(actor)
            if self._lost_in_a_row >= self._attempts * self._size:
                raise RuntimeError(f"the {self.name} actors do not start: {_reason(error)}") from error
            return []
        self._lost_in_a_row = 0
        self._idle.append(actor)
        return []

    def _lost(self, work: Work, error: Exception) -> list[Done]:
        work.attempts += 1
        if work.attempts < self._attempts:
            self._queue.appendleft(work)
            return []
        lost = f"{work.attempts} {self.name} actors were lost while working on it; the last: {_reason(error)}"
        return [Done(work.key, None, (), lost)]


def done(references: list[Any]) -> list[Any]:
    """Those of some references that are done: one at least, which is waited for, and whatever else is by then."""
    first, others = ray.wait(references, num_returns=1)
    also, _ = ray.wait(others, num_returns=len(others), timeout=0) if others else ([], others)
    return [*first, *also]


def _reason(error: BaseException) -> str:
    """The cause inside a Ray error as one line."""
    cause = getattr(error, "cause", None) or error
    lines = str(cause).strip().splitlines()
    return f"{type(cause).__name__}: {lines[-1] if lines else 'no message'}"
