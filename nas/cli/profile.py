"""`nas profile`: measuring without a job."""

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import onnx
import typer

from nas.cli.failure import bad_input, stop
from nas.cli.options import AsJson, open_store
from nas.cli.output import messages, print_json, print_table
from nas.jobspec.device_file import read_device
from profilers.device import Device
from profilers.errors import DeviceLost, ModelRefused
from profilers.host import HostDevice
from profilers.layer_comparison import compare
from profilers.layer_timing import LayerTime
from profilers.limits import Limits
from profilers.measurement import Measurement
from profilers.quantisation import is_quantised
from profilers.registry import make_device, open_profiler
from profilers.series import Series
from profilers.timing import TimingRule
from storage.records import Device as StoredDevice
from storage.records import Layer

LAYER_RUNS = 50


def profile(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="An ONNX file; it need not be trusted.")],
    device: Annotated[
        str | None,
        typer.Option(metavar="FILE:NAME", help="A device of devices.yaml or of a job file, in place of this CPU."),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of ONNX Runtime.")] = 1,
    optimisation: Annotated[str, typer.Option(help="Graph optimisation: disable, basic, extended or all.")] = "all",
    precision: Annotated[str, typer.Option(help="fp32, or int8: the model is quantised first.")] = "fp32",
    provider: Annotated[str, typer.Option(help="Execution provider of ONNX Runtime.")] = "CPUExecutionProvider",
    batch: Annotated[int, typer.Option(help="Samples in one run.")] = 1,
    timeout: Annotated[float, typer.Option(help="Seconds that the measurement may take.")] = 60.0,
    with_layers: Annotated[
        bool, typer.Option("--layers", help="Show each layer; with int8, beside what it takes in fp32.")
    ] = False,
    store: Annotated[
        str | None, typer.Option(envvar="NAS_STORE", help="SQL store that keeps what the layers take.")
    ] = None,
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
            section = device_section(device)
        target = make_device(section, where=device or "device")
        if with_layers and not target.tells_layers:
            raise ValueError(f"--layers: device {target.name!r} of kind {target.kind} does not tell them; leave it out")
        limits = Limits(wall_s=timeout, cpu_s=timeout * threads)
        if model.stat().st_size > limits.model_bytes:
            raise ModelRefused(f"{model} has {model.stat().st_size} bytes; allowed: at most {limits.model_bytes}")
        content = model.read_bytes()
        if with_layers and store is not None and not target.computed:
            open_store(store, create=True).close()  # what is wrong with it is told before the work
    rule = TimingRule(layer_runs=LAYER_RUNS if with_layers else 0)
    measured = _measured(model, content, target, rule, limits)
    summary = measured.summary()
    if not with_layers:
        rows = []
    elif isinstance(target, HostDevice) and target.precision == "int8" and not is_quantised(parsed := _parsed(content)):
        floats = _measured(model, content, replace(target, precision="fp32"), rule, limits)
        rows = _compared(parsed, floats, measured)
    else:
        rows = [asdict(layer) for layer in measured.layers]
        summary["layers_ms"] = math.fsum(layer.latency_ms for layer in measured.layers)
    if with_layers and store is not None and not target.computed:
        _keep(store, target, measured)
    if as_json:
        print_json({**summary, "layers": rows} if with_layers else summary)
        return
    print_table([{"": name, "value": value} for name, value in summary.items()])
    if with_layers:
        shown = [{key: value for key, value in row.items() if key not in ("signature", "provider")} for row in rows]
        print_table(shown, empty="no layers: the model only reshapes")


def _measured(model: Path, content: bytes, device: Device, rule: TimingRule, limits: Limits) -> Measurement:
    """Measure a model, or end the command."""
    try:
        with open_profiler(device, rule, limits) as profiler:
            (measured,) = Series(profiler, device).measure([content])
    except DeviceLost as error:
        raise stop(str(error), 1) from error
    if not isinstance(measured, Measurement):  # the user gave the model, so what it does is bad input too
        raise stop(f"{model}: {measured}", 2)
    return measured


def _parsed(content: bytes) -> onnx.ModelProto:
    """A model that was checked and measured by then."""
    return onnx.load_model_from_string(content)


def _compared(model: onnx.ModelProto, floats: Measurement, integers: Measurement) -> list[dict[str, Any]]:
    """Each layer in either precision; those that do not gain are marked."""
    times = [[layer for layer in each.layers if isinstance(layer, LayerTime)] for each in (floats, integers)]
    rows = []
    for each in compare(model, *times):
        slower = each.int8_ms >= each.fp32_ms
        rows.append({**asdict(each), "speedup": each.speedup, "gains": not slower})
    return rows


def _keep(url: str, device: Device, measured: Measurement) -> None:
    """Record the device and what layers take on it."""
    rows = [Layer(each.signature, each.op, each.latency_ms) for each in measured.layers if isinstance(each, LayerTime)]
    with open_store(url, create=True) as opened:
        opened.add_device(StoredDevice(measured.fingerprint, device.name, dict(device.description)))
        opened.add_layers(measured.fingerprint, rows)
    messages.print(f"{len(rows)} layers of device {device.name} are kept in {opened.name}")


def device_section(place: str) -> dict[str, Any]:
    """The section of a device in a job file.

    Raises:
        ValueError: there is no such file, or no such device in it.
    """
    file, _, name = place.rpartition(":")
    if not file:
        raise ValueError(f"--device must be FILE:NAME, such as job.yaml:pi5 (got {place!r})")
    return {**read_device(Path(file), name), "name": name}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(profile)
