"""`nas devices`: where one can measure."""

from typing import Any

import typer

from nas.cli.failure import bad_input
from nas.cli.options import AsJson, Default, StoreUrl
from nas.cli.output import print_json, print_table
from profilers.registry import make_device
from storage.errors import StoreNotFound
from storage.records import Device
from storage.store import ResultStore


def devices(store: StoreUrl = Default, as_json: AsJson = False) -> None:
    """List the devices: this machine's CPU, and those that the store has seen."""
    here = make_device({})
    rows = [_row(device) for device in _seen(store)]
    if all(row["fingerprint"] != here.fingerprint for row in rows):
        rows.append(_row(Device(here.fingerprint, here.name, here.description)))
    if as_json:
        print_json(rows)
    else:
        print_table([{key: value for key, value in row.items() if key != "fingerprint"} for row in rows])


def _seen(url: str) -> list[Device]:
    """The store's devices; a store that is not there yet has seen none."""
    with bad_input():
        try:
            store = ResultStore(url, create=False)
        except StoreNotFound:
            return []
        with store:
            return store.devices()


def _row(device: Device) -> dict[str, Any]:
    keys = ("kind", "cpu", "threads", "precision", "optimisation", "batch")
    return {
        "id": device.fingerprint[:12],
        "name": device.name,
        **{key: device.description.get(key) for key in keys},
        "noise": device.noise,
        "last_seen": None if device.last_seen is None else device.last_seen.isoformat(timespec="seconds"),
        "fingerprint": device.fingerprint,
    }


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(devices)
