"""`nas profile`: measuring without a job."""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import onnx
import typer
from rich.progress import Progress

from nas.cli.failure import bad_input, stop
from nas.cli.options import AsJson, open_store
from nas.cli.output import messages, print_json, print_table
from nas.cli.space_section import space_section
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
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL.onnx]", help="An ONNX file; it need not be trusted.")
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(help="In place of a model: a space, or a job file with one, whose --layers are measured."),
    ] = None,
    samples: Annotated[int, typer.Option(help="With --space, the networks that are measured at most.")] = 32,
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
    """Tell what an ONNX file, or each layer of a search space, takes on this machine's CPU or another device."""
    with bad_input():
        if (model is None) == (space is None):
            raise ValueError("give either a MODEL.onnx or a --space")
        if space is not None and not (with_layers and samples >= 1):
            raise ValueError(f"--space needs --layers, and --samples of at least 1 (got {samples})")
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
        content = b"" if model is None else _read(model, limits)
        if with_layers and store is not None and not target.computed:
            open_store(store, create=True).close()  # what is wrong with it is told before the work
    rule = TimingRule(layer_runs=LAYER_RUNS if with_layers else 0)
    if model is None:
        assert space is not None
        _survey(space, samples, target, rule, limits, store, as_json)
        return
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
        _keep(store, target, measured.fingerprint, [each for each in measured.layers if isinstance(each, LayerTime)])
    if as_json:
        print_json({**summary, "layers": rows} if with_layers else summary)
        return
    print_table([{"": name, "value": value} for name, value in summary.items()])
    if with_layers:
        shown = [{key: value for key, value in row.items() if key not in ("signature", "provider")} for row in rows]
        print_table(shown, empty="no layers: the model only reshapes")


def _read(model: Path, limits: Limits) -> bytes:
    """The file, if it is not too large."""
    if model.stat().st_size > limits.model_bytes:
        raise ModelRefused(f"{model} has {model.stat().st_size} bytes; allowed: at most {limits.model_bytes}")
    return model.read_bytes()


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


def _survey(
    given: str, samples: int, device: Device, rule: TimingRule, limits: Limits, store: str | None, as_json: bool
) -> None:
    """Measure each layer of a space once at least, show what they take, and keep it where there is a store."""
    with bad_input():
        if device.computed:
            raise ValueError(f"--space: device {device.name!r} of kind {device.kind} computes layers; none are kept")
        section = space_section(given)
    from nas.jobspec.space_code import space_recipe  # torch takes seconds to import
    from nas.prediction.layer_survey import cover, survey

    with bad_input():
        space = space_recipe(section, allow_code=False).make()
        chosen = cover(space, samples)
        try:
            with (
                Progress(console=messages, disable=not messages.is_terminal) as bars,
                open_profiler(device, rule, limits) as profiler,
            ):
                task = bars.add_task("measuring", total=len(chosen.rows))
                found = survey(space, chosen.rows, device, profiler, lambda done: bars.update(task, completed=done))
        except DeviceLost as error:
            raise stop(str(error), 1) from error
    for reason in found.failed:
        messages.print(f"a network could not be measured: {reason}")
    if store is not None:
        _keep(store, device, found.fingerprint, found.layers)
    rows = [asdict(layer) for layer in found.layers]
    told = {
        "space": space.name,
        "device": device.name,
        "fingerprint": found.fingerprint,
        "networks": len(chosen.rows) - len(found.failed),
        "layers_of_the_space": chosen.layers,
        "layers_in_these_networks": chosen.covered,
        "signatures": len(rows),
    }
    if as_json:
        print_json({**told, "layers": rows})
        return
    print_table([{"": name, "value": value} for name, value in told.items()])
    print_table([{key: row[key] for key in ("op", "signature", "latency_ms")} for row in rows])


def _keep(url: str, device: Device, fingerprint: str, layers: Sequence[LayerTime]) -> None:
    """Record the device and what layers take on it."""
    rows = [Layer(each.signature, each.op, each.latency_ms) for each in layers]
    with open_store(url, create=True) as opened:
        opened.add_device(StoredDevice(fingerprint, device.name, dict(device.description)))
        opened.add_layers(fingerprint, rows)
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
