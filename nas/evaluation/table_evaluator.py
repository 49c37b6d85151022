"""An evaluator that looks results up in a table, on a simulated clock: a search in seconds instead of weeks."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.evaluation.evaluator import Evaluated, Request
from nas.simulated_clock import SimulatedClock
from nas.table import Table
from search_spaces.genotypes import Population

Durations = Callable[[Population], NDArray[np.float64]]
"""(n, d) genotypes -> (n,) simulated seconds that evaluating each takes."""


class TableEvaluator:
    """Answers requests from a table; what the table lacks failed, and says so.

    Args:
        table: where the values come from.
        metrics: what is asked for.
        workers: simulated workers, each evaluating one architecture at a time.
        seconds: what an evaluation takes: a number, (n,) seconds for the table's rows, or a callable.

    Attributes:
        clock: simulated time and how busy the workers were.

    Raises:
        TableError: the table has no such metric.
        ValueError: fewer than one worker, or seconds of another shape.
    """

    def __init__(
        self,
        table: Table,
        metrics: Sequence[str],
        *,
        workers: int = 1,
        seconds: float | NDArray[np.float64] | Durations = 1.0,
    ) -> None:
        for metric in metrics:
            table.column(metric)
        self._table = table
        self._metrics = tuple(metrics)
        self._seconds = seconds if callable(seconds) else _by_row(table, seconds)
        self.clock: SimulatedClock[Evaluated] = SimulatedClock(workers)

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests; metrics that are known already are taken as they are."""
        if not requests:
            return
        genotypes = self._table.space.canonical(np.stack([request.genotype for request in requests]))
        rows = self._table.rows(genotypes)
        values = self._table.lookup(genotypes, self._metrics)
        seconds = self._seconds(genotypes)
        for place, request in enumerate(requests):
            found = {metric: float(column[place]) for metric, column in values.items()} | dict(request.known)
            missing = [metric for metric in self._metrics if np.isnan(found[metric])]
            answer = Evaluated(request.key, found, seconds=float(seconds[place]))
            if missing:
                answer.metrics = {metric: value for metric, value in found.items() if metric not in missing}
                answer.error = _error(int(rows[place]), missing)
            self.clock.submit(answer, answer.seconds)

    def wait(self) -> list[Evaluated]:
        """Advance the clock until at least one request is answered; empty when none is outstanding."""
        return [finished.work for finished in self.clock.wait()]

    def close(self) -> None:
        """Nothing to let go of."""


def _by_row(table: Table, seconds: float | NDArray[np.float64]) -> Durations:
    given = np.asarray(seconds, np.float64)
    if given.shape not in ((), (len(table),)):
        raise ValueError(f"seconds must be one number or one for each of the {len(table)} rows (got {given.shape})")
    if not (np.isfinite(given) & (given >= 0)).all():
        raise ValueError("seconds must be finite and not negative")
    each = np.broadcast_to(given, (len(table),))
    middle = float(np.median(each))
    return lambda genotypes: np.where((rows := table.rows(genotypes)) >= 0, each[rows], middle)


def _error(row: int, missing: Sequence[str]) -> str:
    if row < 0:
        return "the table has no such architecture"
    return f"the table has no value of {', '.join(missing)} in row {row}"
