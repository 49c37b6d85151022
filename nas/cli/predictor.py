"""`nas predictor`: know what a network will take on a device without measuring it there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.artifacts import artifact_folder
from nas.cli.failure import bad_input
from nas.cli.fit_accuracy import fit_accuracy
from nas.cli.fit_device import HOST, fit_device
from nas.cli.fitted_predictor import named
from nas.cli.options import AsJson, Default, StoreUrl
from nas.cli.output import print_json, print_table
from nas.prediction.predictor_store import Entry, PredictorStore
from predictors.file import Stored
from predictors.layer_table import SUBJECT as LAYERS
from predictors.layer_table import LayerTable
from predictors.node_features import SUBJECT
from predictors.predictor import LEVEL

app = typer.Typer(
    name="predictor", help="Predict latency and accuracy of networks, from few measurements.", no_args_is_help=True
)

LATENCY = "latency_ms"
LEARNED = ("accuracy", "loss")

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
    device: DeviceName = HOST,
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
        _refuse({"--space": space, "--plot": plot}, f"what devices measure; {metric} is learned from --job")
        fitted = fit_accuracy(
            metric, job or [], source or [], statistic or [], unlabelled=unlabelled, tests=tests, seed=seed, url=store
        )
    else:
        evaluated = {"--job": job, "--source": source, "--statistic": statistic}
        _refuse(evaluated, f"{' and '.join(LEARNED)}, and --metric is {metric}")
        fitted = fit_device(metric, space, device, samples=samples, tests=tests, seed=seed, plot=plot, url=store)
    fitted.show(as_json=as_json)


def _refuse(options: Mapping[str, object], meant: str) -> None:
    """Refuse options that are meant for something else."""
    with bad_input():
        if given := [name for name, value in options.items() if value]:
            raise ValueError(f"{given[0]} is for {meant}")


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
        **{f"left_out_{key}": value for key, value in named(predictor.scores).items()},
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
    ] = HOST,
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


def _row(entry: Entry, stored: Stored) -> dict[str, Any]:
    predictor = stored.predictor
    return {
        "device": entry.device,
        "metric": entry.metric,
        "for": entry.subject,
        "predictor": predictor.name,
        "samples": predictor.samples,
        **named(predictor.scores),
        "fitted": stored.about.get("fitted"),
    }


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app)
