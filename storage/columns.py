"""Column types that give the same value back from SQLite and PostgreSQL."""

import math
from array import array
from collections.abc import Sequence
from datetime import UTC, datetime
from sys import byteorder

from sqlalchemy import DateTime, Dialect, Double, LargeBinary, Text
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, timezone-aware UTC on the way in and out.

    SQLite keeps no time zone: its text is UTC. PostgreSQL answers in the time zone of the session.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive datetime: nobody knows which time it means."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a stored time must know its time zone (got {value!r})")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say that it is UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Number(TypeDecorator[float]):
    """A 64-bit float. NaN is NULL in the database, and NULL is NaN outside.

    SQLite makes NULL of NaN by itself while PostgreSQL keeps it and sorts it above infinity: by design it is
    NULL in both, which SQL's aggregates skip. A value that was never found has no row at all. Infinities are
    themselves; the sign of zero is dropped, as SQLite does.
    """

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """NaN to NULL."""
        return None if value is None or math.isnan(value) else float(value) + 0.0

    def process_result_value(self, value: float | None, dialect: Dialect) -> float:
        """NULL to NaN."""
        return math.nan if value is None else value


class PlainText(TypeDecorator[str]):
    """Text from anywhere, an exception's message or a request: what a database cannot keep becomes U+FFFD.

    So what is asked for by such a text is not found, instead of being an error of the database.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace NUL characters and lone surrogates."""
        if value is None or (value.isascii() and "\0" not in value):
            return value
        text = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


class Samples(TypeDecorator[Sequence[float]]):
    """A sequence of floats as its bytes: 64-bit, little-endian. NaN and infinities stay."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Sequence[float] | None, dialect: Dialect) -> bytes:
        """Floats to bytes."""
        return _little_endian(array("d", () if value is None else value)).tobytes()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> tuple[float, ...]:
        """Bytes to a tuple of floats."""
        return tuple(_little_endian(array("d", value or b"")))


def _little_endian(values: "array[float]") -> "array[float]":
    if byteorder == "big":
        values.byteswap()
    return values
