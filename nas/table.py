"""Published results as a table: architectures of one space and their metrics, from an `.npz` file."""

import json
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.decision import Decision, Option
from search_spaces.genotypes import GenotypeSpace, Population
from search_spaces.registry import SPACES

LARGEST_FILE_BYTES = 512 * 2**20
LARGEST_ARRAY_BYTES = 2**30
LARGEST_TEXT = 100_000
ARRAYS = {"genotypes": 2, "decisions": 1, "options": 1, "metrics": 1, "values": 2, "space": 0}
"""The arrays that a file must hold and the number of their axes; others are ignored."""


class TableError(ValueError):
    """A file that is not a table, or a question that it cannot answer."""


class Table:
    """n architectures and m metrics of each.

    Args:
        space_name: what the rows are, such as `nasbench201`.
        space: the decisions; rows are canonical genotypes of it.
        genotypes: (n, d) int16, distinct.
        metrics: m names.
        values: (n, m), NaN where not measured or failed.

    Attributes:
        registered: whether `space` is a space of the registry, which can build the networks.
        merged: rows of the file that described the same network as another, of which the mean was taken.

    Raises:
        TableError: the shapes do not fit each other, rows are out of range or given twice, a metric is given twice.
    """

    def __init__(
        self,
        space_name: str,
        space: GenotypeSpace,
        genotypes: Population,
        metrics: Sequence[str],
        values: NDArray[np.float64],
        merged: int = 0,
    ) -> None:
        self.space_name = space_name
        self.space = space
        self.metrics = tuple(metrics)
        self.genotypes = genotypes
        self.values = values
        self.merged = merged
        self.registered = space_name in SPACES and isinstance(space, SPACES[space_name])
        _check(self)
        keys = space.keys(genotypes)
        self._order = np.argsort(keys)
        self._sorted = keys[self._order]
        _check_distinct(self)

    @classmethod
    def load(cls, path: str | Path) -> "Table":
        """Read a file with the arrays of `ARRAYS`.

        `options` holds one JSON list for each decision. Where `space` names a space of the registry that has the
        same decisions, their conditions hold: rows become canonical, and rows that then are one network become one.

        Raises:
            TableError: no such file, not an `.npz`, too large, arrays missing or of the wrong kind, options that are no
                JSON list, rows out of range or given twice.
        """
        arrays = _read(Path(path))
        try:
            return _table(arrays)
        except ValueError as error:
            raise TableError(f"{path}: {error}") from error

    def __len__(self) -> int:
        return len(self.genotypes)

    @property
    def complete(self) -> bool:
        """Whether every genotype of the space has a row."""
        return len(self) == self.space.size()

    def column(self, metric: str) -> NDArray[np.float64]:
        """Return the (n,) values of a metric.

        Raises:
            TableError: the table has no such metric; the message lists those it has.
        """
        if metric not in self.metrics:
            raise TableError(f"the table has no metric {metric!r}; known: {', '.join(self.metrics)}")
        return self.values[:, self.metrics.index(metric)]

    def rows(self, genotypes: Population) -> NDArray[np.intp]:
        """Return the (k,) rows of canonical genotypes (k, d); -1 where the table has none."""
        if not len(self) or not len(genotypes):
            return np.full(len(genotypes), -1, np.intp)
        keys = self.space.keys(genotypes)
        places = self._order[np.minimum(np.searchsorted(self._sorted, keys), len(self) - 1)]
        same = (self.genotypes[places] == genotypes).all(axis=1)
        return np.where(same, places, -1)

    def lookup(self, genotypes: Population, metrics: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Return metric -> (k,) values of canonical genotypes (k, d); NaN where there is no row or no value.

        Raises:
            TableError: the table has no such metric.
        """
        rows = self.rows(genotypes)
        return {metric: np.where(rows >= 0, self.column(metric)[rows], np.nan) for metric in metrics}


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """The needed arrays of a file, none larger than allowed and none pickled."""
    if not path.is_file():
        raise TableError(f"{path}: there is no such file")
    if path.stat().st_size > LARGEST_FILE_BYTES:
        raise TableError(f"{path} has {path.stat().st_size} bytes; at most {LARGEST_FILE_BYTES} are read")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        for name in ARRAYS:
            if sizes.get(f"{name}.npy", 0) > LARGEST_ARRAY_BYTES:
                raise TableError(
                    f"{path}: array {name!r} has {sizes[f'{name}.npy']} bytes; at most {LARGEST_ARRAY_BYTES} are read"
                )
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in ARRAYS if name not in file.files]
            if missing:
                raise TableError(f"{path} lacks {', '.join(missing)}; it has {', '.join(file.files) or 'nothing'}")
            return {name: file[name] for name in ARRAYS}
    except TableError:
        raise
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, KeyError, MemoryError) as error:
        raise TableError(f"{path} cannot be read as an .npz without pickles: {error}") from error


def _table(arrays: Mapping[str, NDArray[Any]]) -> Table:
    for name, axes in ARRAYS.items():
        if arrays[name].ndim != axes:
            raise TableError(f"array {name!r} must have {axes} axes (got shape {arrays[name].shape})")
    for name in ("decisions", "options", "metrics", "space"):
        if arrays[name].dtype.kind != "U":
            raise TableError(f"array {name!r} must hold text (got {arrays[name].dtype})")
    genotypes, values = arrays["genotypes"], arrays["values"]
    if genotypes.dtype.kind not in "iu":
        raise TableError(f"array 'genotypes' must hold whole numbers (got {genotypes.dtype})")
    if values.dtype.kind not in "fiu":
        raise TableError(f"array 'values' must hold numbers (got {values.dtype})")
    if genotypes.size and (genotypes.min() < 0 or genotypes.max() > np.iinfo(np.int16).max):
        raise TableError(f"genotypes must be in 0..{np.iinfo(np.int16).max} (got {genotypes.min()}..{genotypes.max()})")
    decisions = _decisions(arrays["decisions"].tolist(), arrays["options"].tolist())
    rows = np.ascontiguousarray(genotypes, np.int16)
    plain = GenotypeSpace(decisions)
    name, metrics, numbers = str(arrays["space"]), arrays["metrics"].tolist(), values.astype(np.float64)
    table = Table(name, plain, rows, metrics, numbers)
    space = _registered(name, decisions)
    return table if space is None else _canonical(table, space)


def _decisions(names: list[str], options: list[str]) -> list[Decision]:
    if len(names) != len(options):
        raise TableError(f"there are {len(names)} decisions and options for {len(options)}")
    return [Decision(name, _options(name, text)) for name, text in zip(names, options, strict=True)]


def _options(name: str, text: str) -> tuple[Option, ...]:
    if len(text) > LARGEST_TEXT:
        raise TableError(f"the options of decision {name!r} have {len(text)} characters; at most {LARGEST_TEXT}")
    try:
        options = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TableError(f"the options of decision {name!r} must be a JSON list (got {text[:80]!r})") from error
    if not isinstance(options, list) or not options:
        raise TableError(f"the options of decision {name!r} must be a JSON list with an entry (got {text[:80]!r})")
    for option in options:
        if not isinstance(option, int | float | str) or (isinstance(option, float) and not math.isfinite(option)):
            raise TableError(f"the options of decision {name!r} must be numbers, texts or booleans (got {option!r})")
    return tuple(options)


def _registered(name: str, decisions: Sequence[Decision]) -> GenotypeSpace | None:
    """The space of the registry, if it has these decisions in this order."""
    if name not in SPACES:
        return None
    make: Callable[..., GenotypeSpace] = SPACES[name]
    space = make()
    same = [(d.name, d.options) for d in space.decisions] == [(d.name, d.options) for d in decisions]
    return space if same else None


def _canonical(table: Table, space: GenotypeSpace) -> Table:
    """The table with rows that are canonical in a space with conditions; networks that come twice as their mean."""
    rows = space.canonical(table.genotypes)
    unique, firsts, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    if len(unique) == len(rows):
        return Table(table.space_name, space, rows, table.metrics, table.values)
    inverse = inverse.reshape(-1)
    known = ~np.isnan(table.values)
    totals = np.zeros((2, len(unique), len(table.metrics)))
    np.add.at(totals[0], inverse, np.where(known, table.values, 0.0))
    np.add.at(totals[1], inverse, known)
    values = np.where(totals[1] > 0, totals[0] / np.maximum(totals[1], 1), np.nan)
    order = np.argsort(firsts)
    return Table(table.space_name, space, unique[order], table.metrics, values[order], merged=len(rows) - len(unique))


def _check(table: Table) -> None:
    try:
        table.space.validate(table.genotypes)
    except ValueError as error:
        raise TableError(f"genotypes: {error}") from error
    shape = (len(table.genotypes), len(table.metrics))
    if table.values.shape != shape:
        raise TableError(
            f"values must have shape {shape}, a row for each genotype and a column for each metric "
            f"(got {table.values.shape})"
        )
    if not len(table.genotypes) or not table.metrics:
        raise TableError(f"a table needs at least one row and one metric (got {shape[0]} and {shape[1]})")
    for place, metric in enumerate(table.metrics):
        if metric in table.metrics[:place]:
            raise TableError(f"metric {metric!r} is given twice")
    if np.isinf(table.values).any():
        row, column = (int(i) for i in np.argwhere(np.isinf(table.values))[0])
        raise TableError(f"row {row}, metric {table.metrics[column]!r} is infinite; what failed is NaN")


def _check_distinct(table: Table) -> None:
    ordered = table.genotypes[table._order]
    again = np.flatnonzero((ordered[1:] == ordered[:-1]).all(axis=1))
    if again.size:
        first, second = sorted(int(i) for i in table._order[[again[0], again[0] + 1]])
        raise TableError(f"rows {first} and {second} are the same genotype: {table.genotypes[first].tolist()}")
