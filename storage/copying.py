"""A store copied into another, empty one: from a file to a server, from a server to a file."""

from collections.abc import Callable

from sqlalchemy import func, select

from storage.database import Database
from storage.errors import BadStore
from storage.schema import Base

_ROWS_AT_ONCE = 1000

OnTable = Callable[[str, int, int], None]


def copy(source: Database, target: Database, on_rows: OnTable) -> dict[str, int]:
    """Copy every row of every table, in one transaction of the target: all of it or nothing.

    The source may be written to meanwhile; the copy is its state at the beginning.

    Args:
        source: the store's, of the newest schema.
        target: another one, of the newest schema and without rows.
        on_rows: called with a table's name, its rows copied so far, and its rows in all.

    Returns:
        The number of rows of each table.

    Raises:
        BadStore: the target has rows.
    """
    counts: dict[str, int] = {}
    with source.read() as reading, target.write() as writing:
        for table in Base.metadata.sorted_tables:
            if writing.execute(select(table).limit(1)).first() is not None:
                raise BadStore(f"store {target.name} is not empty: its table {table.name} has rows; give a new one")
        for table in Base.metadata.sorted_tables:
            total = reading.execute(select(func.count()).select_from(table)).scalar_one()
            counts[table.name] = 0
            on_rows(table.name, 0, total)
            result = reading.execution_options(stream_results=True, yield_per=_ROWS_AT_ONCE).execute(
                select(table).order_by(*table.primary_key)
            )
            for rows in result.mappings().partitions():
                writing.execute(table.insert(), [dict(row) for row in rows])
                counts[table.name] += len(rows)
                on_rows(table.name, counts[table.name], total)
    return counts
