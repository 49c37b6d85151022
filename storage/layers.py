"""What layers take on devices, in the transaction of the caller: the table that a network's layers are looked up in."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from storage import checks
from storage.database import insert
from storage.errors import InvalidRecord
from storage.records import Layer
from storage.schema import DeviceRow, LayerRow


def checked(layers: Iterable[Layer]) -> list[Layer]:
    """The same layers in the order of their signatures, or `InvalidRecord`; of the same one twice, the last."""
    distinct = {
        given.signature: Layer(
            checks.text(given.signature, "the signature of a layer"),
            checks.text(given.op, "the operator of a layer"),
            checks.finite(given.latency_ms, "the latency of a layer"),
        )
        for given in layers
    }
    return [distinct[signature] for signature in sorted(distinct)]


def add(connection: Connection, device_fingerprint: str, rows: Sequence[Layer], now: datetime) -> None:
    """Add layers that were measured on a device; the same one again is replaced."""
    statement = select(DeviceRow.fingerprint).where(DeviceRow.fingerprint == device_fingerprint)
    if connection.execute(statement).first() is None:
        raise InvalidRecord(f"no device has the fingerprint {device_fingerprint!r}; add it before it measures")
    values = [
        {
            "device_fingerprint": device_fingerprint,
            "signature": row.signature,
            "op": row.op,
            "latency_ms": row.latency_ms,
            "created_at": now,
        }
        for row in rows
    ]
    if values:
        new = insert(connection, LayerRow)
        newer = {name: new.excluded[name] for name in ("op", "latency_ms", "created_at")}
        identity = ("device_fingerprint", "signature")
        connection.execute(new.on_conflict_do_update(index_elements=identity, set_=newer), values)


def of_device(connection: Connection, device_fingerprint: str) -> list[Layer]:
    """All layers that were measured on a device, by signature."""
    statement = (
        select(LayerRow.signature, LayerRow.op, LayerRow.latency_ms, LayerRow.created_at)
        .where(LayerRow.device_fingerprint == device_fingerprint)
        .order_by(LayerRow.signature)
    )
    return [Layer(*row) for row in connection.execute(statement)]
