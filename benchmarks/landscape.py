"""What searches are compared on: objectives read from tables, or predicted from them where they cover too little.

A table that holds every architecture of its space answers by itself. Of one that holds a good part, searches may only
propose what it holds. A sample of a larger space cannot answer a search; then each metric is predicted by kernel ridge
regression fitted on the sample, and the best front that all searches find together stands for the true one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.front import front, hypervolume
from nas.objectives import Objective
from nas.strategies.features import Choices, Features
from nas.table import Table, TableError
from search_spaces.genotypes import GenotypeSpace, Population
from search_spaces.graph_features import GraphFeatures
from search_spaces.space import SearchSpace

Array = NDArray[np.float64]

SMALLEST_SHARE = 0.01
"""A table with less of its space than this is fitted and not looked up."""
MOST_FITTED = 1500
RIDGES = 10.0 ** np.arange(-4.0, 5.0)


def objective(text: str) -> Objective:
    """Read `metric:min` or `metric:max`.

    Raises:
        ValueError: anything else.
    """
    metric, _, direction = text.rpartition(":")
    if direction not in ("min", "max") or not metric:
        raise ValueError(f"an objective must be METRIC:min or METRIC:max (got {text!r})")
    return Objective(metric=metric, direction=direction)


class Fitted:
    """Kernel ridge regression with all pairs of choices: (n, d) genotypes -> (n,) values.

    Args:
        table: what is fitted; at most 1,500 of its rows, chosen at random, the others to check.
        metric: of the table.

    Attributes:
        error: root mean square error by leaving one out, as a share of the standard deviation.
    """

    def __init__(self, table: Table, metric: str) -> None:
        values = table.column(metric)
        rows = np.flatnonzero(~np.isnan(values))
        if len(rows) < 10:
            raise TableError(f"metric {metric!r} has {len(rows)} values; at least 10 are needed to predict it")
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:MOST_FITTED])
        self._space = table.space
        self._x = self._encoded(table.genotypes[rows])
        y = values[rows]
        self._mean = float(y.mean())
        eigenvalues, vectors = np.linalg.eigh(self._kernel(self._x))
        turned = vectors.T @ (y - self._mean)
        best = (np.inf, 0.0)
        for ridge in RIDGES:
            shrunk = 1 / (np.maximum(eigenvalues, 0) + ridge)
            left_out = (vectors @ (shrunk * turned)) / ((vectors**2) @ shrunk)
            best = min(best, (float(np.sqrt(np.mean(left_out**2))), ridge))
        self.error = best[0] / (float(y.std()) or 1.0)
        self._weights = vectors @ (turned / (np.maximum(eigenvalues, 0) + best[1]))
        self._low, self._high = float(y.min()), float(y.max())

    def __call__(self, population: Population) -> Array:
        """Predict (n,) values, never beyond those that were measured."""
        values = self._kernel(self._encoded(population)) @ self._weights + self._mean
        return np.asarray(np.clip(values, self._low, self._high))

    def _encoded(self, population: Population) -> Array:
        return self._space.encode(population).astype(np.float64)

    def _kernel(self, x: Array) -> Array:
        """Shared choices and shared pairs of choices."""
        shared = x @ self._x.T
        return np.asarray(shared + shared**2 / len(self._space.decisions))


@dataclass(frozen=True, slots=True)
class Landscape:
    """m objectives over a space.

    Attributes:
        objectives: what is wanted.
        tables: for each objective the table that knows it.
        fitted: for each objective its predictor; empty where tables are looked up.
        low: (m,) best losses of the tables' rows.
        high: (m,) worst ones: the reference point.
        full: hypervolume of the true front in the scaled losses; None where that is not known.
        features: what predictors may see of an architecture.
    """

    objectives: tuple[Objective, ...]
    tables: tuple[Table, ...]
    fitted: tuple[Fitted, ...]
    low: Array
    high: Array
    full: float | None
    features: Features

    @classmethod
    def of(cls, tables: Sequence[Table], objectives: Sequence[Objective]) -> "Landscape":
        """Find each objective in the first table that has it.

        Raises:
            ValueError: no table has an objective, an objective comes twice, the tables are not of one space, a metric
                has no value or only one, or no architecture has a value of every objective.
        """
        first = tables[0]
        for table in tables[1:]:
            if [(d.name, d.options) for d in table.space.decisions] != [
                (d.name, d.options) for d in first.space.decisions
            ]:
                raise ValueError(f"the tables must be of one space (got {first.space_name} and {table.space_name})")
        chosen = []
        for place, wanted in enumerate(objectives):
            if wanted.metric in [other.metric for other in objectives[:place]]:
                raise ValueError(f"objective {wanted.metric!r} is given twice")
            holders = [table for table in tables if wanted.metric in table.metrics]
            if not holders:
                known = dict.fromkeys(metric for table in tables for metric in table.metrics)
                raise ValueError(
                    f"objective {wanted.metric!r} is not a metric of the tables; known: {', '.join(known)}"
                )
            chosen.append(holders[0])
        together = all(table is chosen[0] for table in chosen)
        covers = together and len(chosen[0]) >= SMALLEST_SHARE * chosen[0].space.size()
        columns = [o.losses(table.column(o.metric)) for o, table in zip(objectives, chosen, strict=True)]
        for wanted, column in zip(objectives, columns, strict=True):
            if len(np.unique(column[~np.isnan(column)])) < 2:
                raise ValueError(f"metric {wanted.metric!r} has fewer than two different values in the table")
        full = None
        fitted: tuple[Fitted, ...] = ()
        if covers:
            losses = np.stack(columns, axis=1)
            losses = losses[~np.isnan(losses).any(axis=1)]
            if not len(losses):
                raise ValueError("no architecture of the table has a value of every objective")
            low, high = losses.min(axis=0), losses.max(axis=0)
            full = hypervolume((losses - low) / np.where(high > low, high - low, 1.0), np.ones(len(objectives)))
        else:
            fitted = tuple(Fitted(table, o.metric) for o, table in zip(objectives, chosen, strict=True))
            low = np.array([np.nanmin(column) for column in columns])
            high = np.array([np.nanmax(column) for column in columns])
        space = chosen[0].space
        features: Features = GraphFeatures(space) if isinstance(space, SearchSpace) else Choices(space)
        return cls(tuple(objectives), tuple(chosen), fitted, low, high, full, features)

    @property
    def space(self) -> GenotypeSpace:
        """What is searched."""
        return self.tables[0].space

    @property
    def restricted(self) -> bool:
        """Whether only what the table holds may be proposed."""
        return not self.fitted and not self.tables[0].complete

    @property
    def size(self) -> int:
        """How many architectures can be evaluated."""
        return self.space.size() if self.fitted else len(self.tables[0])

    def losses(self, population: Population) -> Array:
        """Return the (n, m) losses of canonical genotypes; NaN where the table has no value."""
        if self.fitted:
            values = [predict(population) for predict in self.fitted]
        else:
            metrics = [o.metric for o in self.objectives]
            values = list(self.tables[0].lookup(population, metrics).values())
        return np.stack([o.losses(v) for o, v in zip(self.objectives, values, strict=True)], axis=1)

    def missing(self, population: Population) -> Array:
        """Return (n,) 1 for what may not be proposed, because the table does not hold it, else 0."""
        if not self.restricted:
            return np.zeros(len(population))
        return (self.tables[0].rows(population) < 0).astype(np.float64)

    def scaled(self, losses: Array) -> Array:
        """Scale losses so that the tables' best are 0 and their worst 1."""
        return np.asarray((losses - self.low) / (self.high - self.low))

    def hypervolumes(self, losses: Array, moments: Sequence[int]) -> Array:
        """Return the hypervolume after each number of evaluations, in units of the true front's where it is known."""
        scaled = self.scaled(losses)
        best = np.zeros((0, len(self.objectives)))
        volumes, start = [], 0
        for moment in moments:
            best = np.concatenate([best, scaled[start:moment]])
            best = best[front(best)]
            start = moment
            volumes.append(hypervolume(best, np.ones(len(self.objectives))) / (self.full or 1.0))
        return np.array(volumes)

    def describe(self) -> str:
        """Say what is searched, and how it is answered."""
        table = self.tables[0]
        lines = [f"space {table.space_name}: {table.space.size():,} architectures, {len(table):,} in the table"]
        if self.fitted:
            errors = ", ".join(f"{o.metric} {f.error:.3f}" for o, f in zip(self.objectives, self.fitted, strict=True))
            lines.append(f"metrics are PREDICTED (leave-one-out error / deviation: {errors}); best front found = 1")
        elif self.restricted:
            lines.append("only architectures that the table holds may be proposed; the table's front = 1")
        else:
            lines.append("the table's front = 1")
        if not self.fitted:
            failed = float(np.isnan(self.losses(table.genotypes)).any(axis=1).mean())
            if failed:
                lines.append(f"{failed:.1%} of the evaluations fail: the table lacks a value")
        if isinstance(self.features, Choices):
            lines.append(f"space {table.space_name!r} is not registered: predictors see one-hot choices only")
        else:
            lines.append("predictors see features of the networks' graphs")
        return "\n".join(lines)
