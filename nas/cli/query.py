"""`nas query`: SQL that only reads."""

import csv
import io
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.failure import bad_input, stop
from nas.cli.options import AsJson, Default, StoreUrl, open_store
from nas.cli.output import messages, print_json, print_table

_SHOWN = 200
_PARQUET_ROWS = 50_000


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement, such as 'SELECT * FROM front'.")],
    store: StoreUrl = Default,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    parquet: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a new Parquet file.")] = None,
    seconds: Annotated[float, typer.Option(min=0.001, help="How long the query may take.")] = 60.0,
) -> None:
    """Ask the store by SQL that only reads.

    Made to be asked are `evaluations_wide` (one row an evaluation: job, genotype, accuracy, loss, macs, params, and all
    metrics as JSON), `front` (the same columns, of each job's Pareto front), `devices`, and every table below them.
    """
    if as_json + as_csv + (parquet is not None) > 1:
        raise stop("more than one of --json, --csv and --parquet were given; choose one", 2)
    with open_store(store) as opened, bad_input(), opened.query(sql, seconds=seconds) as (columns, rows):
        if as_json:
            print_json([dict(zip(columns, map(_text, row), strict=True)) for row in rows])
        elif as_csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(map(_text, row) for row in rows)
        elif parquet is not None:
            messages.print(f"{_write_parquet(parquet, columns, rows):,} rows: {parquet}")
        else:
            shown = [dict(zip(columns, map(_text, row), strict=True)) for row in itertools.islice(rows, _SHOWN)]
            print_table(shown, empty="no rows")
            if next(rows, None) is not None:
                messages.print(f"the first {_SHOWN} rows; all of them: --json, --csv or --parquet FILE")


def _text(value: Any) -> Any:
    """Bytes, which neither JSON nor CSV has, as hex digits."""
    return value.hex() if isinstance(value, bytes | memoryview) else value


def _write_parquet(path: Path, columns: list[str], rows: Iterator[tuple[Any, ...]]) -> int:
    """A Parquet file of all rows; their columns are held as Arrow arrays, not as Python objects."""
    import pyarrow
    from pyarrow import parquet

    from nas.artifacts import write_atomically

    if repeated := sorted({name for name in columns if columns.count(name) > 1}):
        raise ValueError(f"--parquet: columns need names of their own; {', '.join(repeated)} comes twice")
    tables = [pyarrow.table({name: pyarrow.nulls(0) for name in columns})]
    while some := list(itertools.islice(rows, _PARQUET_ROWS)):
        tables.append(pyarrow.table(dict(zip(columns, map(list, zip(*some, strict=True)), strict=True))))
    whole = pyarrow.concat_tables(tables, promote_options="permissive")
    file = io.BytesIO()
    parquet.write_table(whole, file)
    write_atomically(path, file.getvalue())
    return int(whole.num_rows)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(query)
