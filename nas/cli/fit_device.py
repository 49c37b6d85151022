"""`nas predictor fit --metric latency_ms`: measure networks of a space on a device, and learn from them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import Progress

from nas.artifacts import artifact_folder
from nas.cli.failure import bad_input, stop
from nas.cli.fitted_predictor import MOST, FittedPredictor, check_draws, left_out, named
from nas.cli.output import messages
from nas.cli.profile import device_section
from nas.cli.space_section import space_section
from nas.prediction.predictor_store import PredictorStore
from predictors.layer_table import LayerTable
from predictors.node_features import SUBJECT
from predictors.predictor import Predictor
from profilers.device import Device
from profilers.errors import DeviceLost
from profilers.registry import make_device, metrics_of, open_profiler
from storage.errors import StoreNotFound
from storage.store import ResultStore

if TYPE_CHECKING:  # torch takes seconds to import
    from nas.prediction.device_fitting import Fitted
    from search_spaces.space import SearchSpace

HOST = "cpu"


def fit_device(
    metric: str,
    space: str | None,
    device: str,
    *,
    samples: int,
    tests: int,
    seed: int,
    plot: Path | None,
    url: str,
) -> FittedPredictor:
    """Measure networks and keep what predicts all others.

    Args:
        metric: of the device.
        space: a search space, or a job file whose space is taken.
        device: `cpu`, or `FILE:NAME`.
        samples: networks that are learned from.
        tests: networks that are measured beside, only to see how good it is.
        seed: of everything that is drawn.
        plot: where the calibration is drawn.
        url: of the store, beside which predictors lie.

    Raises:
        typer.Exit: bad input or a device that is gone, which is told.
    """
    with bad_input():
        if space is None:
            raise ValueError("--space is missing: a search space, or a job file whose space is taken")
        section = {"name": HOST, "threads": 1} if device == HOST else device_section(device)
        target = make_device(section, where=device)
        _check(samples, metric, metrics_of(section), plot)
        check_draws(tests, seed)
        recipe = space_section(space)
    from nas.jobspec.space_code import space_recipe
    from nas.prediction import device_fitting  # matplotlib and torch take seconds to import
    from nas.prediction.calibration_plot import calibration_png

    predictors = PredictorStore(artifact_folder(url))
    with bad_input():
        made = space_recipe(recipe, allow_code=False).make()
        known, layers = _known(predictors, target, metric), _layers(url, target)
        try:
            with (
                Progress(console=messages, disable=not messages.is_terminal) as bars,
                open_profiler(target) as profiler,
            ):
                task = bars.add_task("measuring", total=samples + tests)
                fitted = device_fitting.fit_device(
                    made,
                    target,
                    profiler,
                    metric,
                    samples=samples,
                    tests=tests,
                    seed=seed,
                    known=known,
                    others=_others(predictors, made.name, target.name, metric),
                    layers=layers,
                    progress=lambda done, total: bars.update(task, completed=done, total=total),
                )
        except DeviceLost as error:
            raise stop(str(error), 1) from error
        path = _keep(predictors, fitted, made, recipe, target, metric, layers)
        if plot is not None:
            name, held = f"{metric}@{target.name}", fitted.predictor.held
            title = f"{made.name} on {target.name}, {fitted.predictor.samples} samples"
            plot.write_bytes(calibration_png(title, name, fitted.predictor, fitted.measured, held.mean, held.std))
    for reason in fitted.failed[:1]:
        messages.print(f"{len(fitted.failed)} networks could not be measured; the first: {reason}")
    return FittedPredictor(path, metric, target.name, made.name, _rows(fitted, layers))


def _check(samples: int, metric: str, metrics: tuple[str, ...], plot: Path | None) -> None:
    """Refuse what cannot work before anything is measured."""
    if not 5 <= samples <= MOST:
        raise ValueError(f"--samples must be 5 to {MOST} (got {samples})")
    if metric not in metrics:
        raise ValueError(f"--metric {metric!r} is not told by this device; known: {', '.join(metrics)}")
    if plot is not None and not plot.resolve().parent.is_dir():
        raise ValueError(f"--plot {plot}: the folder {plot.parent} does not exist")


def _known(predictors: PredictorStore, target: Device, metric: str) -> Any:
    """What is known of the same device from before; of one that has changed nothing is."""
    if not any((e.device, e.metric, e.subject) == (target.name, metric, SUBJECT) for e in predictors.entries()):
        return None
    stored = predictors.load(target.name, metric, SUBJECT)
    return stored.predictor if stored.about.get("fingerprint") == target.fingerprint else None


def _layers(store: str, target: Device) -> LayerTable | None:
    """What was kept of layers on this very device; None where nothing was, or where there is no store yet."""
    try:
        with ResultStore(store, create=False) as opened:
            found = {layer.signature: layer.latency_ms for layer in opened.layers(target.fingerprint)}
    except StoreNotFound:
        return None
    return LayerTable(found) if found else None


def _others(predictors: PredictorStore, space: str, device: str, metric: str) -> dict[str, Predictor]:
    """What predicts the same metric of other devices for the same space."""
    return {
        entry.device: predictors.load(entry.device, metric, space).predictor
        for entry in predictors.entries()
        if (entry.metric, entry.subject) == (metric, space) and entry.device != device
    }


def _keep(
    predictors: PredictorStore,
    fitted: "Fitted",
    space: "SearchSpace",
    section: Mapping[str, Any],
    target: Device,
    metric: str,
    layers: LayerTable | None,
) -> Path:
    """Save what was fitted on a device; the file of the predictor for the space."""
    about = {
        "fingerprint": target.fingerprint,
        "space": section,
        "fitted": datetime.now(UTC).isoformat(timespec="seconds"),
        "tested": None if fitted.tested is None else named(fitted.tested[2]),
    }
    chosen = [space.choices(row) for row in fitted.chosen]
    apart = {"choices": chosen, **left_out(fitted.predictor, fitted.measured)}
    path = predictors.save(fitted.predictor, target.name, metric, {**about, "left_out": apart})
    if fitted.universal is not None:
        predictors.save(fitted.universal, target.name, metric, about)
    if fitted.lookup is not None and layers is not None:
        predictors.save(fitted.lookup, target.name, metric, {**about, "layers": layers.layers})
    return path


def _rows(fitted: "Fitted", layers: LayerTable | None) -> list[dict[str, Any]]:
    """How good each predictor is that came of it."""
    rows: list[dict[str, Any]] = [
        {"on": f"its {fitted.predictor.samples} samples, left out", **named(fitted.predictor.scores)}
    ]
    if fitted.tested is not None:
        rows.append({"on": f"{len(fitted.tested[0])} other networks", **named(fitted.tested[2])})
    if fitted.universal is not None:
        rows.append({"on": f"any network, from {fitted.universal.samples}", **named(fitted.universal.scores)})
    if fitted.lookup is not None and layers is not None:
        rows.append({"on": f"any network, from {len(layers.layers)} layers", **named(fitted.lookup.scores)})
    return rows
