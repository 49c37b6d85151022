"""`nas profile` and `nas devices`: measuring without a job."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.failure import bad_input, stop
from nas.cli.options import AsJson, Default, StoreUrl
from nas.cli.output import print_json, print_table
from nas.jobspec.document import read_document
from nas.jobspec.load import located_device
from profilers.analytic import AnalyticDevice
from profilers.errors import DeviceLost, ModelRefused
from profilers.host import HostDevice
from profilers.limits import Limits
from profilers.measurement import Measurement
from profilers.registry import DEVICES, make_device, open_profiler
from profilers.series import Series
from storage.errors import StoreNotFound
from storage.records import Device
from storage.store import ResultStore


def profile(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="An ONNX file; it need not be trusted.")],
    device: Annotated[
        str | None, typer.Option(metavar="FILE:NAME", help="A device of a job file, in place of this machine's CPU.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of ONNX Runtime.")] = 1,
    optimisation: Annotated[str, typer.Option(help="Graph optimisation: disable, basic, extended or all.")] = "all",
    precision: Annotated[str, typer.Option(help="fp32, or int8: the model is quantised first.")] = "fp32",
    provider: Annotated[str, typer.Option(help="Execution provider of ONNX Runtime.")] = "CPUExecutionProvider",
    batch: Annotated[int, typer.Option(help="Samples in one run.")] = 1,
    timeout: Annotated[float, typer.Option(help="Seconds that the measurement may take.")] = 60.0,
    with_layers: Annotated[
        bool, typer.Option("--layers", help="Show each layer, on devices that are computed and not measured.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what an ONNX file takes on this machine's CPU, or on another device."""
    with bad_input():
        section = {
            "threads": threads,
            "precision": precision,
            "optimisation": optimisation,
            "provider": provider,
            "batch": batch,
        }
        if device is not None:
            usual = HostDevice().description
            if given := [key for key, value in section.items() if value != usual[key]]:
                raise ValueError(f"--device brings its own settings; leave --{given[0]} out")
            section = _section(device)
        target = make_device(section, where=device or "device")
        if with_layers and not isinstance(target, AnalyticDevice):
            raise ValueError(
                f"--layers: device {target.name!r} of kind {target.kind} runs a model as a whole; layers are told by "
                f"{', '.join(kind for kind, each in DEVICES.items() if issubclass(each, AnalyticDevice))}"
            )
        limits = Limits(wall_s=timeout, cpu_s=timeout * threads)
        if model.stat().st_size > limits.model_bytes:
            raise ModelRefused(f"{model} has {model.stat().st_size} bytes; allowed: at most {limits.model_bytes}")
        content = model.read_bytes()
    try:
        with open_profiler(target, limits=limits) as profiler:
            (measured,) = Series(profiler, target).measure([content])
    except DeviceLost as error:
        raise stop(str(error), 1) from error
    if not isinstance(measured, Measurement):  # the user gave the model, so what it does is bad input too
        raise stop(f"{model}: {measured}", 2)
    summary = measured.summary()
    rows = [asdict(layer) for layer in measured.layers]
    if as_json:
        print_json({**summary, "layers": rows} if with_layers else summary)
        return
    print_table([{"": name, "value": value} for name, value in summary.items()])
    if with_layers:
        print_table(rows, empty="no layers: the model only reshapes")


def _section(place: str) -> dict[str, Any]:
    """The section of a device in a job file.

    Raises:
        ValueError: there is no such file, or no such device in it.
    """
    file, _, name = place.rpartition(":")
    if not file:
        raise ValueError(f"--device must be FILE:NAME, such as job.yaml:pi5 (got {place!r})")
    job = read_document(Path(file))
    found = job.get("devices") if isinstance(job, Mapping) else None
    known = found if isinstance(found, Mapping) else {}
    if not isinstance(known.get(name), Mapping):
        raise ValueError(f"{file} has no device {name!r}; known: {', '.join(known) or 'none'}")
    return {**located_device(known[name], Path(file).parent), "name": name}


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
    """Add the commands."""
    app.command()(profile)
    app.command()(devices)
