"""`nas predictor fit --metric accuracy`: learn from what jobs have evaluated."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from rich.progress import track

from nas.artifacts import artifact_folder
from nas.cli.failure import bad_input
from nas.cli.fitted_predictor import MOST, FittedPredictor, check_draws, left_out, named
from nas.cli.options import find_job, open_store
from nas.cli.output import messages
from nas.prediction.predictor_store import PredictorStore
from predictors.accuracy import Accuracy
from search_spaces.zero_cost.needs import NEEDS

if TYPE_CHECKING:  # torch takes seconds to import
    from nas.prediction.accuracy_fitting import Labels
    from storage.records import Job


def fit_accuracy(
    metric: str,
    jobs: Sequence[str],
    others: Sequence[str],
    statistics: Sequence[str],
    *,
    unlabelled: int,
    tests: int,
    seed: int,
    url: str,
) -> FittedPredictor:
    """Learn from the evaluations of jobs, and keep what predicts other networks.

    Args:
        metric: accuracy or loss.
        jobs: whose evaluations are labels.
        others: jobs on other data, whose labels help.
        statistics: zero-cost scores that help.
        unlabelled: random networks whose statistics are found.
        tests: labels that are kept apart.
        seed: of everything that is drawn.
        url: of the store.

    Raises:
        typer.Exit: bad input, which is told.
    """
    with bad_input():
        _check(metric, jobs, statistics, unlabelled)
        check_draws(tests, seed)
    from nas.prediction import accuracy_fitting  # torch takes seconds to import

    with open_store(url) as opened, bad_input():
        labels, sources = (
            [accuracy_fitting.Labels.of(each, opened.evaluations(each.id), metric) for each in found]
            for found in ([find_job(opened, each) for each in ids] for ids in (jobs, others))
        )
        if free := list(dict.fromkeys(statistics)):
            sources += _statistics(find_job(opened, jobs[0]), labels[0], free, unlabelled, seed)
        fitted = accuracy_fitting.fit_accuracy(labels, sources, tests=tests, seed=seed)
        first, predictors = labels[0], PredictorStore(artifact_folder(url))
        about = {
            "jobs": [each.job for each in labels],
            "sources": [each.job for each in sources],
            "how": first.how,
            "fitted": datetime.now(UTC).isoformat(timespec="seconds"),
            "tested": None if fitted.tested is None else named(fitted.tested),
        }
        apart = {"left_out": left_out(fitted.predictor, fitted.values)}
        path = predictors.save(fitted.predictor, first.data, metric, about | apart)
        predictors.save(fitted.universal, first.data, metric, about)
    rows = [{"on": f"its {fitted.predictor.samples} labels, left out", **named(fitted.predictor.scores)}]
    if fitted.tested is not None:
        rows.append({"on": f"{tests} other networks", **named(fitted.tested)})
    rows.append({"on": f"any network, from {fitted.universal.samples}", **named(fitted.universal.scores)})
    return FittedPredictor(path, metric, first.data, first.space.name, rows)


def _check(metric: str, jobs: Sequence[str], statistics: Sequence[str], unlabelled: int) -> None:
    """Refuse what cannot work before a job is read."""
    if not jobs:
        raise ValueError(f"--metric {metric} is learned from evaluations: give --job JOB, as `nas jobs` lists them")
    if unknown := [name for name in statistics if name not in NEEDS]:
        raise ValueError(f"--statistic {unknown[0]!r} is not known; known: {', '.join(NEEDS)}")
    if not Accuracy.least_samples <= unlabelled <= MOST:
        raise ValueError(f"--unlabelled must be {Accuracy.least_samples} to {MOST} (got {unlabelled})")


def _statistics(job: "Job", labels: "Labels", names: Sequence[str], unlabelled: int, seed: int) -> list["Labels"]:
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
    rows = np.unique(labels.space.sample(unlabelled, np.random.default_rng([seed, 37])), axis=0)
    drawn = track(rows, "scoring", console=messages, disable=not messages.is_terminal)
    networks = (space.graph(row[: len(space.decisions)]) for row in drawn)  # the labels may know recipes, too
    found = free_statistics(networks, names, ZeroCostData.of(data, seed).batch, seed)
    # a score that is the same for all networks tells nothing of them
    telling = {name: values for name, values in found.items() if np.ptp(values) > 0}
    return [Labels(name, labels.data, {}, labels.space, rows, values) for name, values in telling.items()]
