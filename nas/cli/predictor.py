"""`nas predictor`: know what a network will take on a device without measuring it there."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import Progress, track

from nas.artifacts import artifact_folder
from nas.cli.failure import bad_input, stop
from nas.cli.options import AsJson, Default, StoreUrl, find_job, open_store
from nas.cli.output import messages, print_json, print_table
from nas.cli.profile import device_section
from nas.cli.space_section import space_section
from nas.prediction.predictor_store import Entry, PredictorStore
from predictors.accuracy import Accuracy
from predictors.errors import PredictorError
from predictors.file import Stored
from predictors.layer_table import SUBJECT as LAYERS
from predictors.layer_table import LayerTable
from predictors.node_features import SUBJECT
from predictors.predictor import LEVEL, Predictor
from predictors.scores import Scores
from profilers.device import Device
from profilers.errors import DeviceLost
from profilers.registry import make_device, metrics_of, open_profiler
from search_spaces.zero_cost.needs import NEEDS
from storage.errors import StoreNotFound
from storage.store import ResultStore

if TYPE_CHECKING:  # torch takes seconds to import
    from nas.prediction.accuracy_fitting import Labels
    from nas.prediction.device_fitting import Fitted
    from search_spaces.space import SearchSpace
    from storage.records import Job

app = typer.Typer(
    name="predictor", help="Predict latency and accuracy of networks, from few measurements.", no_args_is_help=True
)

LATENCY = "latency_ms"
LEARNED = ("accuracy", "loss")
_HOST = "cpu"

DeviceName = Annotated[
    str,
    typer.Option("--device", metavar="DEVICE", help="cpu for this machine, or FILE:NAME, a device of a job file."),
]
Metric = Annotated[
    str, typer.Option("--metric", help="What the device tells, such as latency_ms or energy_mj; or accuracy, or loss.")
]


@app.command()
def fit(
    space: Annotated[str | None, typer.Option(help="A search space, or a job file whose space is taken.")] = None,
    device: DeviceName = _HOST,
    job: Annotated[
        list[str] | None,
        typer.Option(help="For accuracy: a job of the store that has evaluated networks; several may be."),
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="For accuracy: a job on other data, whose labels help.")
    ] = None,
    statistic: Annotated[
        list[str] | None,
        typer.Option(help="For accuracy: a zero-cost score of --unlabelled networks, learned beside the labels."),
    ] = None,
    unlabelled: Annotated[int, typer.Option(help="Random networks whose statistics are found.")] = 500,
    samples: Annotated[int, typer.Option(help="Networks that are measured to learn from.")] = 20,
    tests: Annotated[int, typer.Option(help="More of them, random ones, only to see how good it is.")] = 0,
    metric: Metric = LATENCY,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Where to draw the calibration.")] = None,
    store: StoreUrl = Default,
    as_json: AsJson = False,
) -> None:
    """Choose networks of a space, measure them on a device, and keep what predicts all others.

    Accuracy and loss are learned from what jobs of the store have evaluated (--job).
    """
    if metric in LEARNED:
        free = statistic or [], unlabelled
        _fit_accuracy(metric, job or [], source or [], free, tests, seed, store, as_json, space=space, plot=plot)
        return
    with bad_input():
        if job or source or statistic:
            message = f"--job, --source and --statistic are for {' and '.join(LEARNED)}; {metric} is measured"
            raise ValueError(message)
        if space is None:
            raise ValueError("--space is missing: a search space, or a job file whose space is taken")
        section = {"name": _HOST, "threads": 1} if device == _HOST else device_section(device)
        target = make_device(section, where=device)
        _check(samples, tests, seed, metric, metrics_of(section), plot)
        recipe = space_section(space)
    from nas.jobspec.space_code import space_recipe
    from nas.prediction.calibration_plot import calibration_png  # matplotlib and torch take seconds to import
    from nas.prediction.device_fitting import fit_device

    predictors = PredictorStore(artifact_folder(store))
    with bad_input():
        made = space_recipe(recipe, allow_code=False).make()
        known = _known(predictors, target, metric)
        layers = _layers(store, target)
        try:
            with (
                Progress(console=messages, disable=not messages.is_terminal) as bars,
                open_profiler(target) as profiler,
            ):
                task = bars.add_task("measuring", total=samples + tests)
                fitted = fit_device(
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
    rows = [{"on": f"its {fitted.predictor.samples} samples, left out", **_scores(fitted.predictor.scores)}]
    if fitted.tested is not None:
        rows.append({"on": f"{len(fitted.tested[0])} other networks", **_scores(fitted.tested[2])})
    if fitted.universal is not None:
        rows.append({"on": f"any network, from {fitted.universal.samples}", **_scores(fitted.universal.scores)})
    if fitted.lookup is not None and layers is not None:
        rows.append({"on": f"any network, from {len(layers.layers)} layers", **_scores(fitted.lookup.scores)})
    _show(rows, path, metric, target.name, made.name, as_json)


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
        "tested": None if fitted.tested is None else _scores(fitted.tested[2]),
    }
    chosen = [space.choices(row) for row in fitted.chosen]
    left_out = {"choices": chosen, **_left_out(fitted.predictor, fitted.measured)}
    path = predictors.save(fitted.predictor, target.name, metric, {**about, "left_out": left_out})
    if fitted.universal is not None:
        predictors.save(fitted.universal, target.name, metric, about)
    if fitted.lookup is not None and layers is not None:
        predictors.save(fitted.lookup, target.name, metric, {**about, "layers": layers.layers})
    return path


def _left_out(predictor: Predictor, measured: NDArray[np.float64]) -> dict[str, list[float]]:
    """The samples, and what was predicted of each without it."""
    held = predictor.held
    return {"measured": measured.tolist(), "predicted": held.mean.tolist(), "deviation": held.std.tolist()}


def _show(rows: list[dict[str, Any]], path: Path, metric: str, device: str, space: str, as_json: bool) -> None:
    """How good predictors are."""
    if as_json:
        print_json({"file": str(path), "metric": metric, "device": device, "scores": rows})
    else:
        print_table(rows, title=f"{metric}@{device} of {space}")


def _fit_accuracy(
    metric: str,
    jobs: list[str],
    others: list[str],
    free: tuple[list[str], int],
    tests: int,
    seed: int,
    url: str,
    as_json: bool,
    *,
    space: str | None,
    plot: Path | None,
) -> None:
    """Learn from what jobs have evaluated."""
    with bad_input():
        if not jobs:
            raise ValueError(f"--metric {metric} is learned from evaluations: give --job JOB, as `nas jobs` lists them")
        for option, name in ((space, "--space"), (plot, "--plot")):
            if option is not None:
                raise ValueError(f"{name} is for what devices measure; {metric} is learned from --job")
        _check(Accuracy.least_samples, tests, seed, metric, LEARNED, None)
        statistics, unlabelled = list(dict.fromkeys(free[0])), free[1]
        if unknown := [name for name in statistics if name not in NEEDS]:
            raise ValueError(f"--statistic {unknown[0]!r} is not known; known: {', '.join(NEEDS)}")
        if not Accuracy.least_samples <= unlabelled <= 100_000:
            raise ValueError(f"--unlabelled must be {Accuracy.least_samples} to 100000 (got {unlabelled})")
    from nas.prediction.accuracy_fitting import Labels, fit_accuracy  # torch takes seconds to import

    with open_store(url) as opened, bad_input():
        both = []
        for ids in (jobs, others):
            found = [find_job(opened, each) for each in ids]
            both.append([Labels.of(each, opened.evaluations(each.id), metric) for each in found])
        labels, sources = both
        if statistics:
            sources += _statistics(find_job(opened, jobs[0]), labels[0], statistics, unlabelled, seed)
        fitted = fit_accuracy(labels, sources, tests=tests, seed=seed)
        predictors = PredictorStore(artifact_folder(url))
        about = {
            "jobs": [each.job for each in labels],
            "sources": [each.job for each in sources],
            "how": labels[0].how,
            "fitted": datetime.now(UTC).isoformat(timespec="seconds"),
            "tested": None if fitted.tested is None else _scores(fitted.tested),
        }
        left_out = _left_out(fitted.predictor, fitted.values)
        path = predictors.save(fitted.predictor, labels[0].data, metric, {**about, "left_out": left_out})
        predictors.save(fitted.universal, labels[0].data, metric, about)
    rows = [{"on": f"its {fitted.predictor.samples} labels, left out", **_scores(fitted.predictor.scores)}]
    if fitted.tested is not None:
        rows.append({"on": f"{tests} other networks", **_scores(fitted.tested)})
    rows.append({"on": f"any network, from {fitted.universal.samples}", **_scores(fitted.universal.scores)})
    _show(rows, path, metric, labels[0].data, labels[0].space.name, as_json)


def _statistics(job: "Job", labels: "Labels", names: list[str], unlabelled: int, seed: int) -> list["Labels"]:
    """Zero-cost scores of random networks of the space of a job, on its data where they look at some."""
    from nas.evaluation.zero_cost_data import ZeroCostData
    from nas.jobspec.job_recipe import job_data, job_recipe
    from nas.jobspec.load import parse_job
    from nas.prediction.accuracy_fitting import Labels
    from nas.prediction.free_statistics import free_statistics

    needy = any(NEEDS[name] != "nothing" for name in names)
    spec = parse_job(job.spec, source=job.id)
    data = job_data(spec) if needy else None
    space = job_recipe(spec, data, allow_code=False).make()  # with the channels and classes of the data
    rows = np.unique(space.sample(unlabelled, np.random.default_rng([seed, 37])), axis=0)
    drawn = track(rows, "scoring", console=messages, disable=not messages.is_terminal)
    found = free_statistics((space.graph(row) for row in drawn), names, ZeroCostData.of(data, seed).batch, seed)
    # a score that is the same for all networks tells nothing of them
    told = {name: values for name, values in found.items() if np.ptp(values) > 0}
    return [Labels(name, labels.data, {}, labels.space, rows, values) for name, values in told.items()]


@app.command("list")
def list_predictors(store: StoreUrl = Default, as_json: AsJson = False) -> None:
    """List the predictors beside a store."""
    rows = []
    with bad_input():
        predictors = PredictorStore(artifact_folder(store))
        for entry in predictors.entries():
            rows.append(_row(entry, predictors.load(entry.device, entry.metric, entry.subject)))
    if as_json:
        print_json(rows)
    else:
        print_table(rows, empty="no predictors; `nas predictor fit` makes one")


@app.command()
def show(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="A device, as `nas predictor list` names it.")],
    space: Annotated[str, typer.Option(help="The search space, or graph for any network.")] = SUBJECT,
    metric: Metric = LATENCY,
    store: StoreUrl = Default,
    as_json: AsJson = False,
) -> None:
    """Show what a predictor knows and how good it is."""
    with bad_input():
        predictors = PredictorStore(artifact_folder(store))
        stored = predictors.load(device, metric, space)
    predictor = stored.predictor
    told = {
        "predictor": predictor.name,
        "metric": metric,
        "device": device,
        "for": predictor.features.subject,
        "samples": predictor.samples,
        "sources": ", ".join(predictor.sources) or None,
        "training_sha256": predictor.training,
        "features": len(predictor.features.names),
        **{f"left_out_{key}": value for key, value in _scores(predictor.scores).items()},
        **{f"tested_{key}": value for key, value in (stored.about.get("tested") or {}).items()},
        **{key: stored.about.get(key) for key in ("fingerprint", "fitted")},
        "space": json.dumps(stored.about.get("space")),
    }
    weights = getattr(predictor, "weights", None)
    if isinstance(weights, dict):
        told |= {f"weight_{name}": weight for name, weight in weights.items()}
    if as_json:
        print_json(told)
    else:
        print_table([{"": name, "value": value} for name, value in told.items()])


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="An ONNX file; it need not be trusted.")],
    device: Annotated[
        str, typer.Option("--device", help="A device, or of accuracy the data set, as `nas predictor list` names it.")
    ] = _HOST,
    metric: Metric = LATENCY,
    level: Annotated[float, typer.Option(help="Probability that the interval holds.")] = LEVEL,
    by: Annotated[
        str, typer.Option(help="graph: prices of operators; layers: the sum of layers that `nas profile` kept.")
    ] = SUBJECT,
    store: StoreUrl = Default,
    as_json: AsJson = False,
) -> None:
    """Predict what an ONNX file takes on a device that was measured, or its accuracy, whatever the network is."""
    with bad_input():
        if by not in (SUBJECT, LAYERS):
            raise ValueError(f"--by must be {SUBJECT} or {LAYERS} (got {by!r})")
        predictors = PredictorStore(artifact_folder(store))
        stored = predictors.load(device, metric, by)
        content = model.read_bytes()
        from search_spaces.interchange.onnx_reader import read_graph

        try:
            features = _features(read_graph(content), metric, stored)
        except ValueError as error:
            raise ValueError(f"{model}: {error}") from error
        mean = float(stored.predictor.predict(features).mean[0])
        low, high = (float(end[0]) for end in stored.predictor.interval(features, level))
    told: dict[str, Any] = {
        "metric": metric,
        "device": device,
        "predicted": mean,
        "low": max(low, 0.0),
        "high": min(high, 1.0) if metric == "accuracy" else high,
        "level": level,
        "samples": stored.predictor.samples,
    }
    if as_json:
        print_json(told)
    else:
        print_table([{"": name, "value": value} for name, value in told.items()])


def _features(network: Any, metric: str, stored: Stored) -> Any:
    """The (1, f) features of a network that a predictor of any networks asks for."""
    from nas.features.operators import graph_features, operators_of
    from nas.prediction.accuracy_fitting import whole_networks

    if stored.predictor.features.subject == LAYERS:
        return LayerTable(stored.about.get("layers") or {})(*operators_of([network]))
    return whole_networks([network]) if metric in LEARNED else graph_features([network])


def _check(samples: int, tests: int, seed: int, metric: str, metrics: tuple[str, ...], plot: Path | None) -> None:
    """Refuse what cannot work before anything is measured."""
    if not 5 <= samples <= 100_000:
        raise ValueError(f"--samples must be 5 to 100000 (got {samples})")
    if not 0 <= tests <= 100_000:
        raise ValueError(f"--tests must be 0 to 100000 (got {tests})")
    if seed < 0:
        raise ValueError(f"--seed must be at least 0 (got {seed})")
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


def _scores(scores: Scores | None) -> dict[str, float]:
    if scores is None:
        raise PredictorError("this predictor has no scores")
    return scores._asdict()


def _row(entry: Entry, stored: Stored) -> dict[str, Any]:
    predictor = stored.predictor
    return {
        "device": entry.device,
        "metric": entry.metric,
        "for": entry.subject,
        "predictor": predictor.name,
        "samples": predictor.samples,
        **_scores(predictor.scores),
        "fitted": stored.about.get("fitted"),
    }


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app)
