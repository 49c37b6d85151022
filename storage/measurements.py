"""Devices and what was measured on them, in the transaction of the caller."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, or_, select

from storage import checks
from storage.database import insert, rows_with_keys
from storage.errors import InvalidRecord
from storage.records import Device, Measurement
from storage.schema import ArchitectureRow, DeviceRow, MeasurementRow


def add_device(connection: Connection, device: Device, now: datetime) -> None:
    """Record that a device was seen."""
    statement = insert(connection, DeviceRow).values(
        fingerprint=checks.text(device.fingerprint, "the fingerprint of a device"),
        name=checks.text(device.name, "the name of a device"),
        description=checks.json_object(device.description, "the description of a device"),
        last_seen=now,
    )
    new = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["fingerprint"],
            set_={"name": new.name, "description": new.description, "last_seen": new.last_seen},
        )
    )


def devices(connection: Connection) -> list[Device]:
    """All devices, the one seen last first."""
    newest = (
        select(MeasurementRow.statistics)
        .where(MeasurementRow.device_fingerprint == DeviceRow.fingerprint)
        .order_by(MeasurementRow.created_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    statement = select(
        DeviceRow.fingerprint, DeviceRow.name, DeviceRow.description, DeviceRow.last_seen, newest
    ).order_by(DeviceRow.last_seen.desc(), DeviceRow.fingerprint)
    return [
        Device(fingerprint, name, description, last_seen, (statistics or {}).get("noise"))
        for fingerprint, name, description, last_seen, statistics in connection.execute(statement)
    ]


def checked(measurements: Iterable[Measurement]) -> list[Measurement]:
    """The same measurements in the order of their keys, or `InvalidRecord`; of the same thing twice, the last."""
    rows = [
        Measurement(
            checks.key(given.architecture_key),
            checks.text(given.device_fingerprint, "the fingerprint of a device"),
            checks.text(given.metric, "the name of a metric"),
            checks.number(given.value, f"metric {given.metric!r}"),
            checks.text(given.device_name, "the name of a device"),
            checks.json_object(given.statistics, "the statistics of a measurement"),
            [checks.number(sample, "a sample") for sample in given.samples],
        )
        for given in measurements
    ]
    # One row of a kind and in order: transactions that add the same ones wait for each other in no circle.
    distinct = {(row.architecture_key, row.device_fingerprint, row.metric): row for row in rows}
    return [distinct[identity] for identity in sorted(distinct)]


def add(connection: Connection, rows: Sequence[Measurement], job_id: str | None, now: datetime) -> None:
    """Add measurements; one of the same thing replaces the earlier one."""
    _refuse_unknown(connection, rows)
    statement = insert(connection, MeasurementRow)
    identity = ("architecture_key", "device_fingerprint", "metric")
    values = [
        {
            "architecture_key": row.architecture_key,
            "device_fingerprint": row.device_fingerprint,
            "metric": row.metric,
            "value": row.value,
            "device_name": row.device_name,
            "statistics": row.statistics,
            "samples": row.samples,
            "job_id": job_id,
            "created_at": now,
        }
        for row in rows
    ]
    if values:
        newer = {name: statement.excluded[name] for name in values[0] if name not in identity}
        connection.execute(statement.on_conflict_do_update(index_elements=identity, set_=newer), values)


def lookup(
    connection: Connection, keys: Iterable[str], fingerprints: Iterable[str], metric: str
) -> dict[str, Measurement]:
    """The newest measurements of a metric on devices, of those keys that have one, in the order of the keys.

    Jobs give a device names of their own, which are part of its metrics' names: it is the same device by any of them.
    """
    keys = list(keys)
    table = MeasurementRow
    plain = metric.partition("@")[0]
    same = or_(table.metric == plain, table.__table__.c.metric.startswith(f"{plain}@", autoescape=True))
    statement = select(
        table.architecture_key,
        table.device_fingerprint,
        table.metric,
        table.value,
        table.device_name,
        table.statistics,
        table.samples,
        table.job_id,
        table.created_at,
    )
    statement = statement.where(table.device_fingerprint.in_(list(fingerprints)), same).order_by(table.created_at)
    column = table.__table__.c.architecture_key
    found = {row.architecture_key: Measurement(*row) for row in rows_with_keys(connection, statement, column, keys)}
    return {key: found[key] for key in keys if key in found}


def _refuse_unknown(connection: Connection, rows: Sequence[Measurement]) -> None:
    keys = {row.architecture_key for row in rows}
    known = {
        key for (key,) in rows_with_keys(connection, select(ArchitectureRow.key), ArchitectureRow.__table__.c.key, keys)
    }
    for key in sorted(keys - known):
        raise InvalidRecord(f"no architecture {key} is recorded; propose it before it is measured")
    fingerprints = {row.device_fingerprint for row in rows}
    statement = select(DeviceRow.fingerprint)
    seen = {name for (name,) in rows_with_keys(connection, statement, DeviceRow.__table__.c.fingerprint, fingerprints)}
    for fingerprint in sorted(fingerprints - seen):
        raise InvalidRecord(f"no device has the fingerprint {fingerprint!r}; add it before it measures")
