"""Seconds between two points in time, computed by the database."""

from typing import Any

from sqlalchemy import Double
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class elapsed(FunctionElement[float]):  # noqa: N801 - it reads as a function of SQL
    """`elapsed(begin, end)`: seconds from one time to another, to the millisecond; 0 where the clock went back."""

    type = Double()
    inherit_cache = True
    name = "elapsed"


@compiles(elapsed, "sqlite")
def _sqlite(element: elapsed, compiler: SQLCompiler, **options: Any) -> str:
    begin, end = (compiler.process(clause, **options) for clause in element.clauses)
    return f"max(0.0, (julianday({end}) - julianday({begin})) * 86400.0)"


@compiles(elapsed, "postgresql")
def _postgresql(element: elapsed, compiler: SQLCompiler, **options: Any) -> str:
    begin, end = (compiler.process(clause, **options) for clause in element.clauses)
    return f"greatest(0.0, extract(epoch FROM ({end} - {begin})))::double precision"
