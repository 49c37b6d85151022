"""How busy the search loop keeps its workers: Ray actors that sleep, and a thousand on a clock that only counts."""

import time
from collections.abc import Sequence

import numpy as np

from nas.cluster import ray
from nas.evaluation.evaluator import Evaluated, Request
from nas.evaluation.stage import Stage, done
from nas.simulated_clock import SimulatedClock, spread_durations


class Sleeper:
    """An actor that takes a second for everything."""

    def ping(self) -> None:
        """Answer."""

    def evaluate(self, seconds: float) -> float:
        """Sleep."""
        time.sleep(seconds)
        return seconds


class Sleeping:
    """An evaluator on Ray actors that sleep, fed as those of a job are.

    Args:
        actors: how many; all are awake when this returns.
        seconds: that each evaluation takes.

    Attributes:
        done_at: when each evaluation was answered, on the clock of `time.perf_counter`.
    """

    def __init__(self, actors: int, seconds: float) -> None:
        remote = ray.remote(Sleeper)
        self._stage = Stage("sleeping", lambda: remote.options(num_cpus=0).remote(), actors, method="evaluate")
        self._seconds = seconds
        self.done_at: list[float] = []
        for number in range(actors):
            self._stage.submit(str(number), 0.0)
        self._stage.dispatch()
        while self._stage.busy:
            for reference in done(self._stage.references()):
                self._stage.collect(reference)
            self._stage.dispatch()

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests."""
        for request in requests:
            self._stage.submit(request.key, self._seconds)
        self._stage.dispatch()

    def wait(self) -> list[Evaluated]:
        """Those that are done, one at least."""
        references = self._stage.references()
        if not references:
            return []
        found = [each for reference in done(references) for each in self._stage.collect(reference)]
        self._stage.dispatch()
        self.done_at += [time.perf_counter()] * len(found)
        return [Evaluated(each.key, {"accuracy": int(each.key[:8], 16) / 2**32}, seconds=each.value) for each in found]

    def close(self) -> None:
        """End the actors."""
        self._stage.stop()


class Counting:
    """An evaluator on workers of a clock that only counts, which goes on by what the search loop itself takes, too.

    Args:
        workers: how many.
        mean_seconds: of an evaluation.
        spread: standard deviation of these by their mean.
        evaluations: that durations are drawn for.

    Attributes:
        clock: the workers.
        utilisation: the share of their time that they were at work until the last that there is was submitted; after
            that, some have to be idle.
    """

    def __init__(self, workers: int, mean_seconds: float, spread: float, evaluations: int) -> None:
        self.clock: SimulatedClock[Evaluated] = SimulatedClock(workers)
        self._durations = iter(spread_durations(evaluations, mean_seconds, spread, np.random.default_rng(0)).tolist())
        self.utilisation = 1.0
        self._left = time.process_time()

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests."""
        self._pass()
        self.utilisation = self.clock.utilisation
        for request in requests:
            answer = Evaluated(request.key, {"accuracy": int(request.key[:8], 16) / 2**32})
            self.clock.submit(answer, next(self._durations))
        self._left = time.process_time()

    def wait(self) -> list[Evaluated]:
        """Those that are done at the next instant."""
        self._pass()
        done = [each.work for each in self.clock.wait()]
        self._left = time.process_time()
        return done

    def close(self) -> None:
        """Nothing to let go of."""

    def _pass(self) -> None:
        """Let the workers go on while the loop proposes and stores, for the processor time that this took."""
        self.clock.pass_time(time.process_time() - self._left)
