"""A whole search on a simulated clock: what many workers make of a strategy, and how busy it keeps them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.front import hypervolume
from nas.simulated_clock import SimulatedClock
from nas.strategies.base import Strategy
from search_spaces.genotypes import Population

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened when.

    Attributes:
        workers: how many there were.
        genotypes: (n, d) in the order of completion.
        losses: (n, m), NaN where the evaluation failed.
        violations: (n,).
        started: (n,) simulated seconds.
        finished: (n,) simulated seconds, ascending.
    """

    workers: int
    genotypes: Population
    losses: Array
    violations: Array
    started: Array
    finished: Array

    @property
    def seconds(self) -> float:
        """Simulated seconds until the last evaluation was done."""
        return float(self.finished.max(initial=0.0))

    def utilisation(self, until: float | None = None) -> float:
        """The share of worker time spent on evaluations up to a moment, by default to the end."""
        end = self.seconds if until is None else until
        if not end > 0:
            return 1.0
        busy = np.clip(np.minimum(self.finished, end) - self.started, 0.0, None).sum()
        return float(busy / (end * self.workers))

    def hypervolumes(self, moments: ArrayLike, reference: ArrayLike) -> Array:
        """Return the hypervolume of all feasible results that were known at each of (k,) moments."""
        good = np.where((self.violations <= 0)[:, None], self.losses, np.nan)
        known = np.searchsorted(self.finished, np.asarray(moments, np.float64), side="right")
        return np.array([hypervolume(good[:count], reference) for count in known.reshape(-1)])


def simulate(
    strategy: Strategy[Any],
    evaluate: Callable[[Population], tuple[Array, Array]],
    seconds: Callable[[Population], Array],
    *,
    workers: int,
    evaluations: int,
    batch: int = 1,
    ask_seconds: float = 0.0,
) -> Timeline:
    """Run a strategy on simulated workers, asking again as soon as enough of them are idle.

    Args:
        strategy: what proposes.
        evaluate: (n, d) genotypes -> (n, m) losses and (n,) violations.
        seconds: (n, d) genotypes -> (n,) simulated seconds that each takes.
        workers: how many evaluate at once.
        evaluations: when to stop.
        batch: proposals asked for at once; `workers` makes the search synchronous, 1 wholly asynchronous.
        ask_seconds: simulated seconds that one proposal takes, in which nothing else is proposed.

    Raises:
        ValueError: fewer than one worker, evaluation or proposal in a batch, or a batch larger than the workers are
            many.
    """
    if evaluations < 1 or not 1 <= batch <= workers:
        raise ValueError(
            f"a simulation needs at least one evaluation and a batch of 1..{workers}, the number of workers "
            f"(got {evaluations} and {batch})"
        )
    clock: SimulatedClock[tuple[Population, Array, Array]] = SimulatedClock(workers)
    done: list[tuple[Population, Array, Array, float, float]] = []
    asked, exhausted = 0, False
    while True:
        while not exhausted and asked < evaluations and clock.idle >= min(batch, evaluations - asked):
            wanted = min(evaluations - asked, clock.idle // batch * batch or clock.idle)
            rows = strategy.ask(wanted)
            clock.pass_time(ask_seconds * len(rows))
            exhausted = len(rows) < wanted
            asked += len(rows)
            losses, violations = evaluate(rows)
            for row, loss, violation, lasts in zip(rows, losses, violations, seconds(rows), strict=True):
                clock.submit((row, loss, violation), float(lasts))
        finished = clock.wait()
        if not finished:
            break
        rows, losses, violations = (np.stack(part) for part in zip(*[each.work for each in finished], strict=True))
        strategy.tell(rows, losses, violations)
        done += [(*each.work, each.started, each.finished) for each in finished]
    if not done:
        m = strategy.objectives
        nothing = np.zeros(0)
        return Timeline(workers, strategy.space.sample(0, np.random.default_rng(0)), np.zeros((0, m)), *[nothing] * 3)
    return Timeline(workers, *(np.stack(part) for part in zip(*done, strict=True)))
